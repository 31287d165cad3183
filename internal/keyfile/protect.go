package keyfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// protected are the files that no output may touch, by their absolute paths,
// with what each is. They belong to the process as a whole: whoever reads a
// file protects it, however far that is from whoever writes.
var protected = struct {
	sync.Mutex
	what map[string]string
}{what: map[string]string{}}

// Protect keeps every output of this process away from the file, also where it
// does not exist yet.
func Protect(what, path string) {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path // the working folder is gone; the name is all there is
	}
	protected.Lock()
	defer protected.Unlock()
	if _, have := protected.what[abs]; !have {
		protected.what[abs] = what
	}
}

// ErrProtected refuses to write over a file that matters.
var ErrProtected = errors.New("no output may touch it; name another file")

// refuse says why nothing may be written to path, by whatever name it goes:
// links, other spellings and open files of /proc included.
func refuse(path string) error {
	at, err := os.Stat(path)
	if err != nil {
		at = nil
	}
	protected.Lock()
	defer protected.Unlock()
	for kept, what := range protected.what {
		if same(path, at, kept) {
			return fmt.Errorf("%s is the %s %s: %w", path, what, kept, ErrProtected)
		}
	}
	if at != nil && isLedger(path, at) {
		return fmt.Errorf("%s is a ledger: %w", path, ErrProtected)
	}
	return nil
}

// same tells whether both names mean one file. at is what path names; nil if
// there is nothing: then both are compared by folder and name.
func same(path string, at fs.FileInfo, kept string) bool {
	if at != nil {
		other, err := os.Stat(kept)
		return err == nil && os.SameFile(at, other)
	}
	if filepath.Base(path) != filepath.Base(kept) {
		return false
	}
	here, err := os.Stat(filepath.Dir(path))
	there, err2 := os.Stat(filepath.Dir(kept))
	return err == nil && err2 == nil && os.SameFile(here, there)
}

// ledgerMagic is what a page with a header of bbolt has behind its first 16
// bytes.
var ledgerMagic = []byte{0xed, 0xda, 0x0c, 0xed}

// isLedger tells a ledger by its headers, one of which may be damaged. They lie
// at the beginning of the first two pages, whose size may be any of these.
func isLedger(path string, info fs.FileInfo) bool {
	if !info.Mode().IsRegular() {
		return false
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	for _, page := range []int64{0, 4096, 8192, 16384, 32768, 65536} {
		var b [4]byte
		if _, err := io.ReadFull(io.NewSectionReader(f, page+16, 4), b[:]); err == nil && bytes.Equal(b[:], ledgerMagic) {
			return true
		}
	}
	return false
}
