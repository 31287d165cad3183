package hsm

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/miekg/pkcs11"
)

// ImageKey is a key in the token that signs images for secure boot, on P-256, P-384
// or RSA, as a crypto.Signer: one of our role SecureBoot, which must be as that
// role wants it, or one that the firm made with tools of its own. How it keeps
// that is its business; all that is asked of it is that it signs.
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
	switch role := t.role(a); role {
	case "":
	case SecureBoot:
		if bad := roles[role].judge(a); len(bad) > 0 {
			return 0, nil, fmt.Errorf("key %q: %w: %s", label, ErrAttributes, strings.Join(bad, "; "))
		}
	default:
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

// Sign signs a SHA-256 digest, or with a key on P-384 one of SHA-384: with ECDSA, the signature in ASN.1, or with
// RSASSA-PSS, which opts must ask for with a salt of 32 bytes. The token brings
// its own randomness.
func (k *ImageKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if hash := hashFor(k.public); opts == nil || opts.HashFunc() != hash || len(digest) != hash.Size() {
		return nil, edge(fmt.Errorf("sign with %s: want a %v digest", k.label, hash))
	}
	if _, ok := k.public.(*rsa.PublicKey); ok && !standardPSS(opts) {
		return nil, edge(fmt.Errorf("sign with %s: want RSASSA-PSS with a salt of 32 bytes", k.label))
	}
	return call(context.Background(), k.t, repeat, func() ([]byte, error) {
		h, pub, err := k.t.imageKey(k.label)
		if err != nil {
			return nil, err
		}
		if !k.public.(interface{ Equal(crypto.PublicKey) bool }).Equal(pub) {
			err = errors.New("the token has another key of that label now")
		}
		var sig []byte
		if err == nil {
			sig, err = k.t.signWith(h, pub, digest)
		}
		return sig, failure("sign with "+k.label, err)
	})
}

// saltLength is that of RSASSA-PSS: as long as the digest.
const saltLength = 32

func standardPSS(opts crypto.SignerOpts) bool {
	pss, ok := opts.(*rsa.PSSOptions)
	return ok && (pss.SaltLength == saltLength || pss.SaltLength == rsa.PSSSaltLengthEqualsHash)
}

// signWith has the token sign a digest of hashFor: with ECDSA, the signature in
// ASN.1, or RSASSA-PSS. It is the signature of that public half, or an error.
func (t *Token) signWith(private object, public crypto.PublicKey, digest []byte) ([]byte, error) {
	how := mech(pkcs11.CKM_ECDSA)
	if _, ok := public.(*rsa.PublicKey); ok {
		how = mech(pkcs11.CKM_RSA_PKCS_PSS, pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, saltLength)
	}
	if err := t.mod.fn.SignInit(t.session, how, private); err != nil {
		return nil, err
	}
	sig, err := t.mod.fn.Signature(t.session, digest)
	if err != nil {
		return nil, err
	}
	good := false
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		if sig, err = signatureASN1(sig, (public.Curve.Params().BitSize+7)/8); err != nil {
			return nil, err
		}
		good = ecdsa.VerifyASN1(public, digest, sig)
	case *rsa.PublicKey:
		good = rsa.VerifyPSS(public, crypto.SHA256, digest, sig, &rsa.PSSOptions{SaltLength: saltLength}) == nil
	}
	if !good {
		return nil, errors.New("the signature is not of this key's public half")
	}
	return sig, nil
}

// publicOf is the public key that the attributes tell.
func publicOf(a attributes) (crypto.PublicKey, error) {
	if pub, ok := a.rsa(); ok {
		return pub, nil
	}
	return parsePublic(a[pkcs11.CKA_EC_PARAMS], a[pkcs11.CKA_EC_POINT])
}
