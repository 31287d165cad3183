package release

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"

	"station/internal/firmware"
	"station/internal/record"
	"station/internal/store"
)

// Format is the version of a release's JSON document.
const Format = 1

// Release is one version of a product's firmware: what it is, which devices it fits, and
// its files. The store keeps it as a JSON document; the digests of its files are in the
// ledger too.
type Release struct {
	Format        int    `json:"format"`
	ID            int64  `json:"id"` // unique among all products; a newer release has a higher one
	Product       string `json:"product"`
	Name          string `json:"name"` // of the firmware
	Version       string `json:"version,omitempty"`
	SecureVersion uint32 `json:"secureVersion,omitempty"`
	Chip          uint16 `json:"chip,omitempty"`    // chip ID as in the header of an ESP image
	App           string `json:"app,omitempty"`     // sha256:… of the plain app with its signature; absent if the release does not tell its app
	AppSize       int64  `json:"appSize,omitempty"` // bytes of the same
	// AppFilled is sha256:… of the app with the padding that a line adds before it encrypts. By
	// that digest versions 1 and 2 of the ledger's entries name an app. Absent if there is no
	// padding, or if an older version of this program made the release.
	AppFilled string   `json:"appFilled,omitempty"`
	Jobs      []string `json:"jobs,omitempty"` // digests of the jobs whose devices it fits; absent: all devices of the product
	// JobsSecureVersion is the highest secure version of the apps in those jobs. That of the
	// release is not lower. Absent if the jobs were not checked.
	JobsSecureVersion *uint32 `json:"jobsSecureVersion,omitempty"`
	Forms             []Form  `json:"forms"`
	Withdrawn         string  `json:"withdrawn,omitempty"` // why it was withdrawn; absent if it was not
}

// Kind is what kind of file a form of a release is.
type Kind string

// The kinds.
const (
	KindApp       Kind = "app"       // the plain app with its signature: protected only by TLS on its way
	KindEncrypted Kind = "encrypted" // esp_encrypted_img
	KindBundle    Kind = "bundle"    // slot bundle: see Bundle
	KindManifest  Kind = "manifest"  // see Manifest
	KindSBOM      Kind = "sbom"      // bill of materials: see BOM
	KindOther     Kind = "other"     // for devices that are no ESP32, such as a .swu of SWUpdate
)

// Files are the names under which the update server has the files of a release.
var Files = map[Kind]string{KindApp: "app.bin", KindEncrypted: "app.ota", KindBundle: "slots.bundle", KindManifest: "manifest", KindSBOM: "sbom", KindOther: "image.swu"}

// KindOf is the kind of the file with that name; false if there is none.
func KindOf(file string) (Kind, bool) {
	for kind, name := range Files {
		if name == file {
			return kind, true
		}
	}
	return "", false
}

// Form is one file of a release.
type Form struct {
	Kind   Kind   `json:"kind"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`          // sha256:…
	SHA1   string `json:"sha1,omitempty"`  // for clients that want it; not a proof
	MD5    string `json:"md5,omitempty"`   // the same
	Check  string `json:"check,omitempty"` // of a bundle: check value of the flash key, hexadecimal
}

// Parse reads and checks the JSON document of a release. The error names every fault.
func Parse(data []byte) (*Release, error) {
	r := &Release{}
	if err := jsonv2.Unmarshal(data, r, jsonv2.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	return r, r.check()
}

// JSON is the document, which Parse reads.
func (r *Release) JSON() []byte {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil { // cannot happen: it holds only strings and numbers
		panic(err)
	}
	return append(b, '\n')
}

const maxText = 128 // bytes of a version

// check checks a document against the format. The error names every fault.
func (r *Release) check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("release: "+format, args...)) }
	if r.Format != Format {
		fault("format %d; this program knows %d", r.Format, Format)
	}
	if err := CheckID(r.ID); err != nil {
		faults = append(faults, fmt.Errorf("release: %w", err))
	}
	for what, name := range map[string]string{"product": r.Product, "name": r.Name} {
		if err := CheckProduct(name); err != nil {
			fault("%s: %w", what, err)
		}
	}
	if len(r.Version) > maxText || len(r.Withdrawn) > maxText*8 || len(r.Jobs) > 1000 {
		fault("a text of it is too long")
	}
	if r.JobsSecureVersion != nil && *r.JobsSecureVersion > r.SecureVersion {
		fault("secure version %d, that of an app of its jobs is %d", r.SecureVersion, *r.JobsSecureVersion)
	}
	if len(r.Forms) == 0 || len(r.Forms) > len(Files) {
		fault("%d forms, want 1 to %d", len(r.Forms), len(Files))
	}
	seen := map[Kind]bool{}
	for _, f := range r.Forms {
		if Files[f.Kind] == "" || seen[f.Kind] {
			fault("form %q is not known, or there twice", f.Kind)
		}
		seen[f.Kind] = true
		if f.Size <= 0 || !isDigest(f.SHA256) {
			fault("form %q: %d bytes, digest %.80q: want some bytes and sha256:…", f.Kind, f.Size, f.SHA256)
		}
	}
	if r.AppFilled != "" && r.App == "" {
		fault("appFilled without app")
	}
	for _, digest := range []string{r.App, r.AppFilled} {
		if digest != "" && !isDigest(digest) {
			fault("app: digest %.80q", digest)
		}
	}
	return errors.Join(faults...)
}

func isDigest(s string) bool {
	_, err := store.ParseDigest(s)
	return err == nil
}

// Form is the form of that kind; false if the release has none.
func (r *Release) Form(kind Kind) (Form, bool) {
	i := slices.IndexFunc(r.Forms, func(f Form) bool { return f.Kind == kind })
	if i < 0 {
		return Form{}, false
	}
	return r.Forms[i], true
}

// Is tells whether a digest is that of the release's app, without or with the line's
// padding.
func (r *Release) Is(digest string) bool {
	return digest != "" && (digest == r.App || digest == r.AppFilled)
}

// FilledDigest is the digest of an app with the padding that a line adds before it
// encrypts; "" if there is none.
func FilledDigest(app []byte) string {
	filled := firmware.Filled(app)
	if len(filled) == len(app) {
		return ""
	}
	sum := sha256.Sum256(filled)
	return string(store.DigestOf(sum[:]))
}

// Same tells whether two documents have the same content. It ignores what may be added
// later: the withdrawal, JobsSecureVersion, AppFilled, and the SHA-1 and MD5 of files.
func (r *Release) Same(o *Release) bool {
	bare := func(r *Release) string {
		c := *r
		c.Withdrawn, c.JobsSecureVersion, c.AppFilled, c.Forms = "", nil, "", slices.Clone(r.Forms)
		for i := range c.Forms {
			c.Forms[i].SHA1, c.Forms[i].MD5 = "", ""
		}
		return string(c.JSON())
	}
	return bare(r) == bare(o)
}

// Complete copies from o, a document with the same content, what r does not have: the
// withdrawal, JobsSecureVersion and AppFilled. It tells whether anything changed.
func (r *Release) Complete(o *Release) (changed bool) {
	if r.Withdrawn == "" && o.Withdrawn != "" {
		r.Withdrawn, changed = o.Withdrawn, true
	}
	if r.JobsSecureVersion == nil && o.JobsSecureVersion != nil {
		r.JobsSecureVersion, changed = o.JobsSecureVersion, true
	}
	if r.AppFilled == "" && o.AppFilled != "" {
		r.AppFilled, changed = o.AppFilled, true
	}
	return changed
}

// HasBundle returns nil if the bundle was made from the release's app; else the error
// names what differs.
func (r *Release) HasBundle(b *Bundle) error {
	app := firmware.ParseDescriptor(b.Descriptor[:])
	if app == nil {
		return errors.New("bundle: its header has no app descriptor")
	}
	var other []string
	for _, v := range []struct {
		what string
		same bool
	}{
		{"product", b.Product == r.Product},
		{"app", r.App == string(store.DigestOf(b.Plain[:]))},
		{"size of the app", int64(b.PlainSize) == r.AppSize},
		{"chip", b.Chip == r.Chip},
		{"version", app.Version == r.Version},
		{"secure version", app.SecureVersion == r.SecureVersion},
	} {
		if !v.same {
			other = append(other, v.what)
		}
	}
	if other == nil {
		return nil
	}
	return fmt.Errorf("bundle: its header says something else than the release: %s", strings.Join(other, ", "))
}

// Field is what the ledger's entries have of the release.
func (r *Release) Field() record.Field {
	f := record.Field{Product: r.Product, Release: r.ID, Version: r.Version, SecureVersion: r.SecureVersion, App: r.App, AppFilled: r.AppFilled, Jobs: r.Jobs}
	for _, form := range r.Forms {
		f.Forms = append(f.Forms, record.FieldForm{Kind: string(form.Kind), Size: form.Size, SHA256: form.SHA256})
	}
	return f
}
