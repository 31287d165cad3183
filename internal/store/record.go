package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"station/internal/keyfile"
)

// checkKey takes what every store takes: letters, digits and -_=. in parts
// that / separates; no part begins with a dot.
func checkKey(key string) error {
	for _, part := range strings.Split(key, "/") {
		bad := part == "" || part[0] == '.' || len(part) > 120 || strings.ContainsFunc(part, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_=.", r))
		})
		if bad {
			return fmt.Errorf("record %.80q: its name may have letters, digits and -_=. in parts between /", key)
		}
	}
	return nil
}

func (s *Store) folder(key string) string {
	return filepath.Join(s.dir, "records", filepath.FromSlash(key))
}

// newest is the newest revision in a folder of a record, 0 for none, and all
// that there are.
func newest(folder string) (rev uint64, all []uint64, err error) {
	list, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, nil, err
	}
	for _, e := range list {
		n, err := strconv.ParseUint(e.Name(), 10, 64)
		if err == nil && e.Type().IsRegular() {
			rev, all = max(rev, n), append(all, n)
		}
	}
	return rev, all, nil
}

func revision(folder string, rev uint64) string {
	return filepath.Join(folder, strconv.FormatUint(rev, 10))
}

// Path is the file of a record at a revision.
func (s *Store) Path(key string, rev uint64) string { return revision(s.folder(key), rev) }

// Get returns a record and its revision, which Set wants.
func (s *Store) Get(key string) (value []byte, rev uint64, err error) {
	if err := checkKey(key); err != nil {
		return nil, 0, err
	}
	for range 1000 { // it may be changed while it is read
		rev, _, err := newest(s.folder(key))
		if err != nil {
			return nil, 0, fmt.Errorf("record %s: %w", key, err)
		}
		if rev == 0 {
			return nil, 0, fmt.Errorf("record %s: %w", key, ErrNotFound)
		}
		value, err := os.ReadFile(revision(s.folder(key), rev))
		if err == nil {
			return value, rev, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, 0, fmt.Errorf("record %s: %w", key, err)
		}
	}
	return nil, 0, fmt.Errorf("record %s: %w", key, ErrConflict)
}

// Set changes a record from the revision that Get returned, 0 where there is
// none, and returns the new one. ErrConflict where somebody was faster. The
// record is on disk then.
func (s *Store) Set(key string, value []byte, rev uint64) (uint64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	if err := s.locked(func() error { return s.set(key, value, rev) }); err != nil {
		return 0, fmt.Errorf("record %s: %w", key, err)
	}
	return rev + 1, nil
}

// locked runs f while nobody else writes a record, in this process or another.
func (s *Store) locked(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	file, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := keyfile.Lock(file); err != nil {
		return err
	}
	return f()
}

func (s *Store) set(key string, value []byte, rev uint64) error {
	folder := s.folder(key)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	last, old, err := newest(folder)
	switch {
	case err != nil:
		return err
	case last != rev:
		return ErrConflict
	}
	err = s.changing(key, func() error { return keyfile.Replace(revision(folder, rev+1), 0o640, value) })
	if err != nil {
		return err
	}
	for _, n := range old {
		_ = os.Remove(revision(folder, n)) // who finds it nevertheless finds the newer one too
	}
	return nil
}

// Keys are the records below a prefix, "release/lamp" for one, in order; their
// names without the prefix.
func (s *Store) Keys(prefix string) ([]string, error) {
	if err := checkKey(prefix); err != nil {
		return nil, err
	}
	list, err := os.ReadDir(s.folder(prefix))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("records %s: %w", prefix, err)
	}
	var keys []string
	for _, e := range list {
		if e.IsDir() {
			keys = append(keys, e.Name())
		}
	}
	slices.Sort(keys)
	return keys, nil
}
