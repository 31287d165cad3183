package identity

import (
	"crypto/aes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/xts"

	"station/internal/secret"
)

// NVS can be encrypted for itself (ESP-IDF, "NVS Encryption"): every entry that
// is written, not the heads of pages, with XTS-AES-256, its address in the
// partition as the tweak. The partition of the keys, which flash encryption
// must cover, holds two keys of 32 bytes and their CRC-32; FF follow.
const (
	// NVSKeySize is the size of both keys together, in bytes.
	NVSKeySize = 64
	// NVSKeysSize is the size of the partition that holds them, in bytes.
	NVSKeysSize = 4096
)

// EncryptNVS encrypts a partition in place with keys of NVSKeySize bytes.
func EncryptNVS(partition, keys *secret.Bytes) error {
	if keys.Len() != NVSKeySize {
		return fmt.Errorf("identity: NVS keys of %d bytes, want %d", keys.Len(), NVSKeySize)
	}
	cipher, err := xts.NewCipher(aes.NewCipher, keys.Reveal())
	if err != nil {
		return fmt.Errorf("identity: NVS encryption: %w", err)
	}
	b := partition.Reveal()
	for page := 0; page+pageSize <= len(b); page += pageSize {
		for entry := range pageEntries {
			written := b[page+bitmapAt+entry/4]>>(2*(entry%4))&3 == 2
			at := page + entriesAt + entry*entrySize
			if written {
				cipher.Encrypt(b[at:at+entrySize], b[at:at+entrySize], uint64(at))
			}
		}
	}
	return nil
}

// NVSKeys is the partition that holds the keys.
func NVSKeys(keys *secret.Bytes) (*secret.Bytes, error) {
	if keys.Len() != NVSKeySize {
		return nil, errors.New("identity: NVS keys of another size")
	}
	out, err := erased(NVSKeysSize)
	if err != nil {
		return nil, err
	}
	b := out.Reveal()
	copy(b, keys.Reveal())
	binary.LittleEndian.PutUint32(b[NVSKeySize:], crc(b[:NVSKeySize]))
	return out, nil
}
