package sim

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

// What a bootloader built with flash encryption does on a chip that has it
// off: it takes the key in BLOCK1 or makes one that nobody knows, burns the
// security fuses, encrypts the flash in place and counts FLASH_CRYPT_CNT up.

type encryption int

const (
	encryptionOn encryption = iota
	encryptionStarted
	encryptionRefused
)

const cryptTag = "flash_encrypt"

func (b *booting) checkEncryption() encryption {
	c, t := b.chip, b.console
	count := c.fuses.field("FLASH_CRYPT_CNT")
	locked := c.fuses.field("WR_DIS")>>2&1 != 0
	switch {
	case c.crypt != nil:
		t.info(cryptTag, "%s", c.encryptionLine())
		return encryptionOn
	case b.build == RequiringBuild:
		t.fail(cryptTag, "flash encryption is not enabled, and SECURE_FLASH_REQUIRE_ALREADY_ENABLED is set, refusing to boot.")
		return encryptionRefused
	case locked || count == 0x7f:
		t.fail(cryptTag, "Cannot re-encrypt data CRYPT_CNT %d write disabled %d", bits.OnesCount32(count), boolBit(locked))
		return encryptionRefused
	case count == 0 && !b.burnKeyAndFeatures():
		return encryptionRefused
	}
	b.encryptFlash()
	var fresh Words
	if b.build == ReleaseBuild {
		t.info(cryptTag, "Setting CRYPT_CNT for permanent encryption")
		SetField(&fresh, "FLASH_CRYPT_CNT", 0x7f)
	} else {
		SetField(&fresh, "FLASH_CRYPT_CNT", count|(count+1)) // the lowest bit not yet burned
	}
	c.burnOnChip(fresh)
	t.info(cryptTag, "Flash encryption completed")
	return encryptionStarted
}

// burnKeyAndFeatures is the very first pass: key, protections, security fuses.
func (b *booting) burnKeyAndFeatures() bool {
	c, t := b.chip, b.console
	var fresh Words
	key := fresh[blockStart[1]:blockStart[2]]
	empty := [8]uint32(c.fuses.words[blockStart[1]:blockStart[2]]) == [8]uint32{}
	if empty {
		t.info(cryptTag, "Generating new flash encryption key...")
		copy(key, randomBlock(c.fuses.coding()))
	} else {
		if c.fuses.field("RD_DIS")&1 == 0 || c.fuses.field("WR_DIS")>>7&1 == 0 {
			t.fail(cryptTag, "Invalid key state, check read&write protection for key and keypurpose(if exists)")
			return false
		}
		t.info(cryptTag, "Using pre-loaded flash encryption key in efuse")
	}
	t.info(cryptTag, "Setting CRYPT_CONFIG efuse to 0xF")
	if config := c.fuses.field("FLASH_CRYPT_CONFIG"); config == 0 {
		SetField(&fresh, "FLASH_CRYPT_CONFIG", 0xf)
	} else if config != 0xf {
		t.fail(cryptTag, "EFUSE_ENCRYPT_CONFIG should be set 0xF but it is 0x%x", config)
	}
	if b.build == ReleaseBuild {
		t.info(cryptTag, "Disable UART bootloader encryption...")
		SetField(&fresh, "DISABLE_DL_ENCRYPT", 1)
	} else {
		t.warn(cryptTag, "Not disabling UART bootloader encryption")
	}
	for _, f := range []struct{ field, text string }{
		{"DISABLE_DL_DECRYPT", "Disable UART bootloader decryption..."},
		{"DISABLE_DL_CACHE", "Disable UART bootloader MMU cache..."},
		{"JTAG_DISABLE", "Disable JTAG..."},
		{"CONSOLE_DEBUG_DISABLE", "Disable ROM BASIC interpreter fallback..."},
	} {
		t.info(cryptTag, "%s", f.text)
		SetField(&fresh, f.field, 1)
	}
	SetField(&fresh, "WR_DIS", 1<<3|1<<7)
	SetField(&fresh, "RD_DIS", 1)
	c.burnOnChip(fresh)
	return true
}

// burnOnChip burns what WR_DIS allows, from software on the chip, and reads the fuses again.
func (c *Chip) burnOnChip(fresh Words) {
	locked := c.fuses.writeLocked()
	for i := range fresh {
		fresh[i] &^= locked[i]
	}
	c.meter.FuseBurns++
	c.burn(fresh)
	c.si.loadFuses(c)
}

// randomBlock is a key block that nobody knows, coded as the scheme stores it.
func randomBlock(scheme int) []uint32 {
	var raw [32]byte
	rand.Read(raw[:]) // never fails
	if scheme == coding34 {
		for part := range 4 {
			chunk := raw[8*part : 8*part+8]
			chunk[6], chunk[7] = 0, 0
			for i, b := range chunk[:6] {
				chunk[6] ^= b
				chunk[7] += byte((i + 1) * bits.OnesCount8(b))
			}
		}
	}
	words := make([]uint32, 8)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(raw[4*i:])
	}
	return words
}

// encryptFlash encrypts in place what holds code, keys or boot choice: bootloader, table,
// apps that are valid, otadata, nvs_keys and what the table marks.
func (b *booting) encryptFlash() {
	c, t := b.chip, b.console
	key := newFlashCipher(c.storedKey(), c.fuses.field("FLASH_CRYPT_CONFIG"))
	c.encryptRegion(key, bootloaderAt, tableAt-bootloaderAt)
	t.info(cryptTag, "bootloader encrypted successfully")
	c.encryptRegion(key, tableAt, sectorSize)
	t.info(cryptTag, "partition table encrypted and loaded successfully")
	for i, p := range b.rows {
		wanted := p.flags&flagEncrypt != 0
		switch {
		case p.typ == typeApp:
			wanted = c.loadImage(t, p) != nil
		case p.typ == typeData && (p.sub == subDataOTA || p.sub == subNVSKeys):
			wanted = true
		}
		if wanted {
			t.info(cryptTag, "Encrypting partition %d at offset 0x%x (length 0x%x)...", i, p.offset, p.size)
			c.encryptRegion(key, p.offset, min(int(p.size), len(c.flash.mem)))
			t.info(cryptTag, "Done encrypting")
		}
	}
}

func (c *Chip) encryptRegion(key flashCipher, addr uint32, n int) {
	var sector [sectorSize]byte
	for at := addr; at < addr+uint32(n); at += sectorSize {
		c.readFlash(sector[:], at)
		key.encrypt(sector[:], at)
		c.eraseFlash(at, 1)
		c.programFlash(sector[:], at)
	}
}

func boolBit(b bool) int {
	if b {
		return 1
	}
	return 0
}
