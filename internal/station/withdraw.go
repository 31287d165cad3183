package station

import (
	"errors"
	"fmt"

	"station/internal/record"
	"station/internal/release"
	"station/internal/store"
)

// All are the releases of a product, the newest first; of all products where it
// is empty. What is damaged is left out, and told.
func (r *Releases) All(product string) (list []*release.Release, err error) {
	products := []string{product}
	if product == "" {
		if products, err = r.Store.Keys("release"); err != nil {
			return nil, err
		}
	}
	for _, p := range products {
		docs, err := release.LoadAll(r.Store, p, r.leftOut)
		if err != nil {
			return nil, err
		}
		list = append(list, docs...)
	}
	return list, nil
}

func (r *Releases) leftOut(d *release.Damaged) {
	if r.LeftOut != nil {
		r.LeftOut(d)
	}
}

// Find is the release of a number.
func (r *Releases) Find(id int64) (*release.Release, error) {
	doc, _, err := r.find(id)
	return doc, err
}

func (r *Releases) find(id int64) (doc *release.Release, revision uint64, err error) {
	product, _, err := r.Store.Get(release.ClaimKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, fmt.Errorf("release %d: there is none in %s; \"station release list\" shows which there are, --store names another folder", id, r.Store.Dir())
	}
	if err != nil {
		return nil, 0, fmt.Errorf("release %d: %w", id, err)
	}
	return release.Load(r.Store, string(product), id)
}

// Withdraw takes a release back: it is offered to nobody any more. Once more is
// no fault, and keeps the first reason.
func (r *Releases) Withdraw(id int64, why string) (*release.Release, error) {
	doc, revision, err := r.find(id)
	if err != nil || doc.Withdrawn != "" {
		return doc, err
	}
	if err := r.append(record.ReleaseWithdrawn, record.Field{Product: doc.Product, Release: id, Version: doc.Version, App: doc.App}, why); err != nil {
		return nil, err
	}
	doc.Withdrawn = why
	_, err = r.Store.Set(release.Key(doc.Product, id), doc.JSON(), revision)
	return doc, err
}
