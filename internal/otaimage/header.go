package otaimage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// The header before the cipher text (esp_encrypted_img 2.7,
// tools/esp_enc_img_gen.py; all little endian):
//
//	  0  0788B6CF
//	  4  AES-256 key, wrapped (wrap.go), 384 bytes
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
	h, err := parseHeader(b, int64(len(b)))
	if err != nil {
		return nil, nil, err
	}
	return h, b[HeaderSize:], nil
}

// parseHeader reads the header of a file of that size.
func parseHeader(b []byte, size int64) (*Header, error) {
	if !Is(b) {
		return nil, errors.New("OTA image: it does not begin with cf b6 88 07")
	}
	if len(b) < HeaderSize {
		return nil, fmt.Errorf("OTA image: cut short: %d bytes, the header has %d", len(b), HeaderSize)
	}
	h := &Header{Size: binary.LittleEndian.Uint32(b[offsetSize:])}
	copy(h.Key[:], b[offsetKey:])
	copy(h.IV[:], b[offsetIV:])
	copy(h.Tag[:], b[offsetTag:])
	var faults []error
	if slices.Max(b[offsetZeros:HeaderSize]) != 0 {
		faults = append(faults, fmt.Errorf("OTA image: the header's last %d bytes are not zero", HeaderSize-offsetZeros))
	}
	if body := size - HeaderSize; body != int64(h.Size) {
		faults = append(faults, fmt.Errorf("OTA image: the header says %d bytes, %d follow it", h.Size, body))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return h, nil
}
