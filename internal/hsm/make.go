package hsm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"station/internal/secret"

	"github.com/miekg/pkcs11"
)

// Init makes the key of a role in the token under that label: a master of 256
// bits, a KEK of AES-256, or a P-256 key pair for signing. It refuses with
// ErrExists if the label is taken, reads back what the token really made, and
// takes a key away again whose attributes are too open (ErrAttributes).
// Shared keys are made by NewShared and Import.
func (t *Token) Init(ctx context.Context, role Role, label string) (Key, error) {
	s, ok := roles[role]
	if !ok || role == SharedKey {
		return Key{}, edge(fmt.Errorf("init: no such role %q", role))
	}
	return call(ctx, t, once, func() (Key, error) {
		return t.make(role, label, func(template []*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
			if role == Signer {
				return t.generatePair(label, template)
			}
			return t.generate(s.generate, append(template, pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, s.bytes)))
		})
	})
}

// NewShared makes a flash-encryption key of 32 or 24 bytes in the token, for
// the devices of a batch.
func (t *Token) NewShared(ctx context.Context, label string, size int) (Key, error) {
	if size != 32 && size != 24 {
		return Key{}, edge(fmt.Errorf("make key: %w: %d bytes, want 32 or 24", ErrSize, size))
	}
	return call(ctx, t, once, func() (Key, error) {
		return t.make(SharedKey, label, func(template []*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
			return t.generate(roles[SharedKey].generate, append(template, pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, size)))
		})
	})
}

// Import brings a flash-encryption key of 32 or 24 bytes, as key files hold
// it, into the token, and proves by its check value that it arrived. The key
// stays the caller's to destroy.
func (t *Token) Import(ctx context.Context, label string, key *secret.Bytes) (Key, error) {
	if n := key.Len(); n != 32 && n != 24 {
		return Key{}, edge(fmt.Errorf("import key: %w: %d bytes, want 32 or 24", ErrSize, n))
	}
	want, err := CheckValue(key)
	if err != nil {
		return Key{}, err
	}
	return call(ctx, t, once, func() (Key, error) {
		var h pkcs11.ObjectHandle
		k, err := t.make(SharedKey, label, func(template []*pkcs11.Attribute) (_ []pkcs11.ObjectHandle, err error) {
			// SoftHSM cannot unwrap into an object that may not be modified. What
			// could be changed in it is judged at every use.
			template = slices.DeleteFunc(template, func(a *pkcs11.Attribute) bool { return a.Type == pkcs11.CKA_MODIFIABLE })
			h, err = t.bringIn(key, template)
			return []pkcs11.ObjectHandle{h}, err
		})
		if err == nil && k.Check != want {
			return Key{}, errors.Join(fmt.Errorf("import key %q: the token holds another key than it was given", label), t.destroy(h))
		}
		return k, err
	})
}

// make is what all new keys have in common. fn gives the new objects, the one
// that is judged first.
func (t *Token) make(role Role, label string, fn func([]*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error)) (Key, error) {
	if err := checkLabel(label); err != nil {
		return Key{}, err
	}
	taken, err := t.find(pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label))
	if err != nil {
		return Key{}, err
	}
	if len(taken) > 0 {
		return Key{}, fmt.Errorf("make key %q: %w: an object of that label is in token %q", label, ErrExists, t.info.Label)
	}
	made, err := fn(roles[role].template(role, label))
	if err != nil {
		return Key{}, err
	}
	k, err := t.describe(made[0])
	if err == nil {
		err = t.check(made[0], &k)
	}
	if err == nil && len(k.Problems) > 0 {
		err = fmt.Errorf("make key %q: %w: this token made it so: %s", label, ErrAttributes, strings.Join(k.Problems, "; "))
	}
	if err != nil {
		for _, h := range made {
			err = errors.Join(err, t.destroy(h))
		}
		return Key{}, err
	}
	return k.Key, nil
}

func (t *Token) generate(mechanism uint, template []*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	h, err := t.mod.fn.GenerateKey(t.session, mech(mechanism), template)
	return []pkcs11.ObjectHandle{h}, failure("make key", err)
}

// generatePair makes the private key of the template and its public key, both
// of one label and ID.
func (t *Token) generatePair(label string, private []*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	pub, priv, err := t.mod.fn.GenerateKeyPair(t.session, mech(pkcs11.CKM_EC_KEY_PAIR_GEN), []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_EC),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false),
		pkcs11.NewAttribute(pkcs11.CKA_MODIFIABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
		pkcs11.NewAttribute(pkcs11.CKA_ID, objectID(Signer, label)),
		pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true),
		pkcs11.NewAttribute(pkcs11.CKA_WRAP, false),
		pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, false),
		pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, p256),
	}, private)
	return []pkcs11.ObjectHandle{priv, pub}, failure("make key pair", err)
}
