package sim

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
)

// Secure boot in the second stage: with version 2 it checks an app's signature
// against BLOCK2, with version 1 against the P-256 key that was built into it,
// 64 bytes X and Y. A bootloader without such a key checks nothing.

// appSigned checks the app of that length at an address. loader is the image
// of the second stage.
func (c *Chip) appSigned(t *console, loader []byte, at uint32, length int) bool {
	fault := ""
	switch {
	case c.secureBoot2():
		t.info("esp_image", "Verifying image signature...")
		if fault = c.signature2(at, length); fault != "" {
			t.fail("secure_boot_v2", "Secure Boot V2 verification failed.")
		} else {
			t.info("secure_boot_v2", "Signature verified successfully!")
		}
	case c.secureBoot1():
		key := builtIn(loader)
		if key == nil {
			return true
		}
		t.info("esp_image", "Verifying image signature...")
		fault = c.signature1(t, key, at, length)
	}
	if fault == "" {
		return true
	}
	t.fail("esp_image", "Secure boot signature verification failed")
	t.info("esp_image", "Calculating simple hash to check for corruption...")
	t.warn("esp_image", "image valid, signature bad")
	return false
}

// signature1 checks the 68 bytes behind an image: a version word of 0, r and s
// big endian. It returns what is wrong with them, having said it.
func (c *Chip) signature1(t *console, key *ecdsa.PublicKey, at uint32, length int) string {
	if int(at)+length+68 > len(c.flash.mem) {
		return "no room for a signature"
	}
	all := c.plainFlash(at, length+68)
	image, block := all[:length], all[length:]
	if version := binary.LittleEndian.Uint32(block); version != 0 {
		t.fail("secure_boot_v1", "image has invalid signature version field 0x%08x (image without a signature?)", version)
		return "no signature"
	}
	digest := sha256.Sum256(image)
	r, s := new(big.Int).SetBytes(block[4:36]), new(big.Int).SetBytes(block[36:68])
	if !ecdsa.Verify(key, digest[:], r, s) {
		return "another key or image"
	}
	return ""
}

// builtIn is the P-256 key in a bootloader: 64 bytes, on a word's boundary,
// that are a point of the curve. Bytes that are none pass for one once in 2^255.
func builtIn(loader []byte) *ecdsa.PublicKey {
	curve := elliptic.P256()
	for at := 0; at+64 <= len(loader); at += 4 {
		raw := loader[at : at+64]
		if bytes.Count(raw, []byte{0}) > 32 {
			continue
		}
		if key, err := ecdsa.ParseUncompressedPublicKey(curve, append([]byte{4}, raw...)); err == nil {
			return key
		}
	}
	return nil
}
