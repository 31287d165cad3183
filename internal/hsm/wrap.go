package hsm

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"math/big"

	"station/internal/secret"

	"github.com/miekg/pkcs11"
)

const wrapBits = 2048

// export takes a key out of the token, wrapped to the RSA key of this run.
func (t *Token) export(h pkcs11.ObjectHandle, label string) (*secret.Bytes, error) {
	if err := t.makeWrapper(); err != nil {
		return nil, err
	}
	blob, err := t.oaepWrap(h)
	clearRegisters() // opening the blob takes a while
	if err != nil {
		return nil, failure("wrap "+label, err)
	}
	plain, err := rsa.DecryptOAEP(oaepHash(t.sha1), nil, t.wrapping, blob, nil)
	if err != nil {
		return nil, fmt.Errorf("open wrapped %s: %w", label, err)
	}
	// The result is a part of the buffer that was decrypted in; the rest of
	// that buffer is padding. secret.New overwrites it.
	return secret.New(plain)
}

// oaepWrap prefers SHA-256. SoftHSM 2.6 has RSA-OAEP with SHA-1 only, which is
// no weakness here: OAEP does not rest on collision resistance.
func (t *Token) oaepWrap(h pkcs11.ObjectHandle) ([]byte, error) {
	if !t.sha1 {
		blob, err := t.mod.fn.WrapKey(t.session, oaep(false), t.wrapper, h)
		if !isCode(err, pkcs11.CKR_ARGUMENTS_BAD, pkcs11.CKR_MECHANISM_PARAM_INVALID, pkcs11.CKR_MECHANISM_INVALID) {
			return blob, err
		}
		t.sha1 = true
	}
	return t.mod.fn.WrapKey(t.session, oaep(true), t.wrapper, h)
}

func oaep(old bool) mechanism {
	digest, mgf := uint(pkcs11.CKM_SHA256), uint(pkcs11.CKG_MGF1_SHA256)
	if old {
		digest, mgf = pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1
	}
	return mech(pkcs11.CKM_RSA_PKCS_OAEP, digest, mgf, pkcs11.CKZ_DATA_SPECIFIED, 0, 0) // no label: no address, no length
}

func oaepHash(old bool) hash.Hash {
	if old {
		return sha1.New()
	}
	return sha256.New()
}

// makeWrapper puts the public half of this run's RSA key into the session.
func (t *Token) makeWrapper() error {
	if t.wrapping == nil {
		k, err := rsa.GenerateKey(rand.Reader, wrapBits)
		if err != nil {
			return fmt.Errorf("make wrapping key: %w", err)
		}
		t.wrapping = k
	}
	if t.wrapper != 0 {
		return nil
	}
	h, err := t.mod.fn.CreateObject(t.session, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false),
		pkcs11.NewAttribute(pkcs11.CKA_WRAP, true),
		pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, false),
		pkcs11.NewAttribute(pkcs11.CKA_VERIFY, false),
		pkcs11.NewAttribute(pkcs11.CKA_MODULUS, t.wrapping.N.Bytes()),
		pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, big.NewInt(int64(t.wrapping.E)).Bytes()),
	})
	if err != nil {
		return failure("bring in wrapping key", err)
	}
	t.wrapper = h
	return nil
}

// bringIn puts a key into the token without showing it to whatever lies
// between: the token makes an RSA key pair for the moment, the key travels
// under its public half.
func (t *Token) bringIn(key *secret.Bytes, template []*pkcs11.Attribute) (h pkcs11.ObjectHandle, err error) {
	pub, priv, err := t.mod.fn.GenerateKeyPair(t.session, mech(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN),
		[]*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false),
			pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false),
			pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, wrapBits),
			pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
			pkcs11.NewAttribute(pkcs11.CKA_WRAP, true),
		},
		[]*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false),
			pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
			pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
			pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
			pkcs11.NewAttribute(pkcs11.CKA_UNWRAP, true),
			pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, false),
		})
	if err != nil {
		return 0, failure("make transport key", err)
	}
	defer func() { err = errors.Join(err, t.destroy(pub), t.destroy(priv)) }()
	to, err := t.publicRSA(pub)
	if err != nil {
		return 0, fmt.Errorf("transport key: %w", err)
	}
	for _, old := range []bool{false, true} {
		blob, err := rsa.EncryptOAEP(oaepHash(old), rand.Reader, to, key.Reveal(), nil)
		if err != nil {
			return 0, fmt.Errorf("wrap for transport: %w", err)
		}
		h, err := t.mod.fn.UnwrapKey(t.session, oaep(old), priv, blob, template)
		if err == nil || old || !isCode(err, pkcs11.CKR_ARGUMENTS_BAD, pkcs11.CKR_MECHANISM_PARAM_INVALID, pkcs11.CKR_MECHANISM_INVALID) {
			return h, failure("unwrap in token", err)
		}
	}
	return 0, errors.New("unwrap in token: no form of RSA-OAEP is accepted")
}
