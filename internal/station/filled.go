package station

import (
	"errors"
	"io"

	"station/internal/firmware"
	"station/internal/release"
	"station/internal/store"
)

// Fill gives a release the digest of its app as a line encrypts it, which an older program did
// not note, by the app in the store; one without an app there stays as it is. It tells whether it did.
func (r *Releases) Fill(doc *release.Release) (filled bool, err error) {
	form, ok := doc.Form(release.KindApp)
	if !ok || doc.AppFilled != "" || form.SHA256 != doc.App || form.Size%firmware.CryptAlign == 0 {
		return false, nil
	}
	file, err := r.Store.Artifact(store.Digest(form.SHA256))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	app, err := io.ReadAll(file)
	if err != nil {
		return false, err
	}
	doc.AppFilled = release.FilledDigest(app)
	return doc.AppFilled != "", nil
}
