package hsm

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"

	"station/internal/secret"
)

// escrowLabel binds a blob to the key that it claims to be: the OAEP label is
// this text, a zero byte and the key ID.
const escrowLabel = "station escrow v1"

// minEscrowBits keeps escrow as strong as what it guards for years.
const minEscrowBits = 3072

// Escrow wraps a device key to an offline RSA public key with RSA-OAEP,
// SHA-256 and the OAEP label of EscrowLabel. The blob is public.
func Escrow(to *rsa.PublicKey, k DeviceKey) ([]byte, error) {
	if n := to.N.BitLen(); n < minEscrowBits {
		return nil, edge(fmt.Errorf("escrow: an RSA key of %d bits is too short, want %d or more", n, minEscrowBits))
	}
	blob, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, to, k.Secret.Reveal(), EscrowLabel(k.ID))
	if err != nil {
		return nil, edge(fmt.Errorf("escrow: %w", err))
	}
	return blob, nil
}

// OpenEscrow opens a blob of Escrow and makes sure, by the check value in the
// key ID, that the key is the one. A blob of another key or another recipient
// is ErrWrapped.
func OpenEscrow(with *rsa.PrivateKey, keyID string, blob []byte) (*secret.Bytes, error) {
	id, err := ParseKeyID(keyID)
	if err != nil {
		return nil, err
	}
	plain, err := rsa.DecryptOAEP(sha256.New(), nil, with, blob, EscrowLabel(keyID))
	if err != nil {
		return nil, edge(fmt.Errorf("open escrow of %s: %w", keyID, ErrWrapped))
	}
	key, err := secret.New(plain)
	if err != nil {
		return nil, err
	}
	if check, err := CheckValue(key); err != nil || check != id.Check {
		key.Destroy()
		return nil, edge(fmt.Errorf("open escrow of %s: %w: its check value is %s", keyID, ErrWrapped, check))
	}
	return key, nil
}

// EscrowLabel is the OAEP label of a key's blob, for those who open it with
// other means.
func EscrowLabel(keyID string) []byte { return []byte(escrowLabel + "\x00" + keyID) }
