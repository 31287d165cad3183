package hsm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"

	"station/internal/chip"
	"station/internal/secret"
)

// Request says for which device, for what and by which policy a key is wanted.
type Request struct {
	Chip    string // family of the device, as job files name it
	MAC     chip.MAC
	Purpose chip.Purpose
	Size    int    // bytes: one of chip.KeySizes
	Policy  Policy // Derived, Shared or Random
	Label   string // of the key object in the token that the policy needs
	// PRF is what a master must derive with; empty: with what it can.
	PRF PRF
	// Wrapped is the blob of a key of policy Random that was made before: the
	// same key comes back. Without it a new one is made.
	Wrapped []byte
}

// DeviceKey is a key of a device with its public names. Whoever gets it
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
	if !slices.Contains(chip.KeySizes, r.Size) {
		return DeviceKey{}, edge(fmt.Errorf("device key: %w: %d bytes, want one of %v", ErrSize, r.Size, chip.KeySizes))
	}
	if err := r.derivable(); r.Policy == Derived && err != nil {
		return DeviceKey{}, edge(fmt.Errorf("device key: %w", err))
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
	master, err := t.key(Master, r.Label)
	if err != nil {
		return nil, err
	}
	if r.PRF != "" && r.PRF != master.prf {
		return nil, fmt.Errorf("key %q: %w: it derives with %s, and the job says prf = %q", r.Label, ErrAttributes, master.prf, r.PRF)
	}
	return t.deriveWith(master.prf, master.object, r)
}

// deriveWith computes as many blocks of the KDF as the key needs.
func (t *Token) deriveWith(prf PRF, master object, r Request) (*secret.Bytes, error) {
	key, err := secret.Make(r.Size)
	if err != nil {
		return nil, err
	}
	for i, done := 1, 0; done < r.Size; i++ {
		block, err := t.mac(prf, master, r.Label, kdfBlock(i, r))
		if err != nil {
			key.Destroy()
			return nil, err
		}
		done += copy(key.Reveal()[done:], block.Reveal())
		block.Destroy()
	}
	return key, nil
}

func (t *Token) share(r Request) (*secret.Bytes, error) {
	h, err := t.key(SharedKey, r.Label)
	if err != nil {
		return nil, err
	}
	return t.export(h.object, r.Label)
}

// random gives the key that comes out of its blob, also when the key is new:
// what is burned is then known to be recoverable.
func (t *Token) random(r Request) (*secret.Bytes, []byte, error) {
	kek, err := t.key(KEK, r.Label)
	if err != nil {
		return nil, nil, err
	}
	return t.randomWith(kek, r)
}

func (t *Token) randomWith(kek held, r Request) (*secret.Bytes, []byte, error) {
	blob := r.Wrapped
	if blob == nil {
		var err error
		if blob, err = t.newWrapped(kek, r.Size); err != nil {
			return nil, nil, err
		}
	}
	h, err := t.unwrap(kek, blob, r.Size)
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

// unwrap opens a blob into the session. Some tokens want to be told the
// length, some refuse to hear of EXTRACTABLE, which it is without it.
func (t *Token) unwrap(kek held, blob []byte, size int) (h object, err error) {
	length := newAttribute(pkcs11.CKA_VALUE_LEN, size)
	bare := without(passing(), pkcs11.CKA_EXTRACTABLE)
	for _, template := range [][]*attribute{passing(), append(passing(), length), bare, append(slices.Clone(bare), length)} {
		if h, err = t.mod.fn.UnwrapKey(t.session, t.opening(kek), kek.object, blob, template); err == nil || !unlike(err) {
			break
		}
	}
	return h, err
}

// opening is the mechanism by which a KEK opens a blob.
func (t *Token) opening(kek held) mechanism {
	if kek.kind.kind == pkcs11.CKK_RSA {
		return oaep(t.sha1)
	}
	return keyWrap()
}

// newWrapped makes a key in the token and gives it wrapped under the KEK.
func (t *Token) newWrapped(kek held, size int) ([]byte, error) {
	h, err := t.mod.fn.GenerateKey(t.session, mech(pkcs11.CKM_GENERIC_SECRET_KEY_GEN), append(passing(), newAttribute(pkcs11.CKA_VALUE_LEN, size)))
	if err != nil {
		return nil, failure("make key", err)
	}
	blob, err := t.wrapUnder(kek, h)
	if err := errors.Join(failure("wrap key", err), t.destroy(h)); err != nil {
		return nil, err
	}
	return blob, nil
}

// wrapUnder wraps a key under the KEK, or under the public half of one that is
// a pair. That is taken from the private key itself: nobody can lay another
// one beside it.
func (t *Token) wrapUnder(kek held, key object) ([]byte, error) {
	if kek.kind.kind != pkcs11.CKK_RSA {
		return t.mod.fn.WrapKey(t.session, keyWrap(), kek.object, key)
	}
	pub, ok := kek.rsa()
	if !ok {
		return nil, errors.New("the token does not tell the public half of the KEK")
	}
	if t.kekPublic == 0 || !pub.Equal(t.kekOf) {
		to, err := t.publicObject(pub)
		if err != nil {
			return nil, err
		}
		t.kekPublic, t.kekOf = to, pub
	}
	return t.oaepWrap(t.kekPublic, key)
}

// keyWrap is AES key wrap (RFC 3394); 24 and 32 bytes need no padding. Never
// CKM_AES_KEY_WRAP_PAD: that number means RFC 5649 to some tokens and RFC 3394
// over padded data to others, and a blob would open on one kind only.
func keyWrap() mechanism { return mech(pkcs11.CKM_AES_KEY_WRAP) }

// passing is the template of a device key that is in the token only for the
// moment: a session object that can do nothing but be wrapped.
func passing() []*attribute {
	list := []*attribute{
		newAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		newAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		newAttribute(pkcs11.CKA_TOKEN, false),
		newAttribute(pkcs11.CKA_PRIVATE, true),
		newAttribute(pkcs11.CKA_SENSITIVE, true),
		newAttribute(pkcs11.CKA_EXTRACTABLE, true),
	}
	for _, use := range usages[pkcs11.CKO_SECRET_KEY] {
		list = append(list, newAttribute(use, false))
	}
	return list
}

// mac computes HMAC-SHA-256 or AES-CMAC in the token. SoftHSM takes keys of 32
// bytes and more for HMAC.
func (t *Token) mac(prf PRF, h object, label string, data []byte) (*secret.Bytes, error) {
	op, how, size := "sign with "+label, mech(pkcs11.CKM_SHA256_HMAC), 32
	if prf == CMAC {
		how, size = mech(pkcs11.CKM_AES_CMAC), 16
	}
	if err := t.mod.fn.SignInit(t.session, how, h); err != nil {
		return nil, failure(op, err)
	}
	out, err := secret.Make(size)
	if err != nil {
		return nil, err
	}
	n, err := t.mod.fn.Sign(t.session, data, out)
	if err == nil && n != size {
		err = fmt.Errorf("the token gave %d bytes of %s", n, prf)
	}
	if err != nil {
		out.Destroy()
		return nil, failure(op, err)
	}
	return out, nil
}
