// Package store keeps what a server gives out: artifacts by their digest, and
// small records that are changed by compare-and-set. It is a folder that several
// processes may have open at the same time: reading needs no lock, and writing
// a record takes one for as long as that lasts. Who uses it declares the
// interface that it needs: a cluster can take the folder's place.
//
//	artifacts/ab/abcd…   the bytes whose SHA-256 is the name
//	incoming/abcd…       what has come of an artifact so far
//	records/KEY/N        the record at its N-th change
//	generations/KIND     how often records of the kind have changed
//	lock                 held by whoever changes a record
package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// What can be wrong.
var (
	// ErrNotFound: there is none.
	ErrNotFound = errors.New("there is none")
	// ErrConflict: the record has been changed by somebody else.
	ErrConflict = errors.New("somebody else changed it meanwhile")
	// ErrDigest: the bytes are not those of the digest.
	ErrDigest = errors.New("its SHA-256 is another one")
	// ErrTooLarge: it has more bytes than it may.
	ErrTooLarge = errors.New("it is too large")
	// ErrOffset: what comes does not begin where the part that is here ends.
	ErrOffset = errors.New("it does not go on where the last part ended")
	// ErrLength: more came than was announced.
	ErrLength = errors.New("it has more bytes than were announced")
)

// Digest is the SHA-256 of an artifact, "sha256:" and hexadecimal digits.
type Digest string

const digestPrefix = "sha256:"

// ParseDigest reads a digest that somebody else wrote.
func ParseDigest(s string) (Digest, error) {
	digits, ok := strings.CutPrefix(s, digestPrefix)
	if raw, err := hex.DecodeString(digits); !ok || err != nil || len(raw) != sha256.Size || digits != hex.EncodeToString(raw) {
		return "", fmt.Errorf("digest %.80q: want sha256: and 64 hexadecimal digits in lower case", s)
	}
	return Digest(s), nil
}

// DigestOf is the digest of a SHA-256.
func DigestOf(sum []byte) Digest { return Digest(digestPrefix + hex.EncodeToString(sum)) }

// Hex are the digits alone.
func (d Digest) Hex() string { return strings.TrimPrefix(string(d), digestPrefix) }

// Store is a folder of artifacts and records.
type Store struct {
	dir string
	mu  sync.Mutex // of those that write records
}

// Open opens the store in a folder, and makes the folder where there is none.
func Open(dir string) (*Store, error) {
	for _, sub := range []string{"artifacts", "incoming", "records", "generations"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o750); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
	}
	return &Store{dir: dir}, nil
}

// Dir is the folder.
func (s *Store) Dir() string { return s.dir }

// Sum is the SHA-256 itself.
func (d Digest) Sum() (sum [sha256.Size]byte) {
	_, _ = hex.Decode(sum[:], []byte(d.Hex()))
	return sum
}
