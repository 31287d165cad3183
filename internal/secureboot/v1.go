package secureboot

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"math/big"

	"station/internal/chip"
)

// A version 1 signature, right behind the image with its SHA-256 (ESP-IDF,
// "Secure Boot V1", image signing algorithm):
//
//	 0  version u32, 0
//	 4  r, 32 bytes, big endian
//	36  s, 32 bytes, big endian
const (
	sizeV1  = 68
	scalar  = 32
	offsetR = 4
	offsetS = offsetR + scalar
)

// hasV1 reports whether something like a version 1 signature is at offset at
// of the file, and nothing but erased flash behind it.
func hasV1(file []byte, at int) bool {
	return len(file) >= at+sizeV1 && binary.LittleEndian.Uint32(file[at:]) == 0 && erased(file[at+sizeV1:])
}

// signV1 signs with the nonce of RFC 6979 where the signer can: the same image
// and key give the same file.
func signV1(image []byte, key crypto.Signer) ([]byte, error) {
	digest := sha256.Sum256(image)
	r, sig, err := ecSignature(key, digest[:], crypto.SHA256, scalar)
	if err != nil {
		return nil, err
	}
	var block [sizeV1]byte
	copy(block[offsetR:], r)
	copy(block[offsetS:], sig)
	return append(image[:len(image):len(image)], block[:]...), nil
}

func (f *faults) verifyV1(file []byte, at int, key *ecdsa.PublicKey) *Signature {
	if len(file) < at+sizeV1 {
		f.add("no version 1 signature: the file ends where it should begin, at %#x", at)
		return nil
	}
	image, block := file[:at], file[at:at+sizeV1]
	f.after(file[at+sizeV1:])
	if v := binary.LittleEndian.Uint32(block); v != 0 {
		f.add("no version 1 signature: its version field at %#x is %#x, want 0", at, v)
		return nil
	}
	digest := sha256.Sum256(image)
	s := &Signature{Version: V1, Key: chip.P256, Chip: f.chip, Signed: at, Digest: digest[:]}
	if !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(block[offsetR:offsetS]), new(big.Int).SetBytes(block[offsetS:])) {
		f.add("the signature is not this key's over this image: the image was changed after it was signed, or another key signed it")
	}
	return s
}
