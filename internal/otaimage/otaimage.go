// Package otaimage makes and opens pre-encrypted OTA images, as ESP-IDF's
// component esp_encrypted_img takes them over the air: AES-256-GCM under a
// random key, which is wrapped to an RSA-3072 key of the fleet. It is pure. An
// image is whole only for who holds the fleet's private key; it is not signed:
// anybody with the public key can make one.
package otaimage

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"station/internal/secret"
)

// The header before the cipher text (esp_encrypted_img 2.7,
// tools/esp_enc_img_gen.py; all little endian):
//
//	  0  0788B6CF
//	  4  AES-256 key, wrapped with RSA-3072 and PKCS #1 v1.5, 384 bytes
//	388  IV, 16 bytes: not the 12 that GCM usually has
//	404  bytes of cipher text u32
//	408  GCM tag, 16 bytes
//	424  88 zero
const (
	HeaderSize = 512

	magic       = 0x0788b6cf
	modulusBits = 3072
	modulusSize = modulusBits / 8
	keySize     = 32
	ivSize      = 16
	tagSize     = 16

	offsetKey   = 4
	offsetIV    = offsetKey + modulusSize
	offsetSize  = offsetIV + ivSize
	offsetTag   = offsetSize + 4
	offsetZeros = offsetTag + tagSize
)

// Header is what stands before the cipher text.
type Header struct {
	Key  [modulusSize]byte // wrapped
	IV   [ivSize]byte
	Size uint32 // bytes of cipher text, as many as the image has
	Tag  [tagSize]byte
}

// Is reports whether a file begins as a pre-encrypted image does.
func Is(b []byte) bool { return len(b) >= 4 && binary.LittleEndian.Uint32(b) == magic }

// Append appends the header's 512 bytes to b.
func (h *Header) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, magic)
	b = append(b, h.Key[:]...)
	b = append(b, h.IV[:]...)
	b = binary.LittleEndian.AppendUint32(b, h.Size)
	b = append(b, h.Tag[:]...)
	return append(b, make([]byte, HeaderSize-offsetZeros)...)
}

// Parse reads the header of a file and takes the file apart. The error has
// every fault.
func Parse(b []byte) (*Header, []byte, error) {
	if !Is(b) {
		return nil, nil, errors.New("OTA image: it does not begin with cf b6 88 07")
	}
	if len(b) < HeaderSize {
		return nil, nil, fmt.Errorf("OTA image: cut short: %d bytes, the header has %d", len(b), HeaderSize)
	}
	h := &Header{Size: binary.LittleEndian.Uint32(b[offsetSize:])}
	copy(h.Key[:], b[offsetKey:])
	copy(h.IV[:], b[offsetIV:])
	copy(h.Tag[:], b[offsetTag:])
	var faults []error
	if slices.Max(b[offsetZeros:HeaderSize]) != 0 {
		faults = append(faults, fmt.Errorf("OTA image: the header's last %d bytes are not zero", HeaderSize-offsetZeros))
	}
	if body := len(b) - HeaderSize; uint64(body) != uint64(h.Size) {
		faults = append(faults, fmt.Errorf("OTA image: the header says %d bytes, %d follow it", h.Size, body))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, nil, err
	}
	return h, b[HeaderSize:], nil
}

// Seal encrypts an image for those who hold the private half of an RSA-3072
// key. No two results are alike. The key of the image is overwritten at the
// end; what the libraries computed from it is garbage in memory for a while,
// like the image itself, which is all that the key could tell.
func Seal(image []byte, to *rsa.PublicKey) ([]byte, error) {
	switch bits := to.N.BitLen(); {
	case bits != modulusBits:
		return nil, fmt.Errorf("OTA image: an RSA key of %d bits: the header has room for %d", bits, modulusBits)
	case len(image) == 0:
		return nil, errors.New("OTA image: the image is empty")
	case uint64(len(image)) > math.MaxUint32:
		return nil, fmt.Errorf("OTA image: %d bytes are more than the header can say", len(image))
	}
	key, err := secret.Make(keySize)
	if err != nil {
		return nil, fmt.Errorf("OTA image: %w", err)
	}
	defer key.Destroy()
	rand.Read(key.Reveal()) // never errs
	h := &Header{}
	rand.Read(h.IV[:])
	//lint:ignore SA1019 the format knows no other wrapping
	wrapped, err := rsa.EncryptPKCS1v15(nil, to, key.Reveal())
	if err != nil {
		return nil, fmt.Errorf("OTA image: wrap the key: %w", err)
	}
	copy(h.Key[:], wrapped)
	return seal(h, key, image)
}

// seal encrypts under the header's IV and completes the header.
func seal(h *Header, key *secret.Bytes, image []byte) ([]byte, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, HeaderSize, HeaderSize+len(image)+tagSize)
	out = gcm.Seal(out, h.IV[:], image, nil)
	end := len(out) - tagSize
	h.Size = uint32(len(image))
	copy(h.Tag[:], out[end:])
	h.Append(out[:0])
	return out[:end], nil
}

// Open opens a file with the private key that it was made for, as the device
// does, and returns the image.
func Open(file []byte, with *rsa.PrivateKey) ([]byte, error) {
	h, body, err := Parse(file)
	if err != nil {
		return nil, err
	}
	if bits := with.N.BitLen(); bits != modulusBits {
		return nil, fmt.Errorf("OTA image: an RSA key of %d bits, want %d", bits, modulusBits)
	}
	key, err := secret.Make(keySize)
	if err != nil {
		return nil, fmt.Errorf("OTA image: %w", err)
	}
	defer key.Destroy()
	// A wrapped key that does not open leaves a random one in place, so that
	// nobody can ask this program about the padding. The tag tells then.
	rand.Read(key.Reveal())
	//lint:ignore SA1019 the format knows no other wrapping
	if err := rsa.DecryptPKCS1v15SessionKey(nil, with, h.Key[:], key.Reveal()); err != nil {
		return nil, errOther
	}
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	image, err := gcm.Open(nil, h.IV[:], append(body[:len(body):len(body)], h.Tag[:]...), nil)
	if err != nil {
		return nil, errOther
	}
	return image, nil
}

var errOther = errors.New("OTA image: it was made for another key, or it was changed")

func newGCM(key *secret.Bytes) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key.Reveal())
	if err != nil {
		return nil, fmt.Errorf("OTA image: %w", err)
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, ivSize)
	if err != nil {
		return nil, fmt.Errorf("OTA image: %w", err)
	}
	return gcm, nil
}
