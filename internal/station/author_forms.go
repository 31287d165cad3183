package station

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"station/internal/chip"
	"station/internal/firmware"
	"station/internal/flashcrypt"
	"station/internal/hsm"
	"station/internal/job"
	"station/internal/otaimage"
	"station/internal/release"
	"station/internal/secret"
	"station/internal/secureboot"
	"station/internal/store"
)

// forms makes every form and stores it.
func (r *Releases) forms(n *NewRelease, doc *release.Release) error {
	app, err := n.signed()
	if err != nil {
		return err
	}
	doc.App, doc.AppSize, doc.AppFilled = digestOf(app), int64(len(app)), release.FilledDigest(app)
	if err := fits(n.Jobs, len(app)); err != nil {
		return err
	}
	add := func(kind release.Kind, data []byte) error {
		f, err := r.put(kind, bytes.NewReader(data))
		doc.Forms = append(doc.Forms, f)
		return err
	}
	if err := add(release.KindApp, app); err != nil {
		return err
	}
	if n.Fleet != nil {
		file, err := otaimage.Seal(app, n.Fleet)
		if err != nil {
			return err
		}
		if err := add(release.KindEncrypted, file); err != nil {
			return err
		}
	}
	if n.Key != nil {
		if err := r.bundle(n, doc, app); err != nil {
			return err
		}
	}
	if n.Manifest != nil {
		file, err := release.MakeManifest([release.DescriptorSize]byte(app[firmware.FirstData:]), n.Author, n.Manifest)
		if err != nil {
			return err
		}
		if err := add(release.KindManifest, file); err != nil {
			return err
		}
	}
	if n.SBOM != nil {
		return add(release.KindSBOM, n.SBOM)
	}
	return nil
}

// isSigned tells whether the app has a secure boot signature already.
func (n *NewRelease) isSigned() bool {
	signature, err := secureboot.Verify(n.App, nil)
	return errors.Is(err, secureboot.ErrKeyNeeded) || err == nil && signature != nil
}

// signed is the app with its secure boot signature, which it has already or
// gets now.
func (n *NewRelease) signed() ([]byte, error) {
	signature, err := secureboot.Verify(n.App, nil)
	switch {
	case errors.Is(err, secureboot.ErrKeyNeeded), err == nil && signature != nil:
		return n.App, nil
	case n.Boot == nil:
		return n.App, nil
	case signature != nil:
		return nil, fmt.Errorf("release: the app's signature: %w", err)
	}
	app, err := secureboot.Sign(n.App, n.Boot)
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	return app, nil
}

// fits tells which job has no room for the app.
func fits(jobs []*job.Job, size int) error {
	for _, j := range jobs {
		slots, err := appSlots(j)
		if err != nil {
			return err
		}
		for _, p := range slots {
			if size > int(p.Size) {
				return fmt.Errorf("release: the app has %d bytes; the partition %s of %s has %d", size, p.Name, j.Path, p.Size)
			}
		}
	}
	return nil
}

// appSlots are the app partitions of a job that updates are written to: all but
// factory and test.
func appSlots(j *job.Job) (slots []firmware.Partition, err error) {
	for _, region := range j.Regions {
		table, err := firmware.ParseBinaryTable(j.Path, region.Data, firmware.TableOptions{Offset: region.Address})
		if err != nil || region.Partition != "" {
			continue
		}
		for _, p := range table.Partitions {
			if p.Type == firmware.TypeApp && strings.HasPrefix(p.SubtypeName(), "ota_") {
				slots = append(slots, p)
			}
		}
	}
	if len(slots) == 0 {
		return nil, fmt.Errorf("release: %s has no app partition ota_0, ota_1, …: its devices can take no update", j.Path)
	}
	return slots, nil
}

// bundle makes the slot bundle for every slot of every job.
func (r *Releases) bundle(n *NewRelease, doc *release.Release, app []byte) error {
	of := release.BundleOf{App: app, Product: n.Product, Signer: n.Bundler, Encrypt: encryptUnder(n.Key, n.Jobs[0].Cipher())}
	check, err := hsm.CheckValue(n.Key)
	if err != nil {
		return err
	}
	if _, err := hex.Decode(of.Check[:], []byte(check)); err != nil {
		return err
	}
	for _, j := range n.Jobs {
		slots, err := appSlots(j)
		if err != nil {
			return err
		}
		for _, p := range slots {
			of.Targets = append(of.Targets, target(j, p.Offset))
		}
	}
	f, err := os.CreateTemp("", "station-bundle-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := of.Write(f); err != nil {
		return err
	}
	form, err := r.put(release.KindBundle, io.NewSectionReader(f, 0, 1<<40))
	form.Check = check
	doc.Forms = append(doc.Forms, form)
	return err
}

// target is a slot of a job's devices.
func target(j *job.Job, address uint32) release.Target {
	t := release.Target{Address: address, Cipher: release.CipherFor(j.Cipher())}
	if t.Cipher == release.CipherESP32 {
		t.Config = j.CryptConfig()
	}
	return t
}

// encryptUnder encrypts as the flash of devices with the key holds it.
func encryptUnder(key *secret.Bytes, cipher chip.Cipher) func(release.Target, []byte) ([]byte, error) {
	return func(t release.Target, plain []byte) ([]byte, error) {
		c, err := flashcrypt.For(cipher, key, t.Config)
		if err != nil {
			return nil, err
		}
		defer c.Destroy()
		at := t.Address
		if at == release.AnyAddress {
			at = 0
		}
		return plain, c.Encrypt(plain, plain, at)
	}
}

// put stores a form.
func (r *Releases) put(kind release.Kind, data io.Reader) (release.Form, error) {
	one, five := sha1.New(), md5.New()
	d, size, err := r.Store.Put(io.TeeReader(data, io.MultiWriter(one, five)), 1<<30)
	return release.Form{Kind: kind, Size: size, SHA256: string(d), SHA1: hex.EncodeToString(one.Sum(nil)), MD5: hex.EncodeToString(five.Sum(nil))}, err
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return string(store.DigestOf(sum[:]))
}
