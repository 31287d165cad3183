package identity

import (
	"encoding/binary"

	"station/internal/secret"
)

// Chips that compute HMACs make the keys of NVS by themselves, of a key in their fuses
// (ESP-IDF, "NVS Encryption: HMAC Peripheral-Based Scheme"): each is HMAC-SHA-256 over
// eight equal words, little endian. There is no partition of keys then.
const (
	seedOfKey   = 0xaebe5a5a
	seedOfTweak = 0xcedea5a5
)

// KeysOfHMAC are the NVS keys, of NVSKeySize bytes, that a chip makes of the key in its
// fuses.
func KeysOfHMAC(key *secret.Bytes) (*secret.Bytes, error) {
	mac, err := secret.NewHMAC(key)
	if err != nil {
		return nil, err
	}
	defer mac.Destroy()
	out, err := secret.Make(NVSKeySize)
	if err != nil {
		return nil, err
	}
	at := out.Reveal()
	for _, seed := range []uint32{seedOfKey, seedOfTweak} {
		var words []byte
		for range 8 {
			words = binary.LittleEndian.AppendUint32(words, seed)
		}
		half := mac.Sum(words)
		at = at[copy(at, half[:]):]
		clear(half[:])
	}
	return out, nil
}
