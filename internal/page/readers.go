package page

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"station/internal/keyfile"
	"station/internal/site"
)

// Readers is a file of those who may read the page: a name and the digest of a token
// each. It is read at every question, so that who is taken out is out.
type Readers struct{ Path string }

// Reader is somebody who may read the page by a token.
type Reader struct {
	Name   string    `json:"name"`
	SHA256 string    `json:"sha256"` // of the token, which has 130 random bits
	Made   time.Time `json:"made"`
}

// List are all readers, in the order of their names.
func (r *Readers) List() (list []Reader, err error) {
	data, err := keyfile.Read(r.Path, keyfile.SideFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("readers of the page: %s: %w", r.Path, err)
	}
	return list, nil
}

// Add makes a token for a name that has none. It is told once: the file has its digest.
func (r *Readers) Add(name string) (token string, err error) {
	if err := site.CheckName("reader", name); err != nil {
		return "", err
	}
	list, err := r.List()
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(list, func(o Reader) bool { return o.Name == name }) {
		return "", fmt.Errorf("reader %s has a token; \"station site token revoke %s\" takes it away", name, name)
	}
	token = rand.Text()
	list = append(list, Reader{name, digest(token), time.Now().UTC().Truncate(time.Second)})
	slices.SortFunc(list, func(a, b Reader) int { return strings.Compare(a.Name, b.Name) })
	return token, r.write(list)
}

// ErrNoReader: nobody has a token under that name.
var ErrNoReader = errors.New("no reader of that name")

// Revoke takes a token away, and ends what is open with it.
func (r *Readers) Revoke(name string) error {
	list, err := r.List()
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(list), func(o Reader) bool { return o.Name == name })
	if len(left) == len(list) {
		return fmt.Errorf("%w: %s", ErrNoReader, name)
	}
	return r.write(left)
}

func (r *Readers) write(list []Reader) error {
	data, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	return keyfile.Replace(r.Path, 0o640, append(data, '\n'))
}

// who is the reader with that digest, compared in a time that tells nothing of it.
func (r *Readers) who(sum string) (Reader, bool) {
	list, err := r.List()
	if err != nil {
		return Reader{}, false
	}
	var found Reader
	for _, one := range list {
		if subtle.ConstantTimeCompare([]byte(one.SHA256), []byte(sum)) == 1 {
			found = one
		}
	}
	return found, found.Name != ""
}

func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
