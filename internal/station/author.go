package station

import (
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"station/internal/firmware"
	"station/internal/job"
	"station/internal/record"
	"station/internal/release"
	"station/internal/secret"
	"station/internal/store"
)

// Releases is where an author's releases are: entries in the ledger, files in
// the store.
type Releases struct {
	Ledger    ReleaseLedger
	Store     *store.Store
	Operator  string
	Simulated bool
	LeftOut   func(*release.Damaged) // is told of what cannot be read; nil: nobody
}

// ReleaseLedger is the ledger as an author needs it.
type ReleaseLedger interface {
	Fields(kind record.Kind) ([]record.Field, error) // of all entries of a kind, oldest first
	// Highest is the device of the product that has the highest secure version on record.
	Highest(product string) (release.Device, error)
	Append(e record.Entry) error
}

// NewRelease is what a release is made of.
type NewRelease struct {
	App      []byte // as the build made it, or signed
	Product  string
	Name     string // of the firmware; empty is its project
	ID       int64  // 0 is the next number
	Jobs     []*job.Job
	SBOM     []byte
	Boot     crypto.Signer    // signs an app that is not signed; nil leaves it
	Fleet    crypto.PublicKey // pre-encrypts, RSA-3072 or P-256; nil makes no such form
	Manifest *rsa.PublicKey   // encrypts the manifest; nil makes none
	Author   crypto.Signer    // signs the manifest, where there is to be one
	Bundler  crypto.Signer    // signs the bundle, where devices share a key
	Key      *secret.Bytes    // that they share; nil makes no bundle
}

// ErrNumberTaken: another release has the number.
var ErrNumberTaken = errors.New("the number is taken by other content; \"station release list\" shows by what")

// Make checks an app, makes the forms that the product's devices need and
// records them. The same app once more is the same release, with the same files.
func (r *Releases) Make(ctx context.Context, n NewRelease) (*release.Release, error) {
	image, err := n.check()
	if err != nil {
		return nil, err
	}
	made, err := r.Ledger.Fields(record.ReleaseMade)
	if err != nil {
		return nil, err
	}
	input := digestOf(n.App)
	var lacking error
	for _, f := range made {
		if release.CheckID(f.Release) != nil || f.Product != n.Product || f.Input != input || !slices.Equal(f.Jobs, jobDigests(n.Jobs)) || n.ID != 0 && n.ID != f.Release {
			continue
		}
		if lacking = n.lacks(f); lacking == nil {
			return r.again(f, &n, image)
		}
	}
	if lacking != nil {
		return nil, lacking
	}
	if slices.ContainsFunc(made, func(f record.Field) bool { return n.ID != 0 && f.Release == n.ID }) { // also where the store was lost
		return nil, fmt.Errorf("release %d: %w", n.ID, ErrNumberTaken)
	}
	if err := r.notLower(n.Product, image.App.SecureVersion, made); err != nil {
		return nil, err
	}
	doc := n.document(image)
	if err := r.forms(&n, doc); err != nil {
		return nil, err
	}
	if doc.ID == 0 {
		if doc.ID, err = r.next(made); err != nil {
			return nil, err
		}
	}
	if _, err := release.Parse(doc.JSON()); err != nil {
		return nil, err
	}
	switch _, err := r.Store.Set(release.ClaimKey(doc.ID), []byte(doc.Product), 0); {
	case errors.Is(err, store.ErrConflict):
		return nil, fmt.Errorf("release %d: %w", doc.ID, ErrNumberTaken)
	case err != nil:
		return nil, fmt.Errorf("release %d: %w", doc.ID, err)
	}
	field := doc.Field()
	field.Input, field.InputFilled = input, release.FilledDigest(n.App)
	if err := r.append(record.ReleaseMade, field, ""); err != nil {
		return nil, err
	}
	return doc, r.write(doc)
}

// lacks tells what is asked for and was not made when the same app for the same jobs became
// a release: that one stays as it is.
func (n *NewRelease) lacks(f record.Field) error {
	asked := []struct {
		is   bool
		kind release.Kind
		what string
	}{{n.Fleet != nil, release.KindEncrypted, "a pre-encrypted app"}, {n.Manifest != nil, release.KindManifest, "a manifest"}, {n.SBOM != nil, release.KindSBOM, "a bill of materials"}}
	var missing []string
	for _, a := range asked {
		if a.is && !slices.ContainsFunc(f.Forms, func(had record.FieldForm) bool { return had.Kind == string(a.kind) }) {
			missing = append(missing, a.what)
		}
	}
	if n.Boot != nil && f.App == f.Input && !n.isSigned() {
		missing = append(missing, "a signature")
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("release: release %d is this app for these jobs, made without %s; to make another one with it, give a free number with --id", f.Release, strings.Join(missing, " and "))
}

// notLower holds a secure version against what devices of the product have: releases, what
// the line wrote, what devices took.
func (r *Releases) notLower(product string, secure uint32, made []record.Field) error {
	for _, f := range made {
		if f.Product == product && f.SecureVersion > secure {
			return fmt.Errorf("release: the app's secure version is %d, that of release %d is %d: devices that have it would refuse this one", secure, f.Release, f.SecureVersion)
		}
	}
	d, err := r.Ledger.Highest(product)
	if err == nil && d.SecureVersion > secure {
		err = fmt.Errorf("release: the app's secure version is %d, that of what device %s has is %d: it would refuse this one", secure, d.MAC, d.SecureVersion)
	}
	return err
}

// check tells everything that is wrong with what is given.
func (n *NewRelease) check() (*firmware.Image, error) {
	faults := []error{release.CheckProduct(n.Product)}
	if n.ID != 0 {
		if err := release.CheckID(n.ID); err != nil {
			faults = append(faults, fmt.Errorf("release: --id: %w", err))
		}
	}
	image, err := firmware.ParseImage(n.App)
	if err != nil {
		return nil, fmt.Errorf("release: the app: %w", err)
	}
	if image.App == nil {
		return nil, errors.New("release: the app has no descriptor: it is no app, or it is encrypted")
	}
	for _, j := range n.Jobs {
		if j.Name != n.Product {
			faults = append(faults, fmt.Errorf("release: %s is of the product %s", j.Path, j.Name))
		}
		if j.Chip().ImageID != image.ChipID {
			faults = append(faults, fmt.Errorf("release: the app is for the chip with ID %d, %s for the %s, which has ID %d", image.ChipID, j.Path, j.Chip().Title, j.Chip().ImageID))
		}
	}
	for _, j := range n.Jobs {
		for _, region := range j.Regions {
			if s := region.SecureVersion; s != nil && *s > image.App.SecureVersion {
				faults = append(faults, fmt.Errorf("release: the app's secure version is %d, that of the image %s of %s is %d: its devices would refuse this one", image.App.SecureVersion, region.Name, j.Path, *s))
			}
		}
	}
	if n.Manifest != nil && n.Author == nil || n.Key != nil && n.Bundler == nil {
		faults = append(faults, errors.New("release: the key that signs is missing"))
	}
	return image, errors.Join(faults...)
}

func (n *NewRelease) document(image *firmware.Image) *release.Release {
	doc := &release.Release{Format: release.Format, ID: n.ID, Product: n.Product, Name: n.Name, Version: image.App.Version,
		SecureVersion: image.App.SecureVersion, Chip: image.ChipID, Jobs: jobDigests(n.Jobs), JobsSecureVersion: jobsSecureVersion(n.Jobs)}
	if doc.Name == "" {
		doc.Name = n.Product
	}
	return doc
}

// jobsSecureVersion is the highest secure version of the apps that jobs write; nil where that
// of one cannot be read.
func jobsSecureVersion(jobs []*job.Job) *uint32 {
	highest, apps := uint32(0), 0
	for _, j := range jobs {
		for _, region := range j.Regions {
			if region.Slot == "" {
				continue
			}
			if region.SecureVersion == nil {
				return nil
			}
			highest, apps = max(highest, *region.SecureVersion), apps+1
		}
	}
	if apps == 0 {
		return nil
	}
	return &highest
}

func jobDigests(jobs []*job.Job) (list []string) {
	for _, j := range jobs {
		list = append(list, j.Digest())
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// next is the number after the highest. What is out of bounds an older program took: it counts not.
func (r *Releases) next(made []record.Field) (id int64, err error) {
	keys, err := r.Store.Keys("id")
	if err != nil {
		return 0, err
	}
	for _, k := range keys {
		if n, err := release.ParseID(k); err == nil {
			id = max(id, n)
		}
	}
	for _, f := range made {
		if release.CheckID(f.Release) == nil {
			id = max(id, f.Release)
		}
	}
	if id == release.MaxID {
		return 0, fmt.Errorf("release: %d, the last number that there is, is taken: give one that is free with --id", id)
	}
	return id + 1, nil
}

// again is the release that an entry tells of, whose files are still there.
func (r *Releases) again(f record.Field, n *NewRelease, image *firmware.Image) (*release.Release, error) {
	doc := n.document(image)
	doc.ID, doc.App = f.Release, f.App
	kept, revision, err := release.Load(r.Store, f.Product, f.Release)
	if err == nil { // an older program may have made it
		var filled bool
		if filled, err = r.Fill(kept); err == nil && (kept.Complete(doc) || filled) {
			_, err = r.Store.Set(release.Key(kept.Product, kept.ID), kept.JSON(), revision)
		}
		return kept, err
	}
	if !errors.Is(err, store.ErrNotFound) {
		return kept, err
	}
	for _, form := range f.Forms {
		if err := r.restore(doc, form); err != nil {
			return nil, err
		}
	}
	if _, err := r.Fill(doc); err != nil {
		return nil, err
	}
	return doc, r.write(doc)
}

// restore finds a file again that was made when the document could not be written.
func (r *Releases) restore(doc *release.Release, form record.FieldForm) error {
	file, err := r.Store.Artifact(store.Digest(form.SHA256))
	if err != nil {
		return fmt.Errorf("release %d: its %s was made and is no longer in the store: %w; make it anew under another number with --id", doc.ID, form.Kind, err)
	}
	defer file.Close()
	f, err := r.put(release.Kind(form.Kind), file)
	if err != nil {
		return err
	}
	switch f.Kind {
	case release.KindApp:
		doc.AppSize = f.Size
	case release.KindBundle:
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		head := make([]byte, release.BundleHeaderSize)
		if _, err := io.ReadFull(file, head); err != nil {
			return err
		}
		b, err := release.ParseBundle(head)
		if err != nil {
			return err
		}
		if err := doc.HasBundle(b); err != nil {
			return fmt.Errorf("release %d: %w", doc.ID, err)
		}
		f.Check = hex.EncodeToString(b.Check[:])
	}
	doc.Forms = append(doc.Forms, f)
	return nil
}

// write writes a release's document, where there is none.
func (r *Releases) write(doc *release.Release) error {
	_, err := r.Store.Set(release.Key(doc.Product, doc.ID), doc.JSON(), 0)
	return err
}

func (r *Releases) append(kind record.Kind, f record.Field, why string) error {
	about, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return r.Ledger.Append(record.Entry{Kind: kind, Operator: r.Operator, Simulated: r.Simulated, Message: why, About: about})
}
