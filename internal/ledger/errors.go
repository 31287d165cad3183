package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	bolterrors "go.etcd.io/bbolt/errors"

	"station/internal/ledger/boltfile"
)

// What can be wrong with the file. What the ledger refuses because of what it
// already holds is in package record.
var (
	// ErrLocked: another station has the ledger open for writing.
	ErrLocked = errors.New("another station has this ledger open")
	// ErrForeign: the file is empty or something else.
	ErrForeign = errors.New("this file is not a ledger")
	// ErrNewer: a newer version of this program wrote the ledger.
	ErrNewer = errors.New("a newer version of this program wrote this ledger")
	// ErrCorrupt: the file is damaged. Check tells where.
	ErrCorrupt = errors.New("the ledger is damaged")
	// ErrDisk: the disk is full, read-only, broken, or the file may not be written.
	ErrDisk = errors.New("the disk refuses the ledger")
	// ErrIndexes: the indexes are of another version than this program's, and so
	// nothing that it could trust. Opening the ledger for writing makes them anew.
	ErrIndexes = errors.New("the ledger's indexes cannot be used: the next command that writes makes them anew from its log")
	// ErrMoved: the file was removed, renamed or replaced while it was open.
	ErrMoved = errors.New("the ledger's file was taken away while it was in use: put it back under its name")
	// ErrReadOnly: the ledger was opened for reading.
	ErrReadOnly = errors.New("the ledger is open for reading only")
	// ErrClosed: the ledger was closed.
	ErrClosed = errors.New("the ledger is closed")
	// ErrBusy: the ledger's indexes are being rebuilt, or it changed faster
	// than it could be read. Try again.
	ErrBusy = errors.New("the ledger is busy")
)

// diskHints says what to do about the causes that somebody can remove.
var diskHints = []struct {
	cause error
	hint  string
}{
	{syscall.ENOSPC, "the disk is full: make room"},
	{syscall.EDQUOT, "the disk quota is used up: make room"},
	{syscall.EFBIG, "the file may not grow further"},
	{syscall.EROFS, "the disk is read-only"},
	{fs.ErrPermission, "this user has no right to it"},
	{bolterrors.ErrMaxSizeReached, "the file has outgrown this run: restart the station"},
}

// onDisk wraps what the file system or bbolt's commit answered.
func onDisk(err error) error {
	if err == nil || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrDisk) {
		return err
	}
	for _, h := range diskHints {
		if errors.Is(err, h.cause) {
			return fmt.Errorf("%w: %s: %w", ErrDisk, h.hint, err)
		}
	}
	return fmt.Errorf("%w: %w", ErrDisk, err)
}

// inFile wraps what reading the pages answered: damage, unless the operating
// system refused to read at all.
func inFile(err error) error {
	var refused *fs.PathError
	var page *boltfile.PageError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return onDisk(err)
	case errors.Is(err, boltfile.ErrFormat):
		return fmt.Errorf("%w: %w", ErrForeign, err)
	case errors.As(err, &page), errors.Is(err, boltfile.ErrNoBucket):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrCorrupt, fmt.Errorf(format, args...))
}
