// Package releasetest makes parts of releases for tests.
package releasetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"

	"station/internal/release"
)

// Bundle is a slot bundle of an app of the product lamp, for devices whose flash key has the
// check value 0102030405060708. It is signed, and not encrypted.
func Bundle(t *testing.T, app []byte) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := release.BundleOf{App: app, Product: "lamp", Check: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, Signer: key,
		Targets: []release.Target{{Address: 0x10000, Cipher: release.CipherESP32, Config: 0xf}},
		Encrypt: func(_ release.Target, plain []byte) ([]byte, error) { return plain, nil }}
	var b memory
	if _, err := of.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b
}

// memory is a file in memory.
type memory []byte

// WriteAt implements io.WriterAt.
func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if missing := int(off) + len(p) - len(*m); missing > 0 {
		*m = append(*m, make([]byte, missing)...)
	}
	return copy((*m)[off:], p), nil
}
