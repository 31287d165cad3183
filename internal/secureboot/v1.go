package secureboot

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
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
	der, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, fmt.Errorf("the signer's answer is no ECDSA signature: %w", err)
	}
	if sig.R.Sign() <= 0 || sig.S.Sign() <= 0 || sig.R.BitLen() > 8*scalar || sig.S.BitLen() > 8*scalar {
		return nil, errors.New("the signer's answer is no signature on P-256")
	}
	var block [sizeV1]byte
	sig.R.FillBytes(block[offsetR:offsetS])
	sig.S.FillBytes(block[offsetS:])
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
	s := &Signature{Version: V1, Signed: at, Digest: sha256.Sum256(image)}
	if !ecdsa.Verify(key, s.Digest[:], new(big.Int).SetBytes(block[offsetR:offsetS]), new(big.Int).SetBytes(block[offsetS:])) {
		f.add("the signature is not this key's over this image: the image was changed after it was signed, or another key signed it")
	}
	return s
}
