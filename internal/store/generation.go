package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Generation is a number that changes with every record of a kind, the first
// part of its key: "release" for one. Who read all of them at a settled
// generation need not read them again while it is the same. It counts for as
// long as somebody has the store open, and no longer.
func (s *Store) Generation(kind string) (n uint64, settled bool, err error) {
	if err := checkKey(kind); err != nil {
		return 0, false, err
	}
	n, err = readGeneration(s.generation(kind))
	if err != nil {
		return 0, false, fmt.Errorf("generation of %s: %w", kind, err)
	}
	return n, n%2 == 0, nil
}

func (s *Store) generation(key string) string {
	kind, _, _ := strings.Cut(key, "/")
	return filepath.Join(s.dir, "generations", kind)
}

func readGeneration(path string) (uint64, error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, err
	case len(data) != 8: // it is just being made
		return 1, nil
	}
	return binary.BigEndian.Uint64(data), nil
}

// changing runs f, which changes a record. The generation is odd meanwhile; who
// dies in between leaves it so, until the next change.
func (s *Store) changing(key string, f func() error) error {
	path := s.generation(key)
	before, err := readGeneration(path)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	defer file.Close()
	begun := before | 1
	if err := writeGeneration(file, begun); err != nil {
		return err
	}
	return errors.Join(f(), writeGeneration(file, begun+1))
}

// writeGeneration writes over the eight bytes that are there: no full disk
// keeps it from that.
func writeGeneration(f *os.File, n uint64) error {
	_, err := f.WriteAt(binary.BigEndian.AppendUint64(nil, n), 0)
	return err
}
