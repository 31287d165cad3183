package ledger

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"station/internal/record"
)

const (
	fileMode = 0o640
	// pageSize is the same on every machine. bbolt leaves two keys at least on
	// either side of a page that it splits: of pages of 4 KiB, with entries of
	// 0.8 KB one at a time, it would leave half empty.
	pageSize = 8192
)

// Create makes a ledger whose first entry is first: its kind becomes
// LedgerCreated, and Simulated decides for ever what the ledger takes. A power
// cut leaves either no ledger or a whole one: it is made under another name,
// synced, renamed, and the folder is synced. A file that is already there is
// never touched (fs.ErrExist).
func Create(path string, first record.Entry) error {
	if err := create(path, first); err != nil {
		return fmt.Errorf("create ledger %s: %w", path, err)
	}
	return nil
}

func create(path string, first record.Entry) error {
	first.Kind = record.LedgerCreated
	if first.Origin == "" {
		first.Origin = newOrigin()
	}
	if !validOrigin(first.Origin) {
		return fmt.Errorf("origin %q: must not be empty nor hold a space or a plus sign", first.Origin)
	}
	var db *bbolt.DB
	defer func() {
		if db != nil {
			_ = db.Close() // after publish: closing gives up the lock
		}
	}()
	return publish(path, func(f *os.File) (err error) {
		db, err = bbolt.Open(f.Name(), fileMode, &bbolt.Options{PageSize: pageSize, OpenFile: given(f)})
		if err != nil {
			return onDisk(err)
		}
		return begin(db, first)
	})
}

// begin writes the buckets and the first entry.
func begin(db *bbolt.DB, first record.Entry) error {
	err := db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		t := newTxn(tx, head{simulated: first.Simulated}, Options{Now: time.Now}, nil)
		if err := t.setState(stateProjection, projection); err != nil {
			return err
		}
		if _, err := t.add(first); err != nil {
			return err
		}
		return t.flush()
	})
	return onDisk(err)
}

func newOrigin() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return "station-ledger/" + hex.EncodeToString(b[:])
}

// given is an opener for bbolt that returns a file that is already open.
func given(f *os.File) func(string, int, os.FileMode) (*os.File, error) {
	return func(string, int, os.FileMode) (*os.File, error) { return f, nil }
}

func temporary(path string) string { return path + ".creating" }

// publish lets write fill a file and gives it its name only when all of it is
// on disk. What a power cut left behind under the temporary name is used up.
func publish(path string, write func(*os.File) error) (err error) {
	f, err := claim(temporary(path))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
		_ = f.Close() // only now, because it gives up the lock
	}()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fs.ErrExist)
	}
	if err := f.Truncate(0); err != nil {
		return onDisk(err)
	}
	if err := write(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return onDisk(err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return onDisk(err)
	}
	return onDisk(syncDir(filepath.Dir(path)))
}

// claim opens and locks the temporary file. Whoever waited while another
// process gave it its final name holds the wrong file.
func claim(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, onDisk(err)
	}
	if err := exclusive(f); err != nil {
		f.Close()
		return nil, ErrLocked
	}
	mine, err1 := f.Stat()
	named, err2 := os.Stat(path)
	if err1 != nil || err2 != nil || !os.SameFile(mine, named) {
		f.Close()
		return nil, ErrLocked
	}
	return f, nil
}

// sweep removes what a power cut during Create left behind, unless somebody is
// at work on it.
func sweep(path string) {
	if _, err := os.Lstat(temporary(path)); err != nil {
		return
	}
	if f, err := claim(temporary(path)); err == nil {
		_ = os.Remove(f.Name())
		f.Close()
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
