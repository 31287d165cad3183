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
	"slices"

	"station/internal/secret"

	"github.com/miekg/pkcs11"
)

const wrapBits uint = 2048

// export takes a key out of the token, wrapped to the RSA key of this run.
func (t *Token) export(h object, label string) (*secret.Bytes, error) {
	if err := t.makeWrapper(); err != nil {
		return nil, err
	}
	blob, err := t.oaepWrap(t.wrapper, h)
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
func (t *Token) oaepWrap(to, h object) ([]byte, error) {
	if !t.sha1 {
		blob, err := t.mod.fn.WrapKey(t.session, oaep(false), to, h)
		if !otherOAEP(err) {
			return blob, err
		}
		t.sha1 = true
	}
	return t.mod.fn.WrapKey(t.session, oaep(true), to, h)
}

// otherOAEP reports an answer after which the other digest may do.
func otherOAEP(err error) bool {
	return isCode(err, pkcs11.CKR_ARGUMENTS_BAD, pkcs11.CKR_MECHANISM_PARAM_INVALID, pkcs11.CKR_MECHANISM_INVALID)
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
		k, err := rsa.GenerateKey(rand.Reader, int(wrapBits))
		if err != nil {
			return fmt.Errorf("make wrapping key: %w", err)
		}
		t.wrapping = k
	}
	if t.wrapper != 0 {
		return nil
	}
	h, err := t.publicObject(&t.wrapping.PublicKey)
	if err != nil {
		return failure("bring in wrapping key", err)
	}
	t.wrapper = h
	return nil
}

// publicObject brings the public half of an RSA pair into the session, to wrap
// with it.
func (t *Token) publicObject(pub *rsa.PublicKey) (h object, err error) {
	needed := []*attribute{
		newAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY),
		newAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA),
		newAttribute(pkcs11.CKA_TOKEN, false),
		newAttribute(pkcs11.CKA_MODULUS, pub.N.Bytes()),
		newAttribute(pkcs11.CKA_PUBLIC_EXPONENT, big.NewInt(int64(pub.E)).Bytes()),
		newAttribute(pkcs11.CKA_WRAP, true),
	}
	full := append(slices.Clone(needed), newAttribute(pkcs11.CKA_PRIVATE, false),
		newAttribute(pkcs11.CKA_ENCRYPT, false), newAttribute(pkcs11.CKA_VERIFY, false))
	for _, template := range [][]*attribute{full, needed} {
		if h, err = t.mod.fn.CreateObject(t.session, template); err == nil || !unlike(err) {
			break
		}
	}
	return h, err
}

// bringIn puts a key into the token without showing it to whatever lies
// between: the token makes an RSA key pair for the moment, the key travels
// under its public half.
func (t *Token) bringIn(key *secret.Bytes, label string) (h object, err error) {
	pair, _, err := t.generate(forms(KEK, "station transport", 0, forMoment, ofRSA))
	if err != nil {
		return 0, fmt.Errorf("transport key: %w", err)
	}
	defer func() { err = errors.Join(err, t.destroyAll(pair)) }()
	to, err := t.publicRSA(pair[0])
	if err != nil {
		return 0, fmt.Errorf("transport key: %w", err)
	}
	for _, template := range importForms(label, key.Len()) {
		if h, err = t.bringInAs(key, to, pair[0], template); err == nil {
			if err = t.settle(h); err != nil {
				err = errors.Join(err, t.destroy(h))
			}
			return h, err
		}
		if !unlike(err) {
			break
		}
	}
	return 0, err
}

func (t *Token) bringInAs(key *secret.Bytes, to *rsa.PublicKey, with object, template []*attribute) (object, error) {
	for _, old := range []bool{false, true} {
		blob, err := rsa.EncryptOAEP(oaepHash(old), rand.Reader, to, key.Reveal(), nil)
		if err != nil {
			return 0, fmt.Errorf("wrap for transport: %w", err)
		}
		h, err := t.mod.fn.UnwrapKey(t.session, oaep(old), with, blob, template)
		if err == nil || old || !otherOAEP(err) {
			return h, failure("unwrap in token", err)
		}
	}
	return 0, errors.New("unwrap in token: no form of RSA-OAEP is accepted")
}

// settle sets what a token that was not told, or did not listen, made otherwise
// of a key that it took in. What it will not set is for the judge.
func (t *Token) settle(h object) error {
	a, err := t.read(h)
	if err != nil {
		return err
	}
	if !a.flag(pkcs11.CKA_EXTRACTABLE) { // which few tokens let anybody set
		_ = t.mod.fn.SetAttribute(t.session, h, newAttribute(pkcs11.CKA_EXTRACTABLE, true))
	}
	if !a.flag(pkcs11.CKA_SENSITIVE) {
		_ = t.mod.fn.SetAttribute(t.session, h, newAttribute(pkcs11.CKA_SENSITIVE, true))
	}
	for _, use := range usages[pkcs11.CKO_SECRET_KEY] {
		if on := use == pkcs11.CKA_SIGN; a.flag(use) != on {
			_ = t.mod.fn.SetAttribute(t.session, h, newAttribute(use, on))
		}
	}
	return nil
}

func ofRSA(k kind) bool { return k.kind == pkcs11.CKK_RSA }
