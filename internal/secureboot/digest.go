package secureboot

import (
	"crypto/rand"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"station/internal/firmware"
	"station/internal/flashcrypt"
	"station/internal/secret"
)

// With version 1 the chip knows its bootloader by a digest that lies at
// address 0 (ESP-IDF, "Secure Boot V1", bootloader digest):
//
//	  0  IV, 128 random bytes
//	128  digest, 64 bytes: SHA-512 over IV and bootloader, each block of 16
//	     bytes encrypted with the key in BLOCK2
//
// The bootloader is taken in whole blocks of 128 bytes, without its SHA-256
// and with FF behind its end.
const (
	IVSize     = 128
	DigestSize = sha512.Size
	hashBlock  = 128
	hashSize   = 32
)

// NewIV is a random IV.
func NewIV() (iv [IVSize]byte) {
	_, _ = rand.Read(iv[:]) // never fails
	return iv
}

// IVOf is an IV that is always the same for one device and bootloader, so that
// a device that was interrupted gets the same bytes again. It need not be
// secret: it only keeps two devices from having the same digest.
func IVOf(device, image []byte) (iv [IVSize]byte) {
	for half := range IVSize / sha512.Size {
		h := sha512.New()
		fmt.Fprintf(h, "station secure boot iv %d %x ", half, device)
		h.Write(image)
		copy(iv[half*sha512.Size:], h.Sum(nil))
	}
	return iv
}

// BootloaderSize is how many bytes of flash the digest of a bootloader covers:
// with flash encryption all of them are written encrypted.
func BootloaderSize(image []byte) (int, error) {
	i, err := firmware.ParseImage(image)
	if err != nil {
		return 0, fmt.Errorf("secure boot: bootloader digest: %w", err)
	}
	if i.App != nil {
		return 0, errors.New("secure boot: bootloader digest: this is an app, which is signed; the digest is of the bootloader")
	}
	n := i.Length
	if i.SHA256 != "" {
		n -= hashSize
	}
	return (n + hashBlock - 1) / hashBlock * hashBlock, nil
}

// BootloaderDigest is what must lie at address 0 of a chip that has the key in
// BLOCK2, so that it boots the bootloader: IV and digest, 192 bytes. The key
// has 32 bytes, or 24 on chips with coding scheme 3/4, and stays the caller's.
func BootloaderDigest(image []byte, key *secret.Bytes, iv [IVSize]byte) ([]byte, error) {
	n, err := BootloaderSize(image)
	if err != nil {
		return nil, err
	}
	// Flash decryption without a tweak is what the chip does here too: AES
	// forward over the mirrored block.
	cipher, err := flashcrypt.New(key, 0)
	if err != nil {
		return nil, fmt.Errorf("secure boot: bootloader digest: %w", err)
	}
	defer cipher.Destroy()
	message := append(iv[:], image[:min(n, len(image))]...)
	message = pad(message, IVSize+n)
	if err := cipher.Decrypt(message, message, 0); err != nil {
		return nil, fmt.Errorf("secure boot: bootloader digest: %w", err)
	}
	swapWords(message)
	sum := sha512.Sum512(message)
	swapWords(sum[:])
	return append(iv[:IVSize:IVSize], sum[:]...), nil
}

// swapWords turns the bytes of each 32-bit word round.
func swapWords(b []byte) {
	for at := 0; at < len(b); at += 4 {
		binary.LittleEndian.PutUint32(b[at:], bits.ReverseBytes32(binary.LittleEndian.Uint32(b[at:])))
	}
}
