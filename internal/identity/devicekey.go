package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"fmt"

	"station/internal/secret"
)

// DeviceKey turns 32 bytes that the token computed for a device into its
// private key on P-256, in place, and gives the public one. Bytes that are no
// scalar of the curve, one case in 2^32, are replaced by their SHA-256: the
// same bytes always give the same key.
func DeviceKey(scalar *secret.Bytes) (*ecdsa.PublicKey, error) {
	if scalar.Len() != scalarSize {
		return nil, fmt.Errorf("identity: a private key of %d bytes, want %d", scalar.Len(), scalarSize)
	}
	b := scalar.Reveal()
	for !isScalar(b) {
		sum := sha256.Sum256(b)
		copy(b, sum[:])
		clear(sum[:])
	}
	return PublicKey(scalar)
}

// PublicKey is the public half of a private key on P-256, a scalar of 32 bytes, big endian.
func PublicKey(scalar *secret.Bytes) (*ecdsa.PublicKey, error) {
	if scalar.Len() != scalarSize || !isScalar(scalar.Reveal()) {
		return nil, errors.New("identity: the bytes are no private key on P-256")
	}
	// crypto/ecdh would keep a copy of the key on the heap.
	//lint:ignore SA1019 the only way to a public key that leaves nothing behind
	x, y := elliptic.P256().ScalarBaseMult(scalar.Reveal())
	if x == nil || y == nil {
		return nil, errors.New("identity: no public key")
	}
	point := append(make([]byte, 0, pointSize), 4)
	point = append(point, x.FillBytes(make([]byte, scalarSize))...)
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(point, y.FillBytes(make([]byte, scalarSize))...))
}

// isScalar reports whether big-endian bytes are from 1 to the order of P-256
// less one. The comparison stops at the first byte that differs, which tells
// nothing but that the key begins like the order.
func isScalar(b []byte) bool {
	var any byte
	for _, x := range b {
		any |= x
	}
	if any == 0 {
		return false
	}
	for i, n := range p256Order() {
		if b[i] != n {
			return b[i] < n
		}
	}
	return false
}

func p256Order() []byte {
	return elliptic.P256().Params().N.FillBytes(make([]byte, scalarSize))
}
