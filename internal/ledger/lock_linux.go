package ledger

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Readers hold a shared lock on this byte, far behind the end of any ledger.
// It is an open file description lock: it belongs to the open file, not to the
// process, and ends with it. bbolt's own lock is a flock and does not see it.
const readersByte = 1 << 62

// maxPins is how many commits a reader may take for one look at the file: a
// minute and more of a busy line. bbolt sorts all pages that it keeps at every
// commit, so that many more would slow the writer down.
const maxPins = 1024

// announce tells writers of a reader. Where the file system has no such locks
// a writer cannot ask for them either, and takes readers for granted.
func announce(f *os.File) error {
	err := readersLock(f, unix.F_OFD_SETLK, unix.F_RDLCK)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

func withdraw(f *os.File) { _ = readersLock(f, unix.F_OFD_SETLK, unix.F_UNLCK) }

func readersLock(f *os.File, cmd int, kind int16) error {
	return unix.FcntlFlock(f.Fd(), cmd, &unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: readersByte, Len: 1})
}

// readersPresent asks whether anybody reads through another open file than f.
// A file system that cannot tell might have readers.
func readersPresent(f *os.File) bool {
	ask := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: readersByte, Len: 1}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &ask)
	return err != nil || ask.Type != unix.F_UNLCK
}
