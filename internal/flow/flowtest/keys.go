package flowtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"station/internal/chip"
	"station/internal/hsm/hsmtest"
)

// Master is the label of the example job's key in the token.
const Master = "station-master"

// DeviceKey derives the flash key that the token must have derived, by Go's own HMAC.
func DeviceKey(mac chip.MAC, size int) []byte {
	return DerivedKey("station flash encryption v1", mac, size)
}

// DerivedKey is the device's key for what the label says.
func DerivedKey(label string, mac chip.MAC, size int) []byte {
	return KeyOf(chip.Known(nil), label, mac, size)
}

// KeyOf is the key of a device with a chip of this family.
func KeyOf(f *chip.Family, label string, mac chip.MAC, size int) []byte {
	var key []byte
	for block := byte(1); len(key) < size; block++ {
		h := hmac.New(sha256.New, hsmtest.Master)
		fmt.Fprintf(h, "\x00\x00\x00%c%s\x00%s%s", block, label, f.Name, mac[:])
		_ = binary.Write(h, binary.BigEndian, uint32(size*8))
		key = h.Sum(key)
	}
	return key[:size]
}

// IdentityOf is what the device's identity must be, worked out by Go's own HMAC.
func IdentityOf(mac chip.MAC) (id string, token, private []byte) {
	id = hex.EncodeToString(DerivedKey("station device id v1", mac, 32)[:16])
	return id, DerivedKey("station device token v1", mac, 32), DerivedKey("station device private key v1", mac, 32)
}
