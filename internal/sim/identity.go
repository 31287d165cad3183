package sim

import (
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"

	"golang.org/x/crypto/xts"

	"station/internal/chip"
)

// The application's own look at its identity: the partition esp_secure_cert, or
// NVS with a text of the key "id", as ESP-IDF's readers see them through the
// chip's decryption.

const (
	subNVS       = 0x02
	securePart   = "esp_secure_cert"
	tlvMagic     = 0xba5eba11
	tlvSum       = 9
	tlvID        = 51
	nvsPage      = 4096
	nvsEntry     = 32
	nvsEntries   = 126
	nvsFirst     = 64
	nvsText      = 0x21
	nvsKeyOfID   = "id"
	nvsKeyLength = 64
)

// sayIdentity prints the ID that the application finds in its flash.
func (c *Chip) sayIdentity(t *console) {
	if c.opts.Identity == "" {
		return
	}
	rows, _ := parseTable(c.plainFlash(tableAt, tableSize), len(c.flash.mem), nil)
	id, why := c.ownID(rows)
	if id == "" {
		t.fail("virtual", "no identity: %s", why)
		return
	}
	line := strings.Replace(c.opts.Identity, "{id}", id, 1)
	if from, text, ok := strings.Cut(line, ": "); ok {
		t.info(from, "%s", text)
		return
	}
	t.raw("%s", line)
}

// ownID is the ID in the flash, "" with the reason for none.
func (c *Chip) ownID(rows []partition) (id, why string) {
	for _, p := range rows {
		if p.label == securePart {
			return idOfTLVs(c.contents(p))
		}
	}
	keys := c.nvsKeys(rows)
	for _, p := range rows {
		if p.typ != typeData || p.sub != subNVS {
			continue
		}
		if id := idOfNVS(c.contents(p), keys); id != "" {
			return id, ""
		}
	}
	return "", "neither esp_secure_cert nor NVS holds one"
}

// contents are a partition as the application sees it.
func (c *Chip) contents(p partition) []byte {
	if p.flags&flagEncrypt != 0 || p.sub == subNVSKeys && p.typ == typeData {
		return c.plainFlash(p.offset, int(p.size))
	}
	b := make([]byte, p.size)
	c.readFlash(b, p.offset)
	return b
}

// sum32 is the ROM's CRC-32 for a start of FFFFFFFF.
func sum32(b []byte) uint32 { return crc32.Update(0xffffffff, crc32.IEEETable, b) }

// idOfTLVs walks the chain of esp_secure_cert: 12 bytes of header, data padded
// to 16, CRC-32. The SHA-256 of all before it must be there.
func idOfTLVs(b []byte) (id, why string) {
	for at := 0; at+16 <= len(b) && binary.LittleEndian.Uint32(b[at:]) == tlvMagic; {
		kind, n := b[at+8], int(binary.LittleEndian.Uint16(b[at+10:]))
		end := at + 12 + (n+15)/16*16
		if end+4 > len(b) || sum32(b[at:end]) != binary.LittleEndian.Uint32(b[end:]) {
			return "", "a TLV is damaged"
		}
		data := b[at+12 : at+12+n]
		switch kind {
		case tlvID:
			id = string(data)
		case tlvSum:
			if sum := sha256.Sum256(b[:at]); !bytes.Equal(sum[:], data) {
				return "", "the SHA-256 of esp_secure_cert is wrong"
			}
			return id, "esp_secure_cert has no ID"
		}
		at = end + 4
	}
	return "", "esp_secure_cert cannot be read"
}

// nvsKeys are the keys that NVS is encrypted with for itself; nil for none.
func (c *Chip) nvsKeys(rows []partition) *xts.Cipher {
	for _, p := range rows {
		if p.typ != typeData || p.sub != subNVSKeys || p.size < nvsPage {
			continue
		}
		b := c.contents(p)
		if sum32(b[:nvsKeyLength]) != binary.LittleEndian.Uint32(b[nvsKeyLength:]) {
			continue
		}
		if cipher, err := xts.NewCipher(aes.NewCipher, b[:nvsKeyLength]); err == nil {
			return cipher
		}
	}
	return c.hmacKeys()
}

// hmacKeys are the keys that the application has the chip make of its key for HMACs, two
// HMACs of 32 bytes; nil where it makes none. It takes a block that says it is for that.
func (c *Chip) hmacKeys() *xts.Cipher {
	key := c.hmacKey(c.opts.NVSKey)
	if key == nil {
		return nil
	}
	var keys []byte
	for _, word := range []string{"\x5a\x5a\xbe\xae", "\xa5\xa5\xde\xce"} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(strings.Repeat(word, 8)))
		keys = mac.Sum(keys)
	}
	cipher, _ := xts.NewCipher(aes.NewCipher, keys)
	return cipher
}

// hmacKey is the key with which the chip's peripheral computes HMACs for firmware that names
// this block; nil where the chip has no such peripheral, or the block is not for that.
func (c *Chip) hmacKey(block string) []byte {
	purpose := "KEY_PURPOSE_" + strings.TrimPrefix(block, "BLOCK_KEY")
	if use, has := c.opts.Chip.Seal.Keys[chip.HMAC]; !has || !slices.Contains(use.Blocks, block) || c.fuses.field(purpose) != purposeHMACUp {
		return nil
	}
	return c.keyIn(c.opts.Chip.Efuse.Block(block))
}

// idOfNVS finds the text of the key "id".
func idOfNVS(b []byte, keys *xts.Cipher) string {
	for page := 0; page+nvsPage <= len(b); page += nvsPage {
		for n := 0; n < nvsEntries; n++ {
			if b[page+32+n/4]>>(2*(n%4))&3 != 2 { // not written
				continue
			}
			at := page + nvsFirst + n*nvsEntry
			e := opened(keys, b, at)
			span := max(1, int(e[2]))
			if n+span > nvsEntries {
				return ""
			}
			if text := e[1] == nvsText && string(bytes.TrimRight(e[8:24], "\x00")) == nvsKeyOfID; text {
				var data []byte
				for i := 1; i < span; i++ {
					data = append(data, opened(keys, b, at+i*nvsEntry)...)
				}
				size := int(binary.LittleEndian.Uint16(e[24:]))
				if size > len(data) || sum32(data[:size]) != binary.LittleEndian.Uint32(e[28:]) {
					return ""
				}
				return string(bytes.TrimRight(data[:size], "\x00"))
			}
			n += span - 1
		}
	}
	return ""
}

// opened is an entry, decrypted by its address in the partition.
func opened(keys *xts.Cipher, b []byte, at int) []byte {
	e := bytes.Clone(b[at : at+nvsEntry])
	if keys != nil {
		keys.Decrypt(e, e, uint64(at))
	}
	return e
}
