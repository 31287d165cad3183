package main

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"station/internal/chip"
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
	mac    chip.MAC
	keys   []record.Key // secret ones, with what opens them
	size   int          // of a key, in bytes
	config uint8        // FLASH_CRYPT_CONFIG; 0: its flash is plain
}

// secretPurposes are those of keys that nobody can read out of the fuses.
var secretPurposes = []chip.Purpose{chip.FlashEncryption, chip.SecureBootV1}

// findKeys gathers what the ledger says of a device's keys.
func findKeys(b *ledger.Ledger, mac chip.MAC) (d sealedDevice, err error) {
	if _, _, err := heldDevice(b, mac); err != nil {
		return d, err
	}
	list, err := b.History(mac)
	if err != nil {
		return d, stationFault(err)
	}
	d.mac = mac
	for _, e := range list {
		if e.Identity != nil {
			d.size = e.Identity.Coding.KeyBytes()
		}
		if e.Kind == record.KeyAssigned {
			d.assigned(e.Keys)
		}
		if words := e.Fuses.Block("BLOCK0").Words; len(words) > 5 {
			word, err := strconv.ParseUint(words[5], 16, 32)
			if err != nil {
				return d, fmt.Errorf("fuses of entry %d: %w", e.Index, err)
			}
			d.config = uint8(word >> 28) // FLASH_CRYPT_CONFIG
		}
	}
	switch {
	case len(d.keys) == 0:
		return d, fmt.Errorf("the ledger knows no secret key of %s", mac)
	case d.size == 0:
		return d, fmt.Errorf("the ledger does not know the coding scheme of %s", mac)
	}
	return d, nil
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
	case j.Encrypts() && keys[chip.FlashEncryption].Len() == 0:
		return fmt.Errorf("%s has no key for flash encryption, and %s encrypts the flash", d.mac, j.Path)
	case j.Encrypts() && d.config == 0:
		return errors.New("the device's FLASH_CRYPT_CONFIG was never burned; it needs no encrypted images")
	case !j.Encrypts() && d.config != 0:
		return fmt.Errorf("the flash of %s is encrypted, and %s leaves it plain", d.mac, j.Path)
	case j.SecureBoot.Version == 1 && keys[chip.SecureBootV1].Len() == 0:
		return fmt.Errorf("the digest of the bootloader needs the key for secure boot, and the ledger knows none of %s", d.mac)
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

func ownOf(mac chip.MAC, keys sealedKeys) job.Own {
	return job.Own{MAC: mac, BootKey: keys[chip.SecureBootV1]}
}

// source is where the keys come from: the token, or their escrow.
func (r *recoverFlags) source(ctx context.Context) (open func(chip.MAC, sealedDevice) (sealedKeys, error), done func(), err error) {
	one, done, err := r.sourceOfOne(ctx)
	if err != nil {
		return nil, nil, err
	}
	return func(mac chip.MAC, d sealedDevice) (sealedKeys, error) {
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
	return func(d sealedDevice, k record.Key) (*secret.Bytes, error) { return fromToken(ctx, token, d, k) }, func() { token.Close() }, nil
}

// fromToken is a key of a device, by its ID.
func fromToken(ctx context.Context, token *hsm.Token, d sealedDevice, k record.Key) (*secret.Bytes, error) {
	id, err := hsm.ParseKeyID(k.ID)
	if err != nil {
		return nil, err
	}
	got, err := token.DeviceKey(ctx, hsm.Request{Chip: chip.Known(nil).Name, MAC: d.mac, Purpose: k.Purpose, Size: d.size, Policy: id.Policy, Label: id.Label, Wrapped: k.Wrapped})
	if err != nil {
		return nil, station.TokenFailure(err)
	}
	if got.ID != k.ID {
		got.Secret.Destroy()
		return nil, stationFault(flow.Fail("E-KEY-CHANGED", fmt.Errorf("the ledger has key %s, the token gives %s", k.ID, got.ID)))
	}
	return got.Secret, nil
}
