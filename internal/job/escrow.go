package job

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"station/internal/keyfile"
	"station/internal/tomlfile"
)

// minEscrowBits keeps escrow as strong as what it guards for years.
const minEscrowBits = 3072

// escrow reads the public keys of the officers who may open the devices' keys
// one day. Whoever approves the plan is told, and approves those keys with it.
func (j *Job) escrow(f *tomlfile.File) {
	j.Key.escrowKey = j.officer(f, "key.escrow", j.Key.Escrow, "every key is also wrapped to %s (%s): whoever has its private key can open the devices")
	if j.HMAC != nil {
		j.HMAC.escrowKey = j.officer(f, "hmac.escrow", j.HMAC.Escrow, "the keys for HMACs are also wrapped to %s (%s): whoever has its private key can read the devices' NVS")
	}
	j.SecureBoot.escrowKey = j.officer(f, "secure_boot.escrow", j.SecureBoot.Escrow, "the keys of secure boot are also wrapped to %s (%s): whoever has its private key can make digests for bootloaders of his own")
}

// officer reads one of them, and warns who approves; nil for none.
func (j *Job) officer(f *tomlfile.File, at, name, warning string) *rsa.PublicKey {
	if name == "" {
		return nil
	}
	key, err := readPublicKey(j.beside(name))
	if err != nil {
		f.Fault(at, "%v; write the PEM file of an RSA public key of %d bits or more", err, minEscrowBits)
		return nil
	}
	j.Warnings = append(j.Warnings, fmt.Sprintf(warning, name, Fingerprint(key)))
	return key
}

func readPublicKey(path string) (*rsa.PublicKey, error) {
	read, err := keyfile.ReadPublic(path)
	if err != nil {
		return nil, err
	}
	key, ok := read.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < minEscrowBits {
		return nil, errors.New("it holds another kind of key, or a shorter one")
	}
	return key, nil
}

// Fingerprint is the SHA-256 of a public key in DER (SubjectPublicKeyInfo).
func Fingerprint(key *rsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return err.Error() // an RSA key always marshals
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(der))
}

// EscrowKey is the officer's public key under which each such key is kept too;
// nil for no escrow.
func (k Key) EscrowKey() *rsa.PublicKey { return k.escrowKey }
