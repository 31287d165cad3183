package otaimage

import (
	"encoding/hex"
	"fmt"

	"station/internal/secret"
)

// A device that opens ECIES images has no private key in its flash: the chip makes it of
// a key for HMACs in its fuses (esp_encrypted_img 2.7, src/esp_encrypted_img.c), by PBKDF2
// with HMAC-SHA-256, this salt and so many rounds: 32 bytes, a scalar on P-256, big endian.
const (
	deviceSalt   = "0e2160642dae76d33448e43d7720123d9f3b1eceb88e573a4e8f7fb94ff0c869"
	deviceRounds = 2048
)

// DeviceScalar is the private key that a chip makes of the key in its fuses. One in
// 2^32 of these keys gives no scalar, and a device with such a one opens nothing.
func DeviceScalar(key *secret.Bytes) (*secret.Bytes, error) {
	mac, err := secret.NewHMAC(key)
	if err != nil {
		return nil, fmt.Errorf("OTA image: %w", err)
	}
	defer mac.Destroy()
	out, err := secret.Make(keySize)
	if err != nil {
		return nil, fmt.Errorf("OTA image: %w", err)
	}
	salt, _ := hex.DecodeString(deviceSalt)
	round := mac.Sum(append(salt, 0, 0, 0, 1)) // of the first block, which is all
	defer func() { clear(round[:]) }()
	all := out.Reveal()
	copy(all, round[:])
	for range deviceRounds - 1 {
		round = mac.Sum(round[:])
		for i := range all {
			all[i] ^= round[i]
		}
	}
	return out, nil
}
