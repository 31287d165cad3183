package hsm

import (
	"context"
	"errors"
	"fmt"

	"station/internal/esp32"
	"station/internal/secret"

	"github.com/miekg/pkcs11"
)

// Request says for which device and by which policy a key is wanted.
type Request struct {
	MAC    esp32.MAC
	Size   int    // bytes: 32, or 24 for chips of coding scheme 3/4
	Policy Policy // Derived, Shared or Random
	Label  string // of the key object in the token that the policy needs
	// Wrapped is the blob of a key of policy Random that was made before: the
	// same key comes back. Without it a new one is made.
	Wrapped []byte
}

// DeviceKey is a flash-encryption key with its public names. Whoever gets it
// destroys Secret after its last use.
type DeviceKey struct {
	ID      string // a KeyID
	Check   string // check value, see CheckValue
	Secret  *secret.Bytes
	Wrapped []byte // policy Random: the key under the token's KEK (RFC 3394)
	Token   string // URI of the token: label, serial, model, manufacturer
}

// DeviceKey makes or finds the key of one device. The same request gives the
// same key, except for Random without Wrapped. Nothing stays in the token.
// Errors: ErrUnavailable, ErrPIN, ErrNoKey, ErrAmbiguous, ErrAttributes,
// ErrSize, ErrWrapped, the cause of ctx, or an *Error.
func (t *Token) DeviceKey(ctx context.Context, r Request) (DeviceKey, error) {
	if r.Size != 32 && r.Size != 24 {
		return DeviceKey{}, edge(fmt.Errorf("device key: %w: %d bytes, want 32 or 24", ErrSize, r.Size))
	}
	if r.Policy == Derived && r.MAC.IsZero() {
		return DeviceKey{}, edge(errors.New("device key: no MAC"))
	}
	return call(ctx, t, repeat, func() (DeviceKey, error) {
		k := DeviceKey{Token: t.URI()}
		var err error
		switch r.Policy {
		case Derived:
			k.Secret, err = t.derive(r)
		case Shared:
			k.Secret, err = t.share(r)
		case Random:
			k.Secret, k.Wrapped, err = t.random(r)
		default:
			err = fmt.Errorf("no such policy %q", r.Policy)
		}
		if err == nil && k.Secret.Len() != r.Size {
			err = fmt.Errorf("key %q: %w: it has %d bytes, the chip needs %d", r.Label, ErrSize, k.Secret.Len(), r.Size)
		}
		if err == nil {
			k.Check, err = CheckValue(k.Secret)
		}
		if err != nil {
			k.Secret.Destroy()
			return DeviceKey{}, fmt.Errorf("device key: %w", err)
		}
		k.ID = KeyID{r.Policy, r.Label, k.Check}.String()
		return k, nil
	})
}

func (t *Token) derive(r Request) (*secret.Bytes, error) {
	master, _, err := t.key(Master, r.Label)
	if err != nil {
		return nil, err
	}
	block, err := t.hmac(master, r.Label, KDFInput(r.MAC, r.Size))
	if err != nil || r.Size == block.Len() {
		return block, err
	}
	defer block.Destroy()
	return secret.New(block.Reveal()[:r.Size])
}

func (t *Token) share(r Request) (*secret.Bytes, error) {
	h, _, err := t.key(SharedKey, r.Label)
	if err != nil {
		return nil, err
	}
	return t.export(h, r.Label)
}

// random gives the key that comes out of its blob, also when the key is new:
// what is burned is then known to be recoverable.
func (t *Token) random(r Request) (*secret.Bytes, []byte, error) {
	kek, _, err := t.key(KEK, r.Label)
	if err != nil {
		return nil, nil, err
	}
	blob := r.Wrapped
	if blob == nil {
		if blob, err = t.newWrapped(kek, r.Size); err != nil {
			return nil, nil, err
		}
	}
	h, err := t.mod.fn.UnwrapKey(t.session, keyWrap(), kek, blob, passing())
	if err != nil {
		err = failure("unwrap with "+r.Label, err)
		if t.lost(err) {
			return nil, nil, err
		}
		// A damaged blob gets CKR_GENERAL_ERROR from SoftHSM, other codes elsewhere.
		return nil, nil, fmt.Errorf("%w: %w", ErrWrapped, err)
	}
	key, err := t.export(h, r.Label)
	if err := errors.Join(err, t.destroy(h)); err != nil {
		key.Destroy()
		return nil, nil, err
	}
	return key, blob, nil
}

// newWrapped makes a key in the token and gives it wrapped under the KEK.
func (t *Token) newWrapped(kek pkcs11.ObjectHandle, size int) ([]byte, error) {
	h, err := t.mod.fn.GenerateKey(t.session, mech(pkcs11.CKM_GENERIC_SECRET_KEY_GEN), append(passing(), pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, size)))
	if err != nil {
		return nil, failure("make key", err)
	}
	blob, err := t.mod.fn.WrapKey(t.session, keyWrap(), kek, h)
	if err := errors.Join(failure("wrap key", err), t.destroy(h)); err != nil {
		return nil, err
	}
	return blob, nil
}

// keyWrap is AES key wrap (RFC 3394); 24 and 32 bytes need no padding.
func keyWrap() mechanism { return mech(pkcs11.CKM_AES_KEY_WRAP) }

// passing is the template of a device key that is in the token only for the
// moment: a session object that can do nothing but be wrapped.
func passing() []*pkcs11.Attribute {
	list := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, true),
	}
	for _, use := range usages[pkcs11.CKO_SECRET_KEY] {
		list = append(list, pkcs11.NewAttribute(use, false))
	}
	return list
}

// hmac computes HMAC-SHA-256 in the token. SoftHSM takes keys of 32 bytes and
// more for it.
func (t *Token) hmac(h pkcs11.ObjectHandle, label string, data []byte) (*secret.Bytes, error) {
	op := "sign with " + label
	if err := t.mod.fn.SignInit(t.session, mech(pkcs11.CKM_SHA256_HMAC), h); err != nil {
		return nil, failure(op, err)
	}
	out, err := secret.Make(32)
	if err != nil {
		return nil, err
	}
	n, err := t.mod.fn.Sign(t.session, data, out)
	if err == nil && n != 32 {
		err = fmt.Errorf("the token gave %d bytes of HMAC-SHA-256", n)
	}
	if err != nil {
		out.Destroy()
		return nil, failure(op, err)
	}
	return out, nil
}
