package sim

import (
	"encoding/binary"
	"math/bits"
)

// The coding schemes of BLOCK1-3, as the chip decodes them. The host codes.

const (
	codingNone = iota
	coding34
	codingRepeat
)

// decodeBlock is a block as RDATA shows it, with the block's four bits of
// DEC_STATUS: one for each part whose check does not fit.
func decodeBlock(stored [8]uint32, scheme int) (shown [8]uint32, status uint8) {
	switch scheme {
	case coding34:
		return decode34(stored)
	case codingRepeat:
		for i := range 4 {
			shown[i] = stored[i] | stored[i+4]
			if stored[i] != stored[i+4] {
				status |= 1 << i
			}
		}
		return shown, status
	}
	return stored, 0
}

// decode34 takes the six data bytes out of each eight. The two others are
// their XOR and the sum of their bit counts, each weighted with its place.
func decode34(stored [8]uint32) (shown [8]uint32, status uint8) {
	var raw, data [32]byte
	for i, w := range stored {
		binary.LittleEndian.PutUint32(raw[4*i:], w)
	}
	for part := range 4 {
		chunk := raw[8*part : 8*part+8]
		var xor, sum byte
		for i, b := range chunk[:6] {
			xor ^= b
			sum += byte((i + 1) * bits.OnesCount8(b))
		}
		if chunk[6] != xor || chunk[7] != sum {
			status |= 1 << part
		}
		copy(data[6*part:], chunk[:6])
	}
	for i := range shown {
		shown[i] = binary.LittleEndian.Uint32(data[4*i:])
	}
	return shown, status
}
