package release

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"station/internal/chip"
	"station/internal/record"
)

// Device is everything about a device that decides which release it is offered.
type Device struct {
	MAC           chip.MAC
	Product       string  // name of the job that it was worked on with last
	Job           string  // digest of the job that sealed it
	Check         string  // check value of its flash key if devices share the key, else empty
	Version       string  // of the app that it runs
	SecureVersion uint32  // the highest that any app on it has or had, as far as is known
	App           string  // digest of the plain app that it runs: of the author's file, if the ledger has that one
	Written       string  // digest of the padded app that the line encrypted; empty after an update
	Release       int64   // that it runs; 0 if it runs what it was sealed with
	Tried         []int64 // releases that failed on it
	TriedTo       int64   // all releases up to this number count as failed too
	// Unsure are the digests of apps that the line wrote and whose secure version is not in
	// the ledger: older versions of this program did not write it there. "" is an app
	// without a digest.
	Unsure []string
}

// Of is a device as it left the factory.
func Of(d record.Device) Device {
	v := Device{MAC: d.MAC, Product: d.Job, Job: d.SealedHash}
	if parts := strings.Split(d.FlashKey().ID, ":"); len(parts) >= 3 && parts[0] == "shared" {
		v.Check = parts[len(parts)-1]
	}
	v.addImages(d.Images)
	return v
}

// addImages adds what is known from the images that the line wrote. In the oldest
// entries images have no slot; there, those with a version are the apps.
func (d *Device) addImages(images []record.Image) {
	apps := 0
	for _, i := range images {
		if i.Slot == "" && i.Version == "" {
			continue
		}
		apps++
		if d.App == "" || i.Slot == "factory" {
			d.App, d.Written, d.Version = cmp.Or(i.File, i.Plain), i.Plain, i.Version
		}
		if i.SecureVersion == nil {
			d.Unsure = append(d.Unsure, i.Plain)
		} else {
			d.SecureVersion = max(d.SecureVersion, *i.SecureVersion)
		}
	}
	if apps == 0 {
		d.Unsure = []string{""}
	}
}

// Told is the device with the secure versions of its Unsure apps filled in from
// releases. A release tells it if it has that very app, or if it was made for the
// device's job and has the job's highest secure version.
func (d Device) Told(list []*Release) Device {
	if len(d.Unsure) == 0 {
		return d
	}
	unsure := d.Unsure
	for _, r := range list {
		switch {
		case r.JobsSecureVersion != nil && slices.Contains(r.Jobs, d.Job):
			d.SecureVersion, unsure = max(d.SecureVersion, *r.JobsSecureVersion), nil
		case slices.ContainsFunc(unsure, r.Is):
			d.SecureVersion = max(d.SecureVersion, r.SecureVersion)
			unsure = slices.DeleteFunc(slices.Clone(unsure), r.Is)
		}
	}
	d.Unsure = unsure
	return d
}

// Took changes the device by a successful update to a release. If neither the app nor a
// secure version of the release is known, Unsure stays as it is.
func (d *Device) Took(id int64, version, app string, secure uint32) {
	d.Release, d.Version, d.App, d.Written = id, version, app, ""
	d.SecureVersion = max(d.SecureVersion, secure)
	if app != "" || secure > 0 {
		d.Unsure = nil
	}
}

// Refusal says why a device may not have any update; empty if it may. known tells
// whether the ledger has the device.
func Refusal(d record.Device, known bool) string {
	switch {
	case !known:
		return "the ledger does not know it"
	case d.SetAside, d.Conflicted:
		return "it was set aside"
	case !d.Sealed:
		return "it was never sealed"
	case !d.Revoked().IsZero():
		return "it was revoked"
	}
	return ""
}

// Misfit says why the release cannot be offered to the device; empty if it can.
func (r *Release) Misfit(d Device) string {
	switch {
	case r.Withdrawn != "":
		return "it was withdrawn"
	case r.Product != d.Product:
		return "it is for another product"
	case len(r.Jobs) > 0 && !slices.Contains(r.Jobs, d.Job):
		return "it was not made for the job that sealed the device: key, partition table or secure boot may be others"
	case r.ID <= d.TriedTo, slices.Contains(d.Tried, r.ID):
		return "the device has tried it"
	case r.ID <= d.Release:
		return "the device runs it, or a newer one"
	case r.Is(d.App), r.Is(d.Written):
		return "the device was sealed with it"
	case len(d.Unsure) > 0:
		return "nothing tells the secure version of what the line wrote into the device: it could be higher"
	case r.SecureVersion < d.SecureVersion:
		return fmt.Sprintf("its secure version is %d, that of the device %d", r.SecureVersion, d.SecureVersion)
	case older(r.Version, d.Version):
		return fmt.Sprintf("its version %s is older than %s, which the device runs", r.Version, d.Version)
	case len(r.For(d)) == 0:
		return "it has no form that the device can read"
	}
	return ""
}

// For are the forms that the device can use, the best first. A bundle is only for
// devices that have its flash key.
func (r *Release) For(d Device) (forms []Form) {
	for _, f := range r.Forms {
		switch {
		case f.Kind == KindManifest || f.Kind == KindSBOM:
		case f.Kind == KindBundle && (d.Check == "" || f.Check != d.Check):
		default:
			forms = append(forms, f)
		}
	}
	order := []Kind{KindBundle, KindEncrypted, KindApp, KindOther}
	slices.SortStableFunc(forms, func(a, b Form) int {
		return cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind))
	})
	return forms
}
