package hsm

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"

	"github.com/miekg/pkcs11"
)

// SigningKey is a P-256 key of ours in the token, as a crypto.Signer.
type SigningKey struct {
	t      *Token
	role   Role
	label  string
	public *ecdsa.PublicKey
}

var _ crypto.Signer = (*SigningKey)(nil)

// Signer finds the key of that label that signs the ledger. Errors as DeviceKey's.
func (t *Token) Signer(ctx context.Context, label string) (*SigningKey, error) {
	return t.signingKey(ctx, Signer, label)
}

// CA finds the key of that label that signs certificates. Errors as DeviceKey's.
func (t *Token) CA(ctx context.Context, label string) (*SigningKey, error) {
	return t.signingKey(ctx, CA, label)
}

// Bundler finds the key of that label that signs slot bundles. Errors as DeviceKey's.
func (t *Token) Bundler(ctx context.Context, label string) (*SigningKey, error) {
	return t.signingKey(ctx, Bundle, label)
}

func (t *Token) signingKey(ctx context.Context, role Role, label string) (*SigningKey, error) {
	return call(ctx, t, repeat, func() (*SigningKey, error) {
		key, err := t.key(role, label)
		if err != nil {
			return nil, err
		}
		pub, err := t.public(key.attributes[pkcs11.CKA_LABEL], key.attributes[pkcs11.CKA_ID])
		if err == nil && pub.Curve != elliptic.P256() {
			err = fmt.Errorf("%w: the key is not on P-256", ErrAttributes)
		}
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", label, err)
		}
		return &SigningKey{t, role, label, pub}, nil
	})
}

// Public is the public key, an *ecdsa.PublicKey.
func (s *SigningKey) Public() crypto.PublicKey { return s.public }

// Sign signs a SHA-256 digest and gives the signature in ASN.1, as
// ecdsa.VerifyASN1 takes it. The token brings its own randomness.
func (s *SigningKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.SignDigest(context.Background(), digest, opts)
}

// SignDigest is Sign that gives up with ctx.
func (s *SigningKey) SignDigest(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts != nil && opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return nil, edge(fmt.Errorf("sign with %s: want a SHA-256 digest", s.label))
	}
	return call(ctx, s.t, repeat, func() ([]byte, error) {
		key, err := s.t.key(s.role, s.label)
		if err != nil {
			return nil, err
		}
		sig, err := s.t.signWith(key.object, s.public, digest)
		if err != nil {
			return nil, failure("sign with "+s.label, err)
		}
		return sig, nil
	})
}

// signatureASN1 turns r || s of PKCS#11 (v2.40 mechanisms, 2.3.1) into the
// SEQUENCE of X9.62. Each has size bytes.
func signatureASN1(raw []byte, size int) ([]byte, error) {
	if len(raw) != 2*size {
		return nil, fmt.Errorf("the token gave a signature of %d bytes, want %d", len(raw), 2*size)
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:size]), new(big.Int).SetBytes(raw[size:])})
}

// publicHalf is the public key of a private one, by its attributes.
func (t *Token) publicHalf(a attributes) (crypto.PublicKey, error) {
	if pub, ok := a.rsa(); ok {
		return pub, nil
	}
	return t.public(a[pkcs11.CKA_LABEL], a[pkcs11.CKA_ID])
}

// public reads the EC public key that lies beside a private one.
func (t *Token) public(label, id []byte) (*ecdsa.PublicKey, error) {
	found, err := t.find(
		newAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY),
		newAttribute(pkcs11.CKA_TOKEN, true),
		newAttribute(pkcs11.CKA_LABEL, label),
		newAttribute(pkcs11.CKA_ID, id))
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, fmt.Errorf("its public half: %w", ErrNoKey)
	case len(found) > 1:
		return nil, fmt.Errorf("its public half: %w: there are %d", ErrAmbiguous, len(found))
	}
	a, err := t.readAs(pkcs11.CKO_PUBLIC_KEY, found[0])
	if err != nil {
		return nil, err
	}
	return parsePublic(a[pkcs11.CKA_EC_PARAMS], a[pkcs11.CKA_EC_POINT])
}
