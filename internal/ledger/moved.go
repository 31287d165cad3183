package ledger

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"

	"station/internal/chip"
	"station/internal/record"
)

// mostMoved is how many bytes a device may bring along: what it brought before is in it
// each time that it moves on.
const mostMoved = 512 << 10

// ErrMove: a device cannot come from another bench in this way.
var ErrMove = errors.New("the device cannot move")

// MoveOf is the About of an entry of kind Moved; proof is a file of package ledger.
func MoveOf(from string, proof []byte) json.RawMessage {
	return record.AboutOf(record.Move{From: from, Proof: proof})
}

// MovedSize is how many entries the other ledger had, as the proof in a Move says.
func MovedSize(proof json.RawMessage) (uint64, error) {
	var p Proof
	if err := json.Unmarshal(proof, &p); err != nil {
		return 0, fmt.Errorf("proof of a move: %w", err)
	}
	c, err := ReadCheckpoint([]byte(p.Checkpoint))
	return c.Size, err
}

// CheckMove checks an entry of kind Moved offline, and what that one brought along: that
// each entry stands in its log, that all are the device's and none is missing. Where a
// trusted key is named, it has signed the checkpoints.
func CheckMove(e *record.Entry, trusted ...*ecdsa.PublicKey) error {
	m, _, err := e.Brought()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMove, err)
	}
	var p Proof
	if err = json.Unmarshal(m.Proof, &p); err == nil {
		_, err = p.checkUnder(trusted)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrMove, err)
	case m.From == "" || p.MAC != e.MAC:
		return fmt.Errorf("%w: it names no bench, or another device", ErrMove)
	case len(e.About) > mostMoved:
		return fmt.Errorf("%w: it has moved so often that its entries have %d bytes, %d are the most", ErrMove, len(e.About), mostMoved)
	}
	return nil
}

// checkUnder is check under a checkpoint of which nobody need know who signed it.
func (p *Proof) checkUnder(trusted []*ecdsa.PublicKey) ([]record.Entry, error) {
	if len(trusted) > 0 {
		return p.check(trusted)
	}
	if p.Format != deviceProof {
		return nil, fmt.Errorf("format %q: want %q", p.Format, deviceProof)
	}
	c, err := ReadCheckpoint([]byte(p.Checkpoint))
	if err != nil {
		return nil, err
	}
	return p.checkEntries(c)
}

// broughtDevice is the device as the other ledger has it.
func broughtDevice(e *record.Entry) (d record.Device, err error) {
	_, list, err := e.Brought()
	for _, one := range list {
		d.Apply(one)
	}
	return d, err
}

// movedFits tells what a device that moved here contradicts.
func movedFits(e *record.Entry, d *record.Device, trusted ...*ecdsa.PublicKey) error {
	if err := CheckMove(e, trusted...); err != nil {
		return err
	}
	b, err := broughtDevice(e)
	switch {
	case err != nil:
		return err
	case len(b.Keys) == 0 || b.Sealed || d.Sealed:
		return fmt.Errorf("%w: %s was not begun, or is sealed", ErrMove, e.MAC)
	case d.Serial != "" && b.Serial != d.Serial:
		return fmt.Errorf("%w: %s has %s, not %s", record.ErrSerialTaken, e.MAC, d.Serial, b.Serial)
	case d.Identity.Known() && (!b.Identity.Known() || b.Identity.ID != d.Identity.ID):
		return fmt.Errorf("%w: %s has the ID %s", record.ErrIdentity, e.MAC, d.Identity.ID)
	}
	for _, k := range d.Keys {
		if now := b.KeyFor(k.Purpose); now.ID != k.ID {
			return fmt.Errorf("%w: %s has %s, not %s", record.ErrKeyBound, e.MAC, k.ID, now.ID)
		}
	}
	return nil
}

// allowMove keeps the promises about names: none of the device's belongs to another one.
func (t *txn) allowMove(e *record.Entry, d record.Device) error {
	if err := movedFits(e, &d); err != nil {
		return err
	}
	b, err := broughtDevice(e)
	for _, k := range b.Keys {
		if err == nil {
			err = t.allowOwner(k, e.MAC)
		}
	}
	for _, n := range otherNames(e, &b) {
		var mac chip.MAC
		var bound bool
		if err == nil {
			mac, bound, err = owner(t, n.key)
		}
		if err == nil && bound && mac != e.MAC {
			err = fmt.Errorf("%w: %s belongs to %s", record.ErrIdentity, n.key, mac)
		}
	}
	return err
}

// movedNames is what a device that moved here sets in the index.
func movedNames(e *record.Entry) (out []index) {
	d, err := broughtDevice(e)
	if err != nil {
		return nil
	}
	mac := bytes.Clone(e.MAC[:])
	for _, k := range d.Keys {
		at := index{inKeys, k.ID, mac}
		if k.Policy == shared {
			at.payload = nil
		}
		out = append(out, at)
	}
	return append(out, otherNames(e, &d)...)
}

// otherNames are the names of a device that moved here beside its keys.
func otherNames(e *record.Entry, d *record.Device) (out []index) {
	names := namesOf(d.Identity)
	if d.Serial != "" {
		names = append(names, serialName(d.Serial, e.Simulated))
	}
	for _, name := range names {
		out = append(out, index{inKeys, name, bytes.Clone(e.MAC[:])})
	}
	return out
}

// isNameOf tells whether a name in the index is one of the device.
func isNameOf(d *record.Device, name string) bool {
	return idOf(d, name).ID != "" || d.Serial != "" && serialName(d.Serial, d.Simulated) == name || hasName(d, name)
}

// moved checks a device that came from another bench, also the site's signature where
// its key is named.
func (u *auditor) moved(e *record.Entry, d *record.Device) error {
	if u.Site == nil {
		return movedFits(e, d)
	}
	return movedFits(e, d, u.Site)
}
