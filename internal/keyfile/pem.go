package keyfile

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"station/internal/secret"
)

// ReadPrivate reads the private key of a PEM file. A file that others may read
// or that the group may change is refused, as a PIN file is.
func ReadPrivate(path string) (crypto.Signer, error) {
	page, err := ReadGuarded(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	defer page.Destroy()
	block, err := findPEM(page.Reveal(), "PRIVATE KEY")
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	defer clear(block.Bytes)
	key, err := parsePrivate(block)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return key, nil
}

// ReadGuarded reads a file with a secret in it. One that others may read or that the
// group may change is refused.
func ReadGuarded(path string) (*secret.Bytes, error) {
	f, err := Open(path, Key)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.Mode().Perm()&0o027 != 0:
		return nil, fmt.Errorf("%s may be read or changed by others (mode %04o); chmod 0600 or 0640 it, and think about who has read it", path, info.Mode().Perm())
	}
	page, err := secret.Make(int(info.Size()))
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(f, page.Reveal()); err != nil {
		page.Destroy()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return page, nil
}

// findPEM finds the block whose type ends so. Files of EC keys have another
// one, of the curve, before it.
func findPEM(data []byte, kind string) (*pem.Block, error) {
	other := ""
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, kind) {
			return block, nil
		}
		clear(block.Bytes)
		other = block.Type
	}
	switch {
	case strings.HasSuffix(other, "PRIVATE KEY"):
		return nil, errors.New(`it holds a private key, where its public half is enough; make that with "openssl pkey -pubout"`)
	case other != "":
		return nil, fmt.Errorf("it holds a %s, want a %s", other, kind)
	}
	return nil, fmt.Errorf("it holds no %s in PEM", kind)
}

func parsePrivate(block *pem.Block) (crypto.Signer, error) {
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return nil, errors.New("the key is encrypted, and this program asks for no passphrases; put the key into a token, or decrypt it for as long as it is used")
	case block.Type == "EC PRIVATE KEY":
		key, err := x509.ParseECPrivateKey(block.Bytes)
		return key, tooWeak(block.Bytes, err)
	case block.Type == "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case block.Type != "PRIVATE KEY":
		return nil, fmt.Errorf("%s is a form of key that is not known here; make it PKCS #8", block.Type)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, tooWeak(block.Bytes, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return signer, nil
}

// ReadPublic reads the public key of a PEM file.
func ReadPublic(path string) (crypto.PublicKey, error) {
	data, err := Read(path, Key)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	defer clear(data) // it may be the wrong file
	key, err := ParsePublic(data)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return key, nil
}

// ParsePublic reads a public key in PEM.
func ParsePublic(data []byte) (crypto.PublicKey, error) {
	block, err := findPEM(data, "PUBLIC KEY")
	if err != nil {
		return nil, err
	}
	if block.Type == "RSA PUBLIC KEY" {
		return x509.ParsePKCS1PublicKey(block.Bytes)
	}
	return ParsePublicDER(block.Bytes)
}

// ParsePublicDER reads a public key as SubjectPublicKeyInfo.
func ParsePublicDER(der []byte) (crypto.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(der)
	return key, tooWeak(der, err)
}

// p192 is the object identifier of prime192v1 in DER (RFC 5480).
var p192 = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x01}

// tooWeak says of a key that cannot be read what there is against its curve.
func tooWeak(der []byte, err error) error {
	if err != nil && bytes.Contains(der, p192) {
		return errors.New("the key is on P-192, which is too weak to begin with; make one on P-256, which every chip takes that takes P-192")
	}
	return err
}

// keySizes are the lengths of key files.
var keySizes = []int64{16, 24, 32, 64}

// ReadSecret reads an espsecure key file into a secret.
func ReadSecret(path string) (*secret.Bytes, error) {
	f, err := Open(path, Key)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if n := info.Size(); !slices.Contains(keySizes, n) {
		return nil, fmt.Errorf("key file %s: %d bytes; a key is 32, 24 for coding scheme 3/4, 64 for XTS-AES-256, or 16 for an ESP32-C2", path, n)
	}
	key, err := secret.Make(int(info.Size()))
	if err != nil {
		return nil, err
	}
	if n, err := f.Read(key.Reveal()); err != nil || n != key.Len() {
		key.Destroy()
		return nil, errors.Join(fmt.Errorf("key file %s: %d of %d bytes read", path, n, key.Len()), err)
	}
	return key, nil
}

// ReadCertificate reads the certificate of a PEM file.
func ReadCertificate(path string) (*x509.Certificate, error) {
	data, err := Read(path, Key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	block, err := findPEM(data, "CERTIFICATE")
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", path, err)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", path, err)
	}
	return c, nil
}
