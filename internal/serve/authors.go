package serve

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"station/internal/keyfile"
)

// AuthorFile knows authors by a file of lines NAME:HASH, as "htpasswd -B" makes
// it (bcrypt).
type AuthorFile struct {
	hashes map[string][]byte

	mu    sync.Mutex
	right map[[sha256.Size]byte]bool // credentials that were found right: bcrypt is slow on purpose
}

// ReadAuthors reads the file; the error has every fault.
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

// Author tells whether the secret is that of the author.
func (a *AuthorFile) Author(name, secret string) bool {
	hash, known := a.hashes[name]
	if !known || len(secret) > 72 { // bcrypt looks at no more
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock() // one at a time: who guesses does not take the machine from the devices
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
