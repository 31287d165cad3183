package main

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"station/internal/keyfile"
	"station/internal/record"
	field "station/internal/release"
	"station/internal/station"
	"station/internal/store"
)

// digestsOf are the digests of a firmware that is named by one, or by its file: then also as
// a line encrypts it.
func digestsOf(firmware string) ([]string, error) {
	if firmware == "" {
		return nil, nil
	}
	if strings.HasPrefix(firmware, "sha256:") {
		firmware = strings.ToLower(firmware)
		_, err := store.ParseDigest(firmware)
		if err != nil {
			err = fmt.Errorf("%w; \"station release show\" and \"station job check --json\" name it", err)
		}
		return []string{firmware}, err
	}
	data, err := keyfile.Read(firmware, keyfile.Image)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s; of a digest, want sha256: and 64 hexadecimal digits", firmware)
	}
	if err != nil {
		return nil, err
	}
	digests := []string{fmt.Sprintf("sha256:%x", sha256.Sum256(data))}
	if filled := field.FilledDigest(data); filled != "" {
		digests = append(digests, filled)
	}
	return digests, nil
}

// knownReleases are the releases of a store, none where there is none, with what an older
// program did not note of their apps.
func knownReleases(dir string) ([]*field.Release, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	s, err := store.Open(dir)
	if err != nil {
		return nil, err
	}
	releases := &station.Releases{Store: s, LeftOut: tellDamaged}
	all, err := releases.All("")
	for _, r := range all {
		if err == nil {
			_, err = releases.Fill(r)
		}
	}
	return all, err
}

// withFilled gives entries of an older program the digest of an app as a line encrypts it.
func withFilled(entries []record.Field, known []*field.Release) {
	for i := range entries {
		f := &entries[i]
		at := slices.IndexFunc(known, func(r *field.Release) bool { return r.ID == f.Release && r.App == f.App })
		if at < 0 {
			continue
		}
		f.AppFilled = cmp.Or(f.AppFilled, known[at].AppFilled)
		if f.Input == f.App {
			f.InputFilled = f.AppFilled
		}
	}
}
