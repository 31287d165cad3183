//go:build unix

package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock keeps other processes from changing records until the file is closed;
// it also ends with the process.
func lock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			return err
		}
	}
}
