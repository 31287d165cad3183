//go:build unix

package hub

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock keeps a second server out of the folder; it ends with the process.
func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
