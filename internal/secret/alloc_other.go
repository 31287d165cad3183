//go:build !unix

package secret

import "sync"

// alloc falls back to the heap where pages cannot be mapped.
func alloc(n int) ([]byte, func(), error) {
	b := make([]byte, n)
	return b, sync.OnceFunc(func() { clear(b) }), nil
}
