package serve

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"station/internal/keyfile"
)

// AuthorFile checks authors' passwords against a file with a line NAME:HASH for each
// author. The hash is bcrypt, as "htpasswd -B" writes it.
type AuthorFile struct {
	hashes map[string][]byte

	mu    sync.Mutex
	right map[[sha256.Size]byte]bool // SHA-256 of name and password of each successful check: bcrypt is slow on purpose
}

// ReadAuthors reads an authors' file. The error names every bad line.
func ReadAuthors(path string) (*AuthorFile, error) {
	data, err := keyfile.Read(path, keyfile.Key)
	if err != nil {
		return nil, fmt.Errorf("authors: %w", err)
	}
	a := &AuthorFile{hashes: map[string][]byte{}, right: map[[sha256.Size]byte]bool{}}
	var faults []string
	for i, line := range strings.Split(string(data), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, hash, _ := strings.Cut(line, ":")
		if _, err := bcrypt.Cost([]byte(hash)); name == "" || err != nil {
			faults = append(faults, fmt.Sprintf("%s:%d: want NAME:HASH as htpasswd -B makes it", path, i+1))
			continue
		}
		a.hashes[name] = []byte(hash)
	}
	if faults != nil {
		return nil, fmt.Errorf("authors: %s", strings.Join(faults, "\n"))
	}
	return a, nil
}

// Author tells whether secret is the password of the author with that name.
func (a *AuthorFile) Author(name, secret string) bool {
	hash, known := a.hashes[name]
	if !known || len(secret) > 72 { // bcrypt takes at most 72 bytes
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock() // one check at a time, so that somebody who guesses passwords leaves a CPU for the devices
	sum := sha256.Sum256([]byte(name + "\x00" + secret))
	if a.right[sum] {
		return true
	}
	if bcrypt.CompareHashAndPassword(hash, []byte(secret)) != nil {
		return false
	}
	a.right[sum] = true
	return true
}
