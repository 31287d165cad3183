package release

import (
	"errors"
	"fmt"
	"slices"

	"station/internal/store"
)

// Records is the part of a store that has releases and their rollouts.
type Records interface {
	Get(key string) (value []byte, revision uint64, err error)
	Keys(prefix string) ([]string, error)
	// Path is the path of the file that has the record at that revision.
	Path(key string, revision uint64) string
}

// Damaged is the error of a record that exists but cannot be read or breaks its format.
type Damaged struct {
	Path string
	Err  error
}

func (d *Damaged) Error() string {
	return fmt.Sprintf("%s: %v; all else goes on without it: bring its folder back from a backup, or move it out of the store", d.Path, d.Err)
}

func (d *Damaged) Unwrap() error { return d.Err }

// Key is the store's key for the document of a release. Keys of a product sort by
// number.
func Key(product string, id int64) string { return fmt.Sprintf("release/%s/%019d", product, id) }

// RolloutKey is the store's key for the rollout of a release.
func RolloutKey(product string, id int64) string { return fmt.Sprintf("rollout/%s/%019d", product, id) }

// ClaimKey is the store's key for the name of the product that has taken a release
// number.
func ClaimKey(id int64) string { return fmt.Sprintf("id/%d", id) }

// Load reads the document of a release. The error is store.ErrNotFound if there is none,
// *Damaged if it cannot be used.
func Load(r Records, product string, id int64) (doc *Release, revision uint64, err error) {
	return load(r, Key(product, id), Parse)
}

// LoadRollout reads the rollout of a release; nil if there is none.
func LoadRollout(r Records, product string, id int64) (roll *Rollout, revision uint64, err error) {
	roll, revision, err = load(r, RolloutKey(product, id), ParseRollout)
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, nil
	}
	return roll, revision, err
}

// load reads a record with parse. An error of parse becomes *Damaged.
func load[T any](r Records, key string, parse func([]byte) (*T, error)) (*T, uint64, error) {
	data, revision, err := r.Get(key)
	if err != nil {
		return nil, 0, err
	}
	v, err := parse(data)
	if err != nil {
		return nil, revision, &Damaged{r.Path(key, revision), err}
	}
	return v, revision, nil
}

// LoadAll reads all releases of a product, the newest first. It skips damaged ones and
// calls leftOut with each.
func LoadAll(r Records, product string, leftOut func(*Damaged)) (list []*Release, err error) {
	ids, err := r.Keys("release/" + product)
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Backward(ids) {
		doc, _, err := load(r, "release/"+product+"/"+id, Parse)
		damaged, is := errors.AsType[*Damaged](err)
		switch {
		case is:
			leftOut(damaged)
		case errors.Is(err, store.ErrNotFound): // its writer ended before it was written
		case err != nil:
			return nil, err
		default:
			list = append(list, doc)
		}
	}
	return list, nil
}
