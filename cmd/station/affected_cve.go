package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"station/internal/keyfile"
	"station/internal/plain"
	field "station/internal/release"
	"station/internal/station"
	"station/internal/store"
)

// hit are the releases that a vulnerability is in, by their bills of materials
// and by what a scanner found, if there is such a file. Never nil without a fault.
func hit(f *releaseFlags, cve, scan string) ([]*field.Release, error) {
	names, found, err := scanned(cve, scan)
	if err != nil {
		return nil, err
	}
	dir, err := f.dir()
	if err != nil {
		return nil, fmt.Errorf("--cve looks in a store of releases; name it with --store (%w)", err)
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) { // it would be made, and say that all is well
		return nil, fmt.Errorf("--cve: there is no store of releases %s; name it with --store", dir)
	}
	s, err := store.Open(dir)
	if err != nil {
		return nil, stationFault(err)
	}
	releases := &station.Releases{Store: s, LeftOut: tellDamaged}
	all, err := releases.All("")
	if err != nil {
		return nil, stationFault(err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("--cve: the store %s has no releases; is it the right one? --store names another", dir)
	}
	hits, unknown := []*field.Release{}, []string(nil)
	for _, r := range all {
		b, err := bomOf(r, s)
		if err != nil {
			unknown = append(unknown, fmt.Sprintf("release %d of %s: %v", r.ID, r.Product, err))
			continue
		}
		if affected, _ := b.Finds(names...); !affected && !b.Has(found) {
			continue
		}
		if _, err := releases.Fill(r); err != nil {
			return nil, stationFault(err)
		}
		hits = append(hits, r)
	}
	if unknown != nil {
		plain.Fprintf(stderr, "station: nothing can be said of %d of %s:\n", len(unknown), plain.Count(len(all), "release"))
		for _, why := range unknown {
			plain.Fprintf(stderr, "%s\n", why)
		}
	}
	return hits, nil
}

// scanned are the names of a vulnerability and the components that it is in, as a scanner
// says; without its file, the name alone.
func scanned(cve, scan string) (names []string, found []field.BOMComponent, err error) {
	if scan == "" {
		return []string{cve}, nil, nil
	}
	data, err := keyfile.Read(scan, keyfile.Proof)
	if err != nil {
		return nil, nil, fmt.Errorf("--scan: %w", err)
	}
	b, err := field.ParseBOM(data)
	if err != nil {
		return nil, nil, fmt.Errorf("--scan %s: %w", scan, err)
	}
	if _, said := b.Finds(cve); !said {
		return nil, nil, fmt.Errorf("--scan %s says nothing of %s", scan, cve)
	}
	return b.Names(cve), b.Hit(cve), nil
}

// bomOf is the bill of materials of a release.
func bomOf(r *field.Release, s *store.Store) (*field.BOM, error) {
	f, ok := r.Form(field.KindSBOM)
	if !ok {
		return nil, fmt.Errorf("it has no bill of materials")
	}
	file, err := s.Artifact(store.Digest(f.SHA256))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, field.MaxBOM))
	if err != nil {
		return nil, err
	}
	return field.ParseBOM(data)
}
