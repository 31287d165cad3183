package release

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"station/internal/chip"
	"station/internal/record"
)

// Device is all that decides what a device is offered.
type Device struct {
	MAC           chip.MAC
	Product       string
	Job           string  // digest of the job that sealed it
	Check         string  // check value of its flash key, where devices share it; else empty
	Version       string  // that it runs,
	SecureVersion uint32  // the highest of all that it has or had, as far as anybody told
	App           string  // digest of the plain app that it was sealed with, or got last, as its author has it if the record tells that
	Written       string  // digest of the app that it was sealed with as the line encrypted it, filled up; empty where it got another one
	Release       int64   // that it runs; 0 where it runs what it was sealed with
	Tried         []int64 // releases that it tried and could not take
	TriedTo       int64   // all releases up to this number are as if tried
	// Unsure are the digests of apps that the line wrote, of which the record has no secure
	// version: a program wrote it that did not note it. "" is one without a digest.
	Unsure []string
}

// Of is a device as the line made it.
func Of(d record.Device) Device {
	v := Device{MAC: d.MAC, Product: d.Job, Job: d.SealedHash}
	if parts := strings.Split(d.FlashKey().ID, ":"); len(parts) >= 3 && parts[0] == "shared" {
		v.Check = parts[len(parts)-1]
	}
	v.wrote(d.Images)
	return v
}

// wrote takes what the line wrote into the device. The oldest entries name no slots: there an
// app is what has a version.
func (d *Device) wrote(images []record.Image) {
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

// Told is the device with what releases tell of the secure version of what the line wrote, where
// the record does not: a release of that very app, or one that was made for the device's job and
// held against the apps of that.
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

// Took is the device after an update to a release: one of which nothing is told but the number
// says nothing of secure versions either.
func (d *Device) Took(id int64, version, app string, secure uint32) {
	d.Release, d.Version, d.App, d.Written = id, version, app, ""
	d.SecureVersion = max(d.SecureVersion, secure)
	if app != "" || secure > 0 {
		d.Unsure = nil
	}
}

// Refusal says why the record lets a device have nothing; empty where it may.
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

// Misfit says why the release is not for the device; empty where it is.
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

// For are the forms that a device can read, the best first. A bundle is for
// those that share its key.
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
