package station

import (
	"fmt"

	"station/internal/record"
	"station/internal/release"
)

// All are the releases of a product, the newest first; of all products where it
// is empty.
func (r *Releases) All(product string) (list []*release.Release, err error) {
	products := []string{product}
	if product == "" {
		if products, err = r.Store.Keys("release"); err != nil {
			return nil, err
		}
	}
	for _, p := range products {
		ids, err := r.Store.Keys("release/" + p)
		if err != nil {
			return nil, err
		}
		for i := range ids {
			data, _, err := r.Store.Get("release/" + p + "/" + ids[len(ids)-1-i])
			if err != nil {
				return nil, err
			}
			doc, err := release.Parse(data)
			if err != nil {
				return nil, err
			}
			list = append(list, doc)
		}
	}
	return list, nil
}

// Find is the release of a number.
func (r *Releases) Find(id int64) (*release.Release, error) {
	product, _, err := r.Store.Get(fmt.Sprintf("id/%d", id))
	if err != nil {
		return nil, fmt.Errorf("release %d: %w", id, err)
	}
	data, _, err := r.Store.Get(ReleaseKey(string(product), id))
	if err != nil {
		return nil, err
	}
	return release.Parse(data)
}

// Withdraw takes a release back: it is offered to nobody any more. Once more is
// no fault, and keeps the first reason.
func (r *Releases) Withdraw(id int64, why string) (*release.Release, error) {
	doc, err := r.Find(id)
	if err != nil || doc.Withdrawn != "" {
		return doc, err
	}
	data, revision, err := r.Store.Get(ReleaseKey(doc.Product, id))
	if err != nil {
		return nil, err
	}
	if doc, err = release.Parse(data); err != nil {
		return nil, err
	}
	if err := r.append(record.ReleaseWithdrawn, record.Field{Product: doc.Product, Release: id, Version: doc.Version, App: doc.App}, why); err != nil {
		return nil, err
	}
	doc.Withdrawn = why
	_, err = r.Store.Set(ReleaseKey(doc.Product, id), doc.JSON(), revision)
	return doc, err
}
