package firmware

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/bits"
	"strings"

	"station/internal/chip"
)

// code is a word and how an image header writes it.
type code struct {
	name  string
	value byte
	set   bool // Patch can set it
}

type codes []code

var modes = codes{{"qio", 0, true}, {"qout", 1, true}, {"dio", 2, true}, {"dout", 3, true}, {"fast", 4, false}, {"slow", 5, false}}

// maxSizeCode is the header's code for 128 MB; 0 is 1 MB.
const maxSizeCode = 7

func (c codes) name(value byte) (string, bool) {
	for _, x := range c {
		if x.value == value {
			return x.name, true
		}
	}
	return fmt.Sprintf("%#x", value), false
}

func (c codes) value(what, name string) (byte, error) {
	var known []string
	for _, x := range c {
		if x.set && x.name == name {
			return x.value, nil
		}
		if x.set {
			known = append(known, x.name)
		}
	}
	return 0, fmt.Errorf("flash %s %q is not known; use %s or keep", what, name, strings.Join(known, ", "))
}

// ParseFlashSize reads "4MB" as the tools write it.
func ParseFlashSize(s string) (uint32, error) {
	for code := range maxSizeCode + 1 {
		if size := uint32(1) << code; strings.EqualFold(s, fmt.Sprintf("%dMB", size)) {
			return size << 20, nil
		}
	}
	return 0, fmt.Errorf("flash size %q is not known; use 1MB, 2MB, 4MB and so on up to 128MB", s)
}

// Patch returns the image with the flash settings of its header replaced and
// the appended SHA-256 redone. An empty or "keep" mode or frequency and a size
// of 0 stay as they are. The image must be valid; what follows it (padding, a
// signature) is kept, but a signature no longer fits if anything changed.
func Patch(b []byte, mode, freq string, size uint32) ([]byte, error) {
	i, err := ParseImage(b)
	if err != nil {
		return nil, fmt.Errorf("patch flash settings: %w", err)
	}
	out := bytes.Clone(b)
	if mode != "" && mode != "keep" {
		if out[2], err = modes.value("mode", mode); err != nil {
			return nil, err
		}
	}
	if freq != "" && freq != "keep" {
		f := chip.ByImageID(uint32(i.ChipID))
		if f == nil {
			return nil, fmt.Errorf("flash frequency %q: the codes of %s are not known; use keep", freq, i.Chip())
		}
		v, known := f.SpeedCode(freq)
		if !known {
			return nil, fmt.Errorf("flash frequency %q: the %s has %s; use one of them or keep", freq, f.Title, strings.Join(chip.SpeedNames(f), ", "))
		}
		out[3] = out[3]&0xf0 | v
	}
	if size != 0 {
		if size&(size-1) != 0 || size < 1<<20 || size > 1<<20<<maxSizeCode {
			return nil, fmt.Errorf("flash size %#x is not 1 MB times a power of two up to 128 MB", size)
		}
		out[3] = out[3]&0x0f | byte(bits.TrailingZeros32(size>>20))<<4
	}
	if i.SHA256 != "" {
		sum := sha256.Sum256(out[:i.Length-hashSize])
		copy(out[i.Length-hashSize:], sum[:])
	}
	return out, nil
}
