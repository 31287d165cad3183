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
}

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
	return v, revision, err
}

// LoadAll reads all releases of a product, the newest first.
func LoadAll(r Records, product string) (list []*Release, err error) {
	ids, err := r.Keys("release/" + product)
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Backward(ids) {
		doc, _, err := load(r, "release/"+product+"/"+id, Parse)
		if err != nil {
			return nil, err
		}
		list = append(list, doc)
	}
	return list, nil
}
