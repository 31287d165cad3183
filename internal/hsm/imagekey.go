package hsm

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"

	"github.com/miekg/pkcs11"
)

// ImageKey is a key in the token that signs images for secure boot, on P-256
// or RSA, as a crypto.Signer. It is not one of our roles: the firm made it
// with tools of its own and decides how it is kept. All that is asked of it is
// that it signs.
type ImageKey struct {
	t      *Token
	label  string
	public crypto.PublicKey
}

var _ crypto.Signer = (*ImageKey)(nil)

// ImageKey finds the private key of that label. Errors: ErrNoKey,
// ErrAmbiguous; ErrAttributes if it is of another kind or may not sign.
func (t *Token) ImageKey(ctx context.Context, label string) (*ImageKey, error) {
	return call(ctx, t, repeat, func() (*ImageKey, error) {
		_, pub, err := t.imageKey(label)
		if err != nil {
			return nil, err
		}
		return &ImageKey{t, label, pub}, nil
	})
}

func (t *Token) imageKey(label string) (object, crypto.PublicKey, error) {
	h, class, err := t.only(label, pkcs11.CKO_PRIVATE_KEY)
	if err != nil {
		return 0, nil, err
	}
	a, err := t.readAs(class, h)
	if err != nil {
		return 0, nil, fmt.Errorf("key %q: %w", label, err)
	}
	// The ledger's key must sign nothing else: an image may be any text, also
	// that of a checkpoint.
	if role := t.role(a); role != "" {
		return 0, nil, fmt.Errorf("key %q: %w: it is our %s, which signs no images", label, ErrAttributes, role)
	}
	if !a.flag(pkcs11.CKA_SIGN) {
		return 0, nil, fmt.Errorf("key %q: %w: SIGN is false: it may not sign", label, ErrAttributes)
	}
	var pub crypto.PublicKey
	switch kind := a.number(pkcs11.CKA_KEY_TYPE); kind {
	case pkcs11.CKK_EC:
		pub, err = t.public(a[pkcs11.CKA_LABEL], a[pkcs11.CKA_ID])
	case pkcs11.CKK_RSA:
		pub, err = t.publicRSA(h)
	default:
		err = fmt.Errorf("%w: its type is %s, want an EC or RSA private key", ErrAttributes, typeName(pkcs11.CKO_PRIVATE_KEY, kind))
	}
	if err != nil {
		return 0, nil, fmt.Errorf("key %q: %w", label, err)
	}
	return h, pub, nil
}

// publicRSA reads the public half of an RSA key, which its private one tells.
func (t *Token) publicRSA(h object) (*rsa.PublicKey, error) {
	a, err := t.mod.fn.Attributes(t.session, h, []uint{pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT})
	if err != nil {
		return nil, failure("read its public half", err)
	}
	pub, ok := a.rsa()
	if !ok {
		return nil, fmt.Errorf("%w: the token does not tell its public half", ErrAttributes)
	}
	return pub, nil
}

// Public is the public key, an *ecdsa.PublicKey or *rsa.PublicKey.
func (k *ImageKey) Public() crypto.PublicKey { return k.public }

// Sign signs a SHA-256 digest: with ECDSA, the signature in ASN.1, or with
// RSASSA-PSS, which opts must ask for with a salt of 32 bytes. The token brings
// its own randomness.
func (k *ImageKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts == nil || opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return nil, edge(fmt.Errorf("sign with %s: want a SHA-256 digest", k.label))
	}
	if _, ok := k.public.(*rsa.PublicKey); ok && !standardPSS(opts) {
		return nil, edge(fmt.Errorf("sign with %s: want RSASSA-PSS with a salt of 32 bytes", k.label))
	}
	return call(context.Background(), k.t, repeat, func() ([]byte, error) {
		h, pub, err := k.t.imageKey(k.label)
		if err != nil {
			return nil, err
		}
		op := "sign with " + k.label
		how := mech(pkcs11.CKM_ECDSA)
		if _, ok := pub.(*rsa.PublicKey); ok {
			how = mech(pkcs11.CKM_RSA_PKCS_PSS, pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, saltLength)
		}
		if err := k.t.mod.fn.SignInit(k.t.session, how, h); err != nil {
			return nil, failure(op, err)
		}
		raw, err := k.t.mod.fn.Signature(k.t.session, digest)
		if err == nil {
			raw, err = k.verified(digest, raw)
		}
		return raw, failure(op, err)
	})
}

// saltLength is that of RSASSA-PSS: as long as the digest.
const saltLength = 32

func standardPSS(opts crypto.SignerOpts) bool {
	pss, ok := opts.(*rsa.PSSOptions)
	return ok && (pss.SaltLength == saltLength || pss.SaltLength == rsa.PSSSaltLengthEqualsHash)
}

// verified is the token's signature as Go has it, after a check that the key
// found at first made it.
func (k *ImageKey) verified(digest, raw []byte) ([]byte, error) {
	ok := false
	switch pub := k.public.(type) {
	case *ecdsa.PublicKey:
		var err error
		if raw, err = signatureASN1(raw); err != nil {
			return nil, err
		}
		ok = ecdsa.VerifyASN1(pub, digest, raw)
	case *rsa.PublicKey:
		ok = rsa.VerifyPSS(pub, crypto.SHA256, digest, raw, &rsa.PSSOptions{SaltLength: saltLength}) == nil
	}
	if !ok {
		return nil, errors.New("the signature is not of this key's public half")
	}
	return raw, nil
}
