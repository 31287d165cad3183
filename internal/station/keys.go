// Package station is a station opened: its file, token, ledger, slots and
// printer, given to package flow as the interfaces that flow declares; and the
// virtual station of rehearse and demo.
package station

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/hsm"
	"station/internal/identity"
	"station/internal/job"
	"station/internal/otaimage"
	"station/internal/secret"
)

// Keys gives device keys out of a token.
type Keys struct {
	Token *hsm.Token
	// CA stands for the certificates of all CAs: in a rehearsal.
	CA *x509.Certificate
}

// Issuer implements flow.Keys: the CA of the job, if the token has its key.
func (k Keys) Issuer(ctx context.Context, want *job.Certificate) (flow.Issuer, error) {
	key, err := k.Token.CA(ctx, want.Label)
	if err != nil {
		return flow.Issuer{}, TokenFailure(err)
	}
	ca := cmp.Or(k.CA, want.Issuer())
	if err := identity.CheckCA(ca, key.Public()); err != nil {
		return flow.Issuer{}, flow.Fail("E-HSM-KEY", fmt.Errorf("key %q: %w", want.Label, err))
	}
	return flow.Issuer{Certificate: ca, Signer: key}, nil
}

// DeviceKey implements flow.Keys. A device that has a key already keeps its
// policy and token object, whatever the job says by now: so a request of flow
// becomes one to the token here, field by field, and neither package has to know
// the other.
func (k Keys) DeviceKey(ctx context.Context, r flow.KeyRequest) (flow.DeviceKey, error) {
	req := hsm.Request{Chip: r.Chip, MAC: r.MAC, Purpose: r.Purpose, Size: r.Size, Policy: hsm.Policy(r.Policy), Label: r.Label, Wrapped: r.Wrapped}
	if req.PRF = hsm.PRF(r.PRF); req.PRF == "" && r.Policy == string(hsm.Derived) {
		req.PRF = hsm.HMAC
	}
	if r.ID != "" {
		id, err := hsm.ParseKeyID(r.ID)
		if err != nil {
			return flow.DeviceKey{}, flow.Fail("E-LEDGER-DISAGREES", err)
		}
		req.Policy, req.Label, req.PRF = id.Policy, id.Label, "" // its master derives as it did
	}
	key, err := k.Token.DeviceKey(ctx, req)
	if err != nil {
		return flow.DeviceKey{}, TokenFailure(err)
	}
	out := flow.DeviceKey{ID: key.ID, Check: key.Check, Secret: key.Secret, Wrapped: key.Wrapped, Token: key.Token}
	if r.Escrow != nil {
		if out.Escrow, err = hsm.Escrow(r.Escrow, key); err != nil {
			key.Secret.Destroy()
			return flow.DeviceKey{}, TokenFailure(err)
		}
	}
	return out, nil
}

// tokenCodes names what can be wrong with a token; the first that matches decides.
var tokenCodes = []struct {
	is   error
	code flow.Code
}{
	{context.Canceled, "E-STOPPED"}, // also where the token was busy until then
	{hsm.ErrPIN, "E-HSM-PIN"},
	{hsm.ErrNoPIN, "E-HSM-NO-PIN"},
	{hsm.ErrSize, "E-CODING"},
	{hsm.ErrNoKey, "E-HSM-KEY"},
	{hsm.ErrAmbiguous, "E-HSM-KEY"},
	{hsm.ErrAttributes, "E-HSM-KEY"},
	{hsm.ErrUnavailable, "E-HSM-AWAY"},
	{hsm.ErrNoToken, "E-HSM-AWAY"},
	{hsm.ErrTokens, "E-HSM-TOKENS"},
}

// RefusedPINs is the file beside a ledger that remembers, as slow salted
// digests, which PINs a token refused.
func RefusedPINs(ledgerPath string) string {
	return strings.TrimSuffix(ledgerPath, filepath.Ext(ledgerPath)) + ".pins.json"
}

// TokenFailure gives an error of the token its failure code.
func TokenFailure(err error) error {
	if err == nil {
		return nil
	}
	for _, c := range tokenCodes {
		if errors.Is(err, c.is) {
			return flow.Fail(c.code, err)
		}
	}
	return flow.Fail("E-HSM", err)
}

// UpdateKey is the public key for which updates of a job's devices are encrypted: their
// chips make the private one of the key for updates in their fuses.
func UpdateKey(ctx context.Context, token *hsm.Token, j *job.Job) (*ecdsa.PublicKey, error) {
	key, err := token.DeviceKey(ctx, hsm.Request{Chip: j.ChipName(), Purpose: chip.HMACUpdates, Policy: hsm.Shared, Label: j.OTA.Label, Size: 32})
	if err != nil {
		return nil, TokenFailure(err)
	}
	defer key.Secret.Destroy()
	scalar, err := otaimage.DeviceScalar(key.Secret)
	if err != nil {
		return nil, err
	}
	defer scalar.Destroy()
	public, err := identity.PublicKey(scalar)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w: no device opens an update with it; make another key", j.OTA.Label, err)
	}
	return public, nil
}

// SharedKey is the flash key that the devices of a job share.
func SharedKey(ctx context.Context, token *hsm.Token, j *job.Job) (*secret.Bytes, error) {
	size := j.Chip().KeyBytes(j.FlashKeyParts()[0], chip.CodingNone)
	key, err := token.DeviceKey(ctx, hsm.Request{Chip: j.ChipName(), Purpose: chip.FlashEncryption, Policy: hsm.Shared, Label: j.Key.Label, Size: size})
	if err != nil {
		return nil, TokenFailure(err)
	}
	return key.Secret, nil
}
