package station

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"sync"

	"station/internal/chip"
	"station/internal/hsm"
	"station/internal/record"
)

// DeviceTokens tells whether a token is that of a device, by asking the HSM that
// made it. Nothing that could be a token is kept: what was asked last is
// remembered by its digest.
type DeviceTokens struct {
	Token  *hsm.Token
	Ledger interface {
		Device(mac chip.MAC) (record.Device, bool, error)
	}

	mu    sync.Mutex
	known map[chip.MAC][sha256.Size]byte
}

// remembered is how many devices' digests are kept at a time: who guesses, and
// who asks again and again, does not take the HSM from the others.
const remembered = 4096

// Is tells whether the secret, in hexadecimal digits as templates write {token}, is
// that of the device. Whether it may have anything, or was revoked, is not asked here.
func (t *DeviceTokens) Is(ctx context.Context, mac chip.MAC, secret string) (bool, error) {
	said, err := hex.DecodeString(secret)
	if err != nil {
		return false, nil
	}
	defer clear(said)
	d, known, err := t.Ledger.Device(mac)
	if err != nil || !known || !d.Identity.Known() || !d.Identity.Token {
		return false, err
	}
	family, err := d.Family()
	if err != nil {
		return false, err
	}
	want, err := t.digest(ctx, family, mac, d.Identity.Label)
	if err != nil {
		return false, err
	}
	sum := digestFor(mac, d.Identity.Label, said)
	return subtle.ConstantTimeCompare(sum[:], want[:]) == 1, nil
}

// digest is the digest of the device's token.
func (t *DeviceTokens) digest(ctx context.Context, family *chip.Family, mac chip.MAC, label string) ([sha256.Size]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock() // one at a time asks the HSM
	if sum, ok := t.known[mac]; ok {
		return sum, nil
	}
	key, err := t.Token.DeviceKey(ctx, hsm.Request{Chip: family.Name, MAC: mac, Purpose: chip.DeviceToken, Size: 32, Policy: hsm.Derived, Label: label})
	if err != nil {
		return [sha256.Size]byte{}, TokenFailure(err)
	}
	defer key.Secret.Destroy()
	sum := digestFor(mac, label, key.Secret.Reveal())
	if t.known == nil || len(t.known) >= remembered {
		t.known = map[chip.MAC][sha256.Size]byte{}
	}
	t.known[mac] = sum
	return sum, nil
}

func digestFor(mac chip.MAC, label string, token []byte) [sha256.Size]byte {
	in := bytes.Join([][]byte{mac[:], []byte(label), token}, []byte{0})
	defer clear(in)
	return sha256.Sum256(in)
}
