package secureboot

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"station/internal/chip"
)

// curveP192 is the number of a curve that is not signed with here.
const curveP192 = 1

// versionEC is the version byte of a block with an ECDSA key. Behind the digest it
// has (ESP-IDF, "Secure Boot V2", signature block format for ECDSA):
//
//	number of the curve, 1 byte
//	X and Y of the key
//	r and s of the signature
//	zeros up to the CRC
//
// Numbers are little endian, as long as the curve's field.
const versionEC = 3

func ecForm(kind chip.SigningKey, curve elliptic.Curve, hash crypto.Hash, number, variant byte) form {
	size := curve.Params().BitSize / 8
	e := ec{curve, hash, size, number}
	return form{kind: kind, version: versionEC, variant: variant, curve: number, hash: hash,
		keySize: 1 + 2*size, signatureSize: 2 * size, fields: e.fields, sign: e.sign, check: e.check}
}

// ec is a curve with the hash that goes with it.
type ec struct {
	curve  elliptic.Curve
	hash   crypto.Hash
	size   int // bytes of a number
	number byte
}

func (e ec) fields(key crypto.PublicKey) []byte {
	point, _ := key.(*ecdsa.PublicKey).Bytes() // a key of this curve has them: 4, X, Y
	return slices.Concat([]byte{e.number}, reversed(point[1:1+e.size]), reversed(point[1+e.size:]))
}

// sign signs with the nonce of RFC 6979 where the signer can.
func (e ec) sign(digest []byte, key crypto.Signer) ([]byte, error) {
	r, s, err := ecSignature(key, digest, e.hash, e.size)
	return slices.Concat(reversed(r), reversed(s)), err
}

// ecSignature is r and s of a signature, big endian, of that size each.
func ecSignature(key crypto.Signer, digest []byte, hash crypto.Hash, size int) (r, s []byte, err error) {
	der, err := key.Sign(nil, digest, hash)
	if err != nil {
		return nil, nil, err
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, nil, fmt.Errorf("the signer's answer is no ECDSA signature: %w", err)
	}
	if sig.R.Sign() <= 0 || sig.S.Sign() <= 0 || sig.R.BitLen() > 8*size || sig.S.BitLen() > 8*size {
		return nil, nil, errors.New("the signer's answer is no signature on the key's curve")
	}
	return sig.R.FillBytes(make([]byte, size)), sig.S.FillBytes(make([]byte, size)), nil
}

func (e ec) check(f *faults, p parts) crypto.PublicKey {
	point := slices.Concat([]byte{4}, reversed(p.key[1:1+e.size]), reversed(p.key[1+e.size:]))
	key, err := ecdsa.ParseUncompressedPublicKey(e.curve, point)
	if err != nil {
		f.add("the key in the signature block is no point of %s", e.curve.Params().Name)
		return nil
	}
	r, s := new(big.Int).SetBytes(reversed(p.signature[:e.size])), new(big.Int).SetBytes(reversed(p.signature[e.size:]))
	if !ecdsa.Verify(key, p.digest, r, s) {
		f.add("the signature is not that of the key and the digest beside it")
	}
	return key
}
