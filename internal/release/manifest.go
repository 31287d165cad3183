package release

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// The format of a manifest (docs/bundle.md).
const (
	ManifestSize = 2 * manifestBlock // bytes

	manifestBlock = 512  // bytes of a block encrypted with RSA-4096
	signedBits    = 3072 // of the author's RSA key
)

// Manifest is the content of a manifest: the app's descriptor and the author's signature
// over it.
type Manifest struct {
	Descriptor [DescriptorSize]byte
	Signature  [signedBits / 8]byte // RSA-3072 PKCS #1 v1.5 over SHA-256 of the descriptor
}

// MakeManifest signs an app's descriptor with the author's key, RSA-3072, and encrypts
// both with the fleet's public key, RSA-4096. The encryption is randomised, so each call
// has another result.
func MakeManifest(descriptor [DescriptorSize]byte, signer crypto.Signer, fleet *rsa.PublicKey) ([]byte, error) {
	public, ok := signer.Public().(*rsa.PublicKey)
	if !ok || public.N.BitLen() != signedBits {
		return nil, fmt.Errorf("manifest: the signing key is not RSA-%d", signedBits)
	}
	if bits := fleet.N.BitLen(); bits != manifestBlock*8 {
		return nil, fmt.Errorf("manifest: the fleet's manifest key is RSA-%d, want RSA-%d", bits, manifestBlock*8)
	}
	digest := sha256.Sum256(descriptor[:])
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("manifest: sign: %w", err)
	}
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature); err != nil {
		return nil, fmt.Errorf("manifest: the key gave a signature that is none: %w", err)
	}
	var blocks [2][]byte
	for i, plain := range [][]byte{descriptor[:], signature} {
		//lint:ignore SA1019 the format has PKCS #1 v1.5
		if blocks[i], err = rsa.EncryptPKCS1v15(rand.Reader, fleet, plain); err != nil {
			return nil, fmt.Errorf("manifest: encrypt: %w", err)
		}
	}
	return slices.Concat(blocks[0], blocks[1]), nil
}

// OpenManifest decrypts a manifest with the fleet's private key, as a device does. It
// does not check the signature; Verify does.
func OpenManifest(file []byte, fleet *rsa.PrivateKey) (*Manifest, error) {
	if len(file) != ManifestSize {
		return nil, fmt.Errorf("manifest: %d bytes, want %d", len(file), ManifestSize)
	}
	if bits := fleet.N.BitLen(); bits != manifestBlock*8 {
		return nil, fmt.Errorf("manifest: the fleet's manifest key is RSA-%d, want RSA-%d", bits, manifestBlock*8)
	}
	m := &Manifest{}
	for i, to := range [][]byte{m.Descriptor[:], m.Signature[:]} {
		//lint:ignore SA1019 the format has PKCS #1 v1.5
		plain, err := rsa.DecryptPKCS1v15(nil, fleet, file[i*manifestBlock:(i+1)*manifestBlock])
		if err != nil || len(plain) != len(to) {
			return nil, errors.New("manifest: it was made for another key, or it was changed")
		}
		copy(to, plain)
	}
	return m, nil
}

// Verify returns nil if the key signed the manifest's descriptor.
func (m *Manifest) Verify(key *rsa.PublicKey) error {
	digest := sha256.Sum256(m.Descriptor[:])
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], m.Signature[:]) != nil {
		return errors.New("manifest: the descriptor is not signed by this key, or it was changed")
	}
	return nil
}
