package ledger

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"go.etcd.io/bbolt"

	"station/internal/keyfile"
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
	return createWith(path, first.Simulated, func(t *txn) error {
		_, err := t.add(first)
		return err
	})
}

// createWith makes the file; add writes its first entry.
func createWith(path string, simulated bool, add func(*txn) error) error {
	var db *bbolt.DB
	defer func() {
		if db != nil {
			_ = db.Close() // when it has its name: closing gives up the lock
		}
	}()
	err := keyfile.Create(path, fileMode, func(f *os.File) (err error) {
		db, err = bbolt.Open(f.Name(), fileMode, &bbolt.Options{PageSize: pageSize, OpenFile: given(f)})
		if err != nil {
			return onDisk(err)
		}
		return begin(db, simulated, add)
	})
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	return onDisk(err)
}

// begin writes the buckets and the first entry.
func begin(db *bbolt.DB, simulated bool, add func(*txn) error) error {
	err := db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		t := newTxn(tx, head{simulated: simulated}, Options{Now: time.Now}, nil, new(dictionaries))
		if err := t.setState(stateProjection, projection); err != nil {
			return err
		}
		if err := add(t); err != nil {
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
