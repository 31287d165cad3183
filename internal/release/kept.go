package release

import (
	"errors"
	"fmt"
	"slices"

	"station/internal/store"
)

// Records is where releases and their rollouts are kept.
type Records interface {
	Get(key string) (value []byte, revision uint64, err error)
	Keys(prefix string) ([]string, error)
	// Path is the file of a record at a revision.
	Path(key string, revision uint64) string
}

// Damaged is a record that is there and says nothing that can be used.
type Damaged struct {
	Path string
	Err  error
}

func (d *Damaged) Error() string {
	return fmt.Sprintf("%s: %v; all else goes on without it: bring its folder back from a backup, or move it out of the store", d.Path, d.Err)
}

func (d *Damaged) Unwrap() error { return d.Err }

// Key is where a release's document is kept; in order of its number.
func Key(product string, id int64) string { return fmt.Sprintf("release/%s/%019d", product, id) }

// RolloutKey is where a release's rollout is kept.
func RolloutKey(product string, id int64) string { return fmt.Sprintf("rollout/%s/%019d", product, id) }

// ClaimKey is where the product is kept that a number belongs to.
func ClaimKey(id int64) string { return fmt.Sprintf("id/%d", id) }

// Load reads a release.
func Load(r Records, product string, id int64) (doc *Release, revision uint64, err error) {
	return load(r, Key(product, id), Parse)
}

// LoadRollout reads a release's rollout, nil where there is none.
func LoadRollout(r Records, product string, id int64) (roll *Rollout, revision uint64, err error) {
	roll, revision, err = load(r, RolloutKey(product, id), ParseRollout)
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, nil
	}
	return roll, revision, err
}

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

// LoadAll reads all releases of a product, the newest first. What is damaged is left out,
// and leftOut is told.
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
		case errors.Is(err, store.ErrNotFound): // whoever began to write it did not come so far
		case err != nil:
			return nil, err
		default:
			list = append(list, doc)
		}
	}
	return list, nil
}
