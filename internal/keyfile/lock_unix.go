//go:build unix

package keyfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// Lock waits until nobody else has locked the file, and keeps others waiting until it is
// closed; it also ends with the process.
func Lock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			return err
		}
	}
}
