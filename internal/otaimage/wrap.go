package otaimage

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"station/internal/secret"
)

// The field of the wrapped key, 384 bytes, holds either the image's key under
// RSA-3072, or what a device needs to compute it by itself (ECIES on P-256):
//
//	 0  x and y of a public key made for this image
//	64  salt of HKDF-SHA-256
//	96  288 zero
const (
	pointSize = 64
	saltSize  = 32
	eciesInfo = "_esp_enc_img_ecc"
	eciesSize = pointSize + saltSize
)

var errOther = errors.New("OTA image: it was made for another key, or it was changed")

// wrap makes the key of an image and what of it stands in the header.
func wrap(to crypto.PublicKey) (*secret.Bytes, [modulusSize]byte, error) {
	switch to := to.(type) {
	case *rsa.PublicKey:
		return wrapRSA(to)
	case *ecdsa.PublicKey:
		return wrapECIES(to)
	}
	return nil, [modulusSize]byte{}, fmt.Errorf("OTA image: a key of type %T; it takes RSA-3072 or EC P-256", to)
}

func wrapRSA(to *rsa.PublicKey) (*secret.Bytes, [modulusSize]byte, error) {
	var field [modulusSize]byte
	if bits := to.N.BitLen(); bits != modulusBits {
		return nil, field, fmt.Errorf("OTA image: an RSA key of %d bits: the header has room for %d", bits, modulusBits)
	}
	key, err := secret.Make(keySize)
	if err != nil {
		return nil, field, fmt.Errorf("OTA image: %w", err)
	}
	rand.Read(key.Reveal()) // never errs
	//lint:ignore SA1019 the format knows no other wrapping
	wrapped, err := rsa.EncryptPKCS1v15(nil, to, key.Reveal())
	if err != nil {
		key.Destroy()
		return nil, field, fmt.Errorf("OTA image: wrap the key: %w", err)
	}
	copy(field[:], wrapped)
	return key, field, nil
}

func wrapECIES(to *ecdsa.PublicKey) (*secret.Bytes, [modulusSize]byte, error) {
	var field [modulusSize]byte
	device, err := to.ECDH()
	if err != nil || device.Curve() != ecdh.P256() {
		return nil, field, errors.New("OTA image: the EC key is not on P-256")
	}
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, field, fmt.Errorf("OTA image: %w", err)
	}
	copy(field[:pointSize], private.PublicKey().Bytes()[1:])
	rand.Read(field[pointSize:eciesSize])
	key, err := agree(private, device, field[pointSize:eciesSize])
	return key, field, err
}

// agree computes the key that both sides of an agreement know.
func agree(private *ecdh.PrivateKey, public *ecdh.PublicKey, salt []byte) (*secret.Bytes, error) {
	shared, err := private.ECDH(public)
	if err != nil {
		return nil, errOther
	}
	defer clear(shared)
	key, err := hkdf.Key(sha256.New, shared, salt, eciesInfo, keySize)
	if err != nil {
		return nil, fmt.Errorf("OTA image: %w", err)
	}
	return secret.New(key)
}

// unwrap finds the key of an image with the private key that it was made for.
// The two kinds of headers are told apart by the key, as the device does.
func (h *Header) unwrap(with crypto.PrivateKey) (*secret.Bytes, error) {
	switch with := with.(type) {
	case *rsa.PrivateKey:
		return h.unwrapRSA(with)
	case *ecdsa.PrivateKey:
		return h.unwrapECIES(with)
	}
	return nil, fmt.Errorf("OTA image: a key of type %T; it takes RSA-3072 or EC P-256", with)
}

func (h *Header) unwrapRSA(with *rsa.PrivateKey) (*secret.Bytes, error) {
	if bits := with.N.BitLen(); bits != modulusBits {
		return nil, fmt.Errorf("OTA image: an RSA key of %d bits, want %d", bits, modulusBits)
	}
	key, err := secret.Make(keySize)
	if err != nil {
		return nil, fmt.Errorf("OTA image: %w", err)
	}
	// A wrapped key that does not open leaves a random one in place, so that
	// nobody can ask this program about the padding. The tag tells then.
	rand.Read(key.Reveal())
	//lint:ignore SA1019 the format knows no other wrapping
	if err := rsa.DecryptPKCS1v15SessionKey(nil, with, h.Key[:], key.Reveal()); err != nil {
		key.Destroy()
		return nil, errOther
	}
	return key, nil
}

func (h *Header) unwrapECIES(with *ecdsa.PrivateKey) (*secret.Bytes, error) {
	private, err := with.ECDH()
	if err != nil || private.Curve() != ecdh.P256() {
		return nil, errors.New("OTA image: the EC key is not on P-256")
	}
	if slices.Max(h.Key[eciesSize:]) != 0 {
		return nil, errOther
	}
	other, err := ecdh.P256().NewPublicKey(append([]byte{4}, h.Key[:pointSize]...))
	if err != nil {
		return nil, errOther
	}
	return agree(private, other, h.Key[pointSize:eciesSize])
}
