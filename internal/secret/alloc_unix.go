//go:build unix

package secret

import (
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// alloc maps a private page of its own for n bytes. Locking it against swap
// may be refused (RLIMIT_MEMLOCK); the key is then still outside the heap.
func alloc(n int) ([]byte, func(), error) {
	size := max(n, 1)
	page, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, nil, err
	}
	_ = unix.Mlock(page)
	dontDump(page)
	free := sync.OnceFunc(func() {
		clear(page)
		runtime.KeepAlive(page)
		_ = unix.Munlock(page)
		_ = unix.Munmap(page)
	})
	return page[:n], free, nil
}
