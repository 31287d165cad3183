//go:build unix

package secret

import "golang.org/x/sys/unix"

// NoCoreDumps keeps the process from leaving its memory on disk when it
// crashes.
func NoCoreDumps() error { return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) }
