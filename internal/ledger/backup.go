package ledger

import (
	"fmt"
	"io"
	"os"

	"station/internal/keyfile"
)

// Backup writes a consistent copy of the ledger while the line runs. On an
// error what was written is worthless.
//
// The copy is a ledger of its own: put in place of the file, the station goes on
// from there. What was written after the copy is then not in the log: devices
// made since are unknown to it (their key blocks are closed, so that the line
// sets them aside), numbers taken since are given again, and checkpoints signed
// since, kept elsewhere, no longer fit.
func (l *Ledger) Backup(w io.Writer) error {
	if err := l.backup(w); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

func (l *Ledger) backup(w io.Writer) error {
	if err := l.read.enter(); err != nil {
		return err
	}
	defer l.read.leave()
	s, err := l.read.newest()
	if err != nil {
		return inFile(err)
	}
	if n := s.Cut(); n > 0 {
		return corrupt("%d bytes are missing at its end", n)
	}
	if _, err := s.WriteTo(w); err != nil {
		return onDisk(err)
	}
	if !l.read.kept(s) {
		return fmt.Errorf("%w: it changed faster than it could be copied", ErrBusy)
	}
	return nil
}

// BackupTo is Backup into a new file, which has its name only when all of it is
// on disk. An existing file is never touched (fs.ErrExist).
func (l *Ledger) BackupTo(path string) error {
	err := keyfile.WriteFile(path, false, fileMode, func(f *os.File) error { return l.backup(f) })
	if err != nil {
		return fmt.Errorf("backup to %s: %w", path, err)
	}
	return nil
}
