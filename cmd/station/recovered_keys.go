package main

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/flow"
	"station/internal/hsm"
	"station/internal/job"
	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/secret"
	"station/internal/station"
)

// sealedDevice is what the ledger knows of a device's keys.
type sealedDevice struct {
	mac     chip.MAC
	known   record.Device
	chip    *chip.Family
	coding  *chip.Coding // of its key blocks; nil is not known
	keys    []record.Key // secret ones, with what opens them
	encrypt bool         // the chip decrypts its flash
	config  uint8        // FLASH_CRYPT_CONFIG of an ESP32
}

// secretPurposes are those of keys that nobody can read out of the fuses.
var secretPurposes = []chip.Purpose{chip.FlashEncryption, chip.SecureBootV1, chip.HMAC, chip.HMACUpdates}

// findKeys gathers what the ledger says of the keys of the device of that name.
func findKeys(b *ledger.Ledger, name string) (d sealedDevice, err error) {
	device, err := namedDevice(b, name)
	if err != nil {
		return d, err
	}
	mac := device.MAC
	list, err := b.History(mac)
	if err != nil {
		return d, stationFault(err)
	}
	d.mac, d.known = mac, device
	if d.chip, err = device.Family(); err != nil {
		return d, err
	}
	for _, e := range record.Whole(list) {
		if e.Identity != nil {
			d.coding = &e.Identity.Coding
		}
		if e.Kind == record.KeyAssigned {
			d.assigned(e.Keys)
		}
		d.burned(e.Fuses)
	}
	switch {
	case len(d.keys) == 0:
		return d, fmt.Errorf("the ledger knows no secret key of %s", mac)
	case d.coding == nil:
		return d, fmt.Errorf("the ledger does not know the coding scheme of %s", mac)
	}
	return d, nil
}

// burned takes from the fuses how the chip decrypts its flash, as far as an entry
// has them.
func (d *sealedDevice) burned(fuses record.Fuses) {
	if d.chip.Cipher == chip.TweakedAES {
		if v, known := efuse.FieldOf(d.chip, fuses, d.chip.Seal.Right[0].Field); known {
			d.config, d.encrypt = uint8(v), v != 0
		}
		return
	}
	if v, known := efuse.FieldOf(d.chip, fuses, d.chip.Seal.Count); known {
		d.encrypt = bits.OnesCount64(v)%2 != 0
	}
}

// assigned takes keys as an entry assigns them: what opens one may stand in an
// earlier entry.
func (d *sealedDevice) assigned(keys []record.Key) {
	for _, k := range keys {
		i := slices.IndexFunc(d.keys, func(had record.Key) bool { return had.Purpose == k.Purpose })
		switch {
		case !slices.Contains(secretPurposes, k.Purpose):
		case i < 0:
			d.keys = append(d.keys, k)
		default:
			had := d.keys[i]
			if d.keys[i] = k; k.Wrapped == nil {
				d.keys[i].Wrapped = had.Wrapped
			}
			if k.Escrow == nil {
				d.keys[i].Escrow = had.Escrow
			}
		}
	}
}

// only keeps the key for one purpose; "" is the first.
func (d *sealedDevice) only(purpose string) error {
	if purpose == "" {
		d.keys = d.keys[:1]
		return nil
	}
	d.keys = slices.DeleteFunc(d.keys, func(k record.Key) bool { return string(k.Purpose) != purpose })
	if len(d.keys) == 0 {
		return fmt.Errorf("the ledger knows no key of %s for --purpose %q; purposes are %s", d.mac, purpose, secretPurposes)
	}
	return nil
}

// named are the keys as the entry names them.
func (d *sealedDevice) named() (list []record.Key) {
	for _, k := range d.keys {
		list = append(list, record.Key{Purpose: k.Purpose, ID: k.ID})
	}
	return list
}

// fits refuses images of a job that the keys are not for.
func (d *sealedDevice) fits(j *job.Job, keys sealedKeys) error {
	switch {
	case j.Chip() != d.chip:
		return fmt.Errorf("%s is an %s, and %s is for the %s", d.mac, d.chip.Title, j.Path, j.Chip().Title)
	case j.Encrypts() && keys[chip.FlashEncryption].Len() == 0:
		return fmt.Errorf("%s has no key for flash encryption, and %s encrypts the flash", d.mac, j.Path)
	case j.Encrypts() && !d.encrypt:
		return errors.New("the fuses by which the device decrypts its flash were never burned; it needs no encrypted images")
	case !j.Encrypts() && d.encrypt:
		return fmt.Errorf("the flash of %s is encrypted, and %s leaves it plain", d.mac, j.Path)
	case j.SecureBoot.Version == 1 && keys[chip.SecureBootV1].Len() == 0:
		return fmt.Errorf("the digest of the bootloader needs the key for secure boot, and the ledger knows none of %s", d.mac)
	case j.Identity != nil && j.Identity.HMAC && keys[chip.HMAC].Len() == 0:
		return fmt.Errorf("the NVS of the job is encrypted with keys of the key for HMACs, and the ledger knows none of %s", d.mac)
	}
	return nil
}

// sealedKeys are those of a device.
type sealedKeys map[chip.Purpose]*secret.Bytes

// Destroy overwrites the keys.
func (k sealedKeys) Destroy() {
	for _, one := range k {
		one.Destroy()
	}
}

// own is what the device has of its own in the images of a job. Only the token
// makes its identity again: with an officer's key it is left out.
func (r *recoverFlags) own(ctx context.Context, d sealedDevice, j *job.Job, keys sealedKeys) (own job.Own, err error) {
	own = job.Own{MAC: d.mac, BootKey: keys[chip.SecureBootV1], HMACKey: keys[chip.HMAC]}
	if j.Identity != nil && d.known.Identity.Known() && r.token != nil {
		err = station.IdentityAgain(ctx, r.token, d.known, j, &own)
	}
	return own, err
}

// source is where the keys come from: the token, or their escrow.
func (r *recoverFlags) source(ctx context.Context) (open func(sealedDevice) (sealedKeys, error), done func(), err error) {
	one, done, err := r.sourceOfOne(ctx)
	if err != nil {
		return nil, nil, err
	}
	return func(d sealedDevice) (sealedKeys, error) {
		keys := sealedKeys{}
		for _, k := range d.keys {
			key, err := one(d, k)
			if err != nil {
				return keys, err
			}
			keys[k.Purpose] = key
		}
		return keys, nil
	}, done, nil
}

// sourceOfOne gives one key after the other.
func (r *recoverFlags) sourceOfOne(ctx context.Context) (open func(sealedDevice, record.Key) (*secret.Bytes, error), done func(), err error) {
	if r.officer != "" {
		private, err := keyfile.ReadPrivate(r.officer)
		if err != nil {
			return nil, nil, err
		}
		officer, ok := private.(*rsa.PrivateKey)
		if !ok {
			return nil, nil, fmt.Errorf("--officer %s: want an RSA key", r.officer)
		}
		return func(d sealedDevice, k record.Key) (*secret.Bytes, error) {
			if k.Escrow == nil {
				return nil, fmt.Errorf("key recover: the key of %s for %s has no escrow; recover it from the token, without --officer", d.mac, k.Purpose)
			}
			return hsm.OpenEscrow(officer, k.ID, k.Escrow)
		}, func() {}, nil
	}
	token, err := r.open()
	if err != nil {
		return nil, nil, err
	}
	r.token = token
	return func(d sealedDevice, k record.Key) (*secret.Bytes, error) { return fromToken(ctx, token, d, k) }, func() { token.Close() }, nil
}

// sizeOf is the length of a key of the device in bytes.
func (d sealedDevice) sizeOf(k record.Key) int {
	if k.Bits != 0 {
		return k.Bits / 8
	}
	return d.chip.KeyBytes(k.Purpose, *d.coding)
}

// cipher is that of the device's flash.
func (d sealedDevice) cipher() chip.Cipher {
	for _, k := range d.keys {
		if k.Purpose == chip.FlashEncryption {
			return d.chip.CipherOf(k.Bits)
		}
	}
	return d.chip.Cipher
}

// fromToken is a key of a device, by its ID.
func fromToken(ctx context.Context, token *hsm.Token, d sealedDevice, k record.Key) (*secret.Bytes, error) {
	id, err := hsm.ParseKeyID(k.ID)
	if err != nil {
		return nil, err
	}
	got, err := token.DeviceKey(ctx, hsm.Request{Chip: d.chip.Name, MAC: d.mac, Purpose: k.Purpose, Size: d.sizeOf(k), Policy: id.Policy, Label: id.Label, Wrapped: k.Wrapped})
	if err != nil {
		return nil, station.TokenFailure(err)
	}
	if got.ID != k.ID {
		got.Secret.Destroy()
		return nil, stationFault(flow.Fail("E-KEY-CHANGED", fmt.Errorf("the ledger has key %s, the token gives %s", k.ID, got.ID)))
	}
	return got.Secret, nil
}
