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
	"path/filepath"
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
	token = rand.Text()
	return token, r.change(func(list []Reader) ([]Reader, error) { return withReader(list, name, token) })
}

func withReader(list []Reader, name, token string) ([]Reader, error) {
	if slices.ContainsFunc(list, func(o Reader) bool { return o.Name == name }) {
		return nil, fmt.Errorf("reader %s has a token; \"station site token revoke %s\" takes it away", name, name)
	}
	list = append(list, Reader{name, digest(token), time.Now().UTC().Truncate(time.Second)})
	slices.SortFunc(list, func(a, b Reader) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// ErrNoReader: nobody has a token under that name.
var ErrNoReader = errors.New("no reader of that name")

// Revoke takes a token away, and ends what is open with it.
func (r *Readers) Revoke(name string) error {
	return r.change(func(list []Reader) ([]Reader, error) { return withoutReader(list, name) })
}

func withoutReader(list []Reader, name string) ([]Reader, error) {
	left := slices.DeleteFunc(slices.Clone(list), func(o Reader) bool { return o.Name == name })
	if len(left) == len(list) {
		return nil, fmt.Errorf("%w: %s", ErrNoReader, name)
	}
	return left, nil
}

// change replaces the file while nobody else does.
func (r *Readers) change(change func([]Reader) ([]Reader, error)) error {
	return keyfile.Alone(filepath.Dir(r.Path), func() error {
		list, err := r.List()
		if err == nil {
			list, err = change(list)
		}
		if err != nil {
			return err
		}
		data, err := json.MarshalIndent(list, "", "  ")
		if err != nil {
			return err
		}
		return keyfile.Replace(r.Path, 0o640, append(data, '\n'))
	})
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
