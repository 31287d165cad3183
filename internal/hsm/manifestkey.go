package hsm

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"
	"io"

	"github.com/miekg/pkcs11"
)

// ManifestKey is the key of our role Manifest, RSA-3072, as a crypto.Signer
// that signs with PKCS #1 v1.5.
type ManifestKey struct {
	t      *Token
	label  string
	public *rsa.PublicKey
}

var _ crypto.Signer = (*ManifestKey)(nil)

// ManifestKey finds the key of that label that signs manifests. Errors as DeviceKey's.
func (t *Token) ManifestKey(ctx context.Context, label string) (*ManifestKey, error) {
	return call(ctx, t, repeat, func() (*ManifestKey, error) {
		key, err := t.key(Manifest, label)
		if err != nil {
			return nil, err
		}
		public, err := t.publicRSA(key.object)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", label, err)
		}
		return &ManifestKey{t, label, public}, nil
	})
}

// Public is the public key, an *rsa.PublicKey.
func (k *ManifestKey) Public() crypto.PublicKey { return k.public }

// digestInfo stands before a SHA-256 digest in a signature of PKCS #1 v1.5
// (RFC 8017, 9.2, note 1).
var digestInfo = []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}

// Sign signs a SHA-256 digest with RSASSA-PKCS1-v1_5.
func (k *ManifestKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss || opts == nil || opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return nil, edge(fmt.Errorf("sign with %s: want a SHA-256 digest and PKCS #1 v1.5", k.label))
	}
	return call(context.Background(), k.t, repeat, func() ([]byte, error) {
		key, err := k.t.key(Manifest, k.label)
		if err != nil {
			return nil, err
		}
		fn := k.t.mod.fn
		if err = fn.SignInit(k.t.session, mech(pkcs11.CKM_RSA_PKCS), key.object); err != nil {
			return nil, failure("sign with "+k.label, err)
		}
		sig, err := fn.Signature(k.t.session, append(digestInfo[:len(digestInfo):len(digestInfo)], digest...))
		if err == nil {
			err = rsa.VerifyPKCS1v15(k.public, crypto.SHA256, digest, sig)
		}
		return sig, failure("sign with "+k.label, err)
	})
}
