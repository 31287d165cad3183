package sim

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// entry is one 32-byte half of otadata.
func entry(seq, state, crc uint32) []byte {
	b := bytes.Repeat([]byte{0xff}, 32)
	binary.LittleEndian.PutUint32(b, seq)
	binary.LittleEndian.PutUint32(b[24:], state)
	binary.LittleEndian.PutUint32(b[28:], crc)
	return b
}

// The known answers of the otadata checksum.
func TestSequenceCRC(t *testing.T) {
	for seq, want := range map[uint32]uint32{1: 0x4743989a, 2: 0x55f63774, 3: 0xed4a5011, 4: 0x709d68a8, 5: 0xc8210fcd} {
		if got := seqCRC(seq); got != want {
			t.Errorf("seq %d: got %#x, want %#x", seq, got, want)
		}
	}
}

func TestBootChoice(t *testing.T) {
	const none = 0xffffffff
	blank := entry(none, none, none)
	good := func(seq uint32) []byte { return entry(seq, none, seqCRC(seq)) }
	both := []string{"factory", "ota_0", "ota_1"}
	for _, c := range []struct {
		name   string
		first  []byte
		second []byte
		apps   []string // that are flashed
		table  []string
		want   []string
		offset string
	}{
		{"empty", blank, blank, both, both, []string{"Defaulting to factory image"}, "0x10000"},
		{"slot 0", good(1), blank, both, both, nil, "0x20000"},
		{"slot 1", good(1), good(2), both, both, nil, "0x30000"},
		{"wraps", good(3), good(2), both, both, nil, "0x20000"},
		{"marked invalid", entry(2, 3, seqCRC(2)), good(1), both, both, nil, "0x20000"},
		{"both aborted", entry(2, 4, seqCRC(2)), entry(1, 4, seqCRC(1)), both, both, []string{"Defaulting to factory image"}, "0x10000"},
		{"wrong CRC", entry(1, none, 0x99f8b879), blank, both, both, []string{"ota data partition invalid, falling back to factory"}, "0x10000"},
		{"chosen app missing, a lower one there", good(2), blank, both[:2], both, []string{"OTA app partition slot 1 is not bootable"}, "0x20000"},
		{"factory missing, slot there", blank, blank, both[1:], both, []string{"Factory app partition is not bootable"}, "0x20000"},
		{"no factory in the table", blank, blank, both[1:], both[1:], []string{"No factory image, trying OTA 0", "Set actual ota_seq=1 in otadata[0]"}, "0x20000"},
		{"garbage, no factory in the table", entry(7, 7, 7), blank, both[1:], both[1:], []string{"ota data partition invalid and no factory, will try all partitions"}, "0x20000"},
		{"only a test app", blank, blank, []string{"test"}, []string{"test"}, []string{"Falling back to test app as only bootable partition"}, "0x40000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := map[string]uint32{"factory": 0x10000, "ota_0": 0x20000, "ota_1": 0x30000, "test": 0x40000}
			sub := map[string]byte{"factory": 0, "ota_0": 0x10, "ota_1": 0x11, "test": 0x20}
			rows := [][]byte{row(1, 0, 0xd000, 0x2000, "otadata", 0)}
			for _, name := range c.table {
				rows = append(rows, row(0, sub[name], at[name], 0x10000, name, 0))
			}
			images := map[uint32][]byte{0x1000: bootloaderWith(""), 0x8000: tableOf(rows...), 0xd000: c.first, 0xe000: c.second}
			for _, name := range c.apps {
				images[at[name]] = stationApp(appHead(exampleApp, "1"))
			}
			chip := newChip(t, Options{Flash: lay(4<<20, images)})
			chip.PressReset(true) // the first boot, at power-on, has written otadata already where it does
			copy(chip.flash.mem[0xd000:], images[0xd000])
			got := bootText(t, chip)
			for _, want := range append(c.want, "Loaded app from partition at offset "+c.offset+"\x1b", "station-example: ready") {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in %q", want, got)
				}
			}
		})
	}
}

// What a bootloader without a factory app writes into otadata boots the same slot again.
func TestFirstSlotIsWritten(t *testing.T) {
	images := map[uint32][]byte{
		0x1000:  bootloaderWith(""),
		0x8000:  tableOf(row(1, 0, 0xd000, 0x2000, "otadata", 0), row(0, 0x10, 0x10000, 0x10000, "ota_0", 0)),
		0x10000: stationApp(appHead("x", "1")),
	}
	c := newChip(t, Options{Flash: lay(4<<20, images)})
	if got, want := c.Flash()[0xd000:0xd020], entry(1, 2, seqCRC(1)); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if got := bootText(t, c); strings.Contains(got, "trying OTA 0") {
		t.Errorf("it chose again: %q", got)
	}
}

func selfEncrypting(t *testing.T, build Bootloader, change func(w *Words)) *Chip {
	o := Options{Revision: 3, Bootloader: build}
	w := FactoryWords(o)
	if change != nil {
		change(&w)
	}
	o.Words = &w
	o.Flash = lay(4<<20, map[uint32][]byte{
		0x1000: bootloaderWith(""),
		0x8000: tableOf(row(1, 2, 0x9000, 0x4000, "nvs", 0), row(1, 0, 0xd000, 0x2000, "otadata", 0),
			row(0, 0, 0x10000, 0x10000, "factory", 0), row(1, 6, 0x20000, 0x1000, "secret", flagEncrypt)),
		0x9000:  []byte("plain nvs"),
		0x10000: stationApp(appHead(exampleApp, "1")),
		0x20000: []byte("plain secret"),
	})
	return newChip(t, o)
}

// A bootloader built with encryption, on a chip that has none: the trap of a
// key that nobody knows.
func TestBootloaderMakesItsOwnKey(t *testing.T) {
	for _, c := range []struct {
		name  string
		build Bootloader
		w0    uint32
		w6    uint32
	}{
		{"development", DevelopBuild, 0x00110088, 0x344},
		{"release", ReleaseBuild, 0x07f10088, 0x3c4},
	} {
		t.Run(c.name, func(t *testing.T) {
			chip := selfEncrypting(t, c.build, nil)
			w := chip.Fuses()
			if w[0] != c.w0 || w[5]>>28 != 0xf || w[6] != c.w6 {
				t.Errorf("got BLOCK0 %08x, %08x, %08x, want %08x, CONFIG F, %08x", w[0], w[5], w[6], c.w0, c.w6)
			}
			if [8]uint32(w[7:15]) == [8]uint32{} {
				t.Error("BLOCK1 is empty")
			}
			got := bootText(t, chip)
			if !strings.Contains(got, "flash encryption is enabled") || !strings.Contains(got, "station-example: ready") {
				t.Errorf("got %q", got)
			}
			flash := chip.Flash()
			if bytes.Contains(flash, []byte("plain secret")) || bytes.Contains(flash, []byte(exampleApp)) {
				t.Error("plaintext is left in the flash")
			}
			if !bytes.Contains(flash, []byte("plain nvs")) {
				t.Error("nvs was encrypted")
			}
		})
	}
}

func TestBootloaderRefusesEncryption(t *testing.T) {
	for _, c := range []struct {
		name   string
		build  Bootloader
		change func(w *Words)
		want   string
	}{
		{"key without protection", DevelopBuild, func(w *Words) { w[7] = 1 }, "flash_encrypt: Invalid key state"},
		{"wants it on already", RequiringBuild, nil, "flash encryption is not enabled, and SECURE_FLASH_REQUIRE_ALREADY_ENABLED is set"},
		{"counter locked", DevelopBuild, func(w *Words) { SetField(w, "WR_DIS", 4) }, "Cannot re-encrypt data CRYPT_CNT 0 write disabled 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			chip := selfEncrypting(t, c.build, c.change)
			before := chip.Fuses()
			got := bootText(t, chip)
			if !strings.Contains(got, c.want) || strings.Contains(got, "app_main") {
				t.Errorf("want %q in %q", c.want, got)
			}
			if chip.Fuses() != before || chip.Field("FLASH_CRYPT_CNT") != 0 {
				t.Error("it burned fuses")
			}
		})
	}
}

func TestBootloaderTakesThePreparedKey(t *testing.T) {
	key := keyWords(testKey[:])
	chip := selfEncrypting(t, DevelopBuild, func(w *Words) {
		copy(w[7:], key[:])
		SetField(w, "WR_DIS", 1<<7)
		SetField(w, "RD_DIS", 1)
	})
	w := chip.Fuses()
	if [8]uint32(w[7:15]) != key {
		t.Error("the key changed")
	}
	plain := chip.Flash()[0x20000:0x20020]
	newFlashCipher(testKey, 0xf).decrypt(plain, 0x20000)
	if !bytes.HasPrefix(plain, []byte("plain secret")) {
		t.Errorf("got %q", plain)
	}
}

// The image itself tells how its bootloader was built.
func TestBuildIsReadFromTheImage(t *testing.T) {
	for text, want := range map[string]Bootloader{
		"":              PlainBuild,
		"flash_encrypt": DevelopBuild,
		"flash_encrypt Setting CRYPT_CNT for permanent encryption":   ReleaseBuild,
		"flash_encrypt SECURE_FLASH_REQUIRE_ALREADY_ENABLED is set,": RequiringBuild,
	} {
		if got := newChip(t, Options{}).built([]byte(text)); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	if got := newChip(t, Options{Bootloader: PlainBuild}).built([]byte("flash_encrypt")); got != PlainBuild {
		t.Errorf("the option lost: got %v", got)
	}
}
