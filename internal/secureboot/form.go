package secureboot

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"slices"

	"station/internal/chip"
)

// form is what a kind of key puts into a signature block of version 2.
type form struct {
	kind    chip.SigningKey
	version byte // the block's second byte
	variant byte // its third: 1 where the image's digest is SHA-384
	curve   byte // with which the key begins; 0 for none

	hash                   crypto.Hash
	keySize, signatureSize int

	fields func(crypto.PublicKey) []byte // the key as the block has it
	sign   func(digest []byte, key crypto.Signer) ([]byte, error)
	check  func(f *faults, p parts) crypto.PublicKey
}

var forms = []form{
	{kind: chip.RSA3072, version: byte(V2), hash: crypto.SHA256, keySize: rsaKeySize, signatureSize: modulusSize, fields: rsaFields, sign: rsaSign, check: rsaCheck},
	ecForm(chip.P256, elliptic.P256(), crypto.SHA256, 2, 0),
	ecForm(chip.P384, elliptic.P384(), crypto.SHA384, 3, 1),
}

// parts are what a block consists of.
type parts struct{ digest, key, signature, rest []byte }

// of takes a block apart.
func (m form) of(block []byte) parts {
	key := offsetDigest + m.hash.Size()
	signature := key + m.keySize
	end := signature + m.signatureSize
	return parts{block[offsetDigest:key], block[key:signature], block[signature:end], block[end:offsetCRC]}
}

// formFor is the form of a kind of key; that is one of KindOf.
func formFor(kind chip.SigningKey) form {
	return forms[slices.IndexFunc(forms, func(m form) bool { return m.kind == kind })]
}

// formIn is the form of a block; false for one that is not known.
func formIn(block []byte) (form, bool) {
	i := slices.IndexFunc(forms, func(m form) bool {
		return block[1] == m.version && (m.curve == 0 || block[2] == m.variant && m.of(block).key[0] == m.curve)
	})
	return forms[max(0, i)], i >= 0
}

// kindIn names the kind of key in a block, one that is not known too.
func kindIn(block []byte) string {
	switch m, ok := formIn(block); {
	case ok:
		return string(m.kind)
	case block[2] == 0 && block[offsetDigest+sha256.Size] == curveP192:
		return "ECDSA P-192"
	}
	return "ECDSA"
}

// KindOf tells what kind of key a public key is, of those that chips take.
func KindOf(key crypto.PublicKey) (chip.SigningKey, error) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n != modulusBits {
			return "", fmt.Errorf("secure boot: an RSA key of %d bits: version 2 wants %d", n, modulusBits)
		}
		return chip.RSA3072, nil
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return chip.P256, nil
		case elliptic.P384():
			return chip.P384, nil
		}
		return "", fmt.Errorf("secure boot: an EC key on %s: chips take P-256, and some P-384", key.Params().Name)
	}
	return "", fmt.Errorf("secure boot: a key of type %T: chips take RSA-%d, EC P-256 or EC P-384", key, modulusBits)
}

// KeyDigest is what the fuses must hold for images that the key signed with version 2:
// SHA-256 over the key as the signature block has it.
func KeyDigest(key crypto.PublicKey) ([sha256.Size]byte, error) {
	kind, err := KindOf(key)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return sha256.Sum256(formFor(kind).fields(key)), nil
}
