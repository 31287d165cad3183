package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
)

// The recorded C3: its MAC, its straps, a blank 4 MB flash.
func recordedC3(t *testing.T) *Chip {
	t.Helper()
	words := Words{6: 0xf9123456, 7: 0x6055}
	return newChip(t, Options{Chip: chip.ESP32C3, Words: &words, InLoader: true, Real: true})
}

// The answers of the C3's own ROM to everything that was tried on it, byte for
// byte; of what it says when it crashes, the words before the numbers.
func TestTracesOfTheROMOfTheC3(t *testing.T) {
	for _, file := range []string{"basic", "baud", "flash", "flash-blocks", "frames"} {
		t.Run(file, func(t *testing.T) {
			b, err := os.ReadFile("../../fixtures/rom-c3/" + file + ".json")
			if err != nil {
				t.Fatal(err)
			}
			var traces []trace
			if err := json.Unmarshal(b, &traces); err != nil {
				t.Fatal(err)
			}
			c := recordedC3(t)
			p := openPort(t, c)
			session, console := -1, ""
			for _, e := range traces {
				if e.Session != session {
					session = e.Session
					console = setUp(t, c, p, e.Setup)
				}
				if strings.Contains(e.Name, "UART_CLKDIV") { // the emulator's own
					continue
				}
				if file == "flash-blocks" {
					e.period = 251
					if e.Session >= 11 && e.Name == "MD5" { // of payloads that the recording does not hold
						continue
					}
				}
				for i, x := range e.Exchanges {
					if at := bytes.Index(unhex(t, x.RX), []byte("PC      :")); at >= 0 {
						e.Exchanges[i].RX = x.RX[:2*at]
					}
				}
				replay(t, p, e, console)
			}
		})
	}
}

// What an image of the recorded boots shows on a console.
func recordedC3Images() map[uint32][]byte {
	head := make([]byte, 80)
	head[0] = 0x50
	copy(head[8:], "v5.2.2-dirty")
	copy(head[40:], "Jul 25 2024 16:24:30")
	loader := c3Image(0x403cc71a, part{0x3fcd5820, filled(0x13b0, head)}, part{0x403cc710, filled(0xb3c, nil)}, part{0x403ce710, filled(0x2b8c, nil)})
	app := c3Image(0x40380000,
		part{0x3c010020, filled(5844, appHead("hello_world", "1"))}, part{0x3fc87c00, filled(1988, nil)}, part{0x40380000, filled(31664, nil)},
		part{0, filled(26008, nil)}, part{0x42000020, filled(58584, nil)})
	table := tableOf(row(1, 2, 0x9000, 0x6000, "nvs", 0), row(1, 1, 0xf000, 0x1000, "phy_init", 0), row(0, 0, 0x10000, 0x100000, "factory", 0))
	return map[uint32][]byte{0: loader, 0x8000: table, 0x10000: app}
}

func c3Image(entry uint32, parts ...part) []byte {
	image := testImage(entry, 2, 0x1f, false, parts...)
	image[12] = 5
	return image
}

// xtsAll encrypts images for their addresses.
func xtsAll(key []byte, images map[uint32][]byte) map[uint32][]byte {
	out := map[uint32][]byte{}
	for at, image := range images {
		b := bytes.Clone(image)
		for len(b)%16 != 0 {
			b = append(b, 0xff)
		}
		newXTS(key).encrypt(b, at)
		out[at] = b
	}
	return out
}

// keyedC3 are fuses with a key for flash encryption and its counter.
func keyedC3(key []byte, count uint32) *Words {
	w := FactoryWords(Options{Chip: chip.ESP32C3})
	start, _ := wordsOf(chip.ESP32C3)
	k := keyWords(key)
	copy(w[start[4]:], k[:])
	SetFieldOf(chip.ESP32C3, &w, "KEY_PURPOSE_0", purposeXTS128)
	SetFieldOf(chip.ESP32C3, &w, "SPI_BOOT_CRYPT_CNT", count)
	SetFieldOf(chip.ESP32C3, &w, "RD_DIS", 1)
	return &w
}

// The consoles of the C3's ROM and a real bootloader, as those of the ESP32.
// The emulator's SPI controller made the bootloader call its mode SLOW READ.
func TestRecordedConsolesOfTheC3(t *testing.T) {
	key := testKey[:]
	crypt := func() map[uint32][]byte { return xtsAll(key, recordedC3Images()) }
	mixed := crypt()
	mixed[0x10000] = recordedC3Images()[0x10000]
	for _, s := range []struct {
		file   string
		images map[uint32][]byte
		count  uint32
		loose  bool
		until  string
	}{
		{"plain_ok", recordedC3Images(), 0, false, "Hello world"},
		{"enc_ok", crypt(), 1, false, "Hello world"},
		{"plain_crypt1", recordedC3Images(), 1, true, "SECOND"},
		{"wrongkey", xtsAll(bytes.Repeat([]byte{7}, 32), recordedC3Images()), 1, true, "SECOND"},
		{"enc_cnt0", crypt(), 0, true, "SECOND"},
		{"blank_nocrypt", nil, 0, false, "SECOND"},
		{"blank_crypt", nil, 1, true, "SECOND"},
		{"nopt", without(crypt(), 0x8000), 1, true, "rst:0x3"},
		{"noapp", without(crypt(), 0x10000), 1, false, "rst:0x3"},
		{"app_plain", mixed, 1, false, "rst:0x3"},
	} {
		t.Run(s.file, func(t *testing.T) {
			log, err := os.ReadFile("../../fixtures/rom-c3/boot/" + s.file + ".log")
			if err != nil {
				t.Fatal(err)
			}
			log = bytes.ReplaceAll(log, []byte("SLOW READ"), []byte("DIO"))
			c := newChip(t, Options{Chip: chip.ESP32C3, Words: keyedC3(key, s.count), Flash: lay(2<<20, s.images), FlashSize: 2 << 20})
			compareLines(t, comparable(bootText(t, c), s.loose), comparable(string(log), s.loose), s.until)
		})
	}
}

// holding is a chip with a key of XTS-AES in its fuses, which its key blocks say; nil where
// the family takes none of that length.
func holding(t *testing.T, f *chip.Family, key []byte) *Chip {
	t.Helper()
	o := Options{Chip: f, FlashSize: 4 << 10}
	start, _ := wordsOf(f)
	w := FactoryWords(o)
	parts := f.FlashKeyParts(8 * len(key))
	for n, part := range parts {
		block := f.Efuse.Block(fmt.Sprint("BLOCK_KEY", n))
		half := blockWords(reversedBytes(key[32*n:][:32]))
		copy(w[start[block]:], half[:])
		if name := f.Efuse.Blocks[block].Purpose; name != "" {
			SetFieldOf(f, &w, name, f.Seal.Keys[part].Value)
		} else {
			SetFieldOf(f, &w, "XTS_KEY_LENGTH_256", 1)
		}
	}
	if o.Words = &w; parts == nil {
		return nil
	}
	return newChip(t, o)
}

// Known answers of XTS-AES with keys of 32 and 64 bytes, by the fuses of every family that takes
// such a key.
func TestXTSKnownAnswers(t *testing.T) {
	b, err := os.ReadFile("../../fixtures/xts.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Key, PlainSeed, Cipher, CipherSHA256 string
		Address                              uint32
		PlainLen, CipherLen                  int
		OK                                   bool
	}
	if err := json.Unmarshal(b, &cases); err != nil || len(cases) < 10 {
		t.Fatal(len(cases), err)
	}
	keyed := map[string][]*Chip{}
	for _, c := range cases {
		if !c.OK || c.CipherLen > c.PlainLen { // refused, or padded with random bytes
			continue
		}
		if keyed[c.Key] == nil {
			for _, f := range chip.Families[1:] {
				if own := holding(t, f, unhex(t, c.Key)); own != nil {
					keyed[c.Key] = append(keyed[c.Key], own)
				} else if len(c.Key) == 64 {
					t.Errorf("the %s takes no key of 256 bits", f.Title)
				}
			}
		}
		plain := expand(c.PlainSeed, c.PlainLen&^15)
		for _, own := range keyed[c.Key] {
			x, got := own.si.cipher(own), bytes.Clone(plain)
			x.encrypt(got, c.Address)
			if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != c.CipherSHA256 {
				t.Errorf("%s, at %#x, %d bytes: it encrypts otherwise", own.opts.Chip.Title, c.Address, c.PlainLen)
			}
			if x.decrypt(got, c.Address); !bytes.Equal(got, plain) {
				t.Errorf("%s, at %#x: it does not decrypt", own.opts.Chip.Title, c.Address)
			}
		}
	}
	if len(keyed) != 2 {
		t.Errorf("%d keys", len(keyed))
	}
}

// A block with up to six wrong bytes is mended and says how many; with more it
// says that it could not.
func TestReedSolomonMends(t *testing.T) {
	data := [8]uint32{0x01020304, 0xdeadbeef, 0, 0xffffffff, 5, 6, 0x80000001, 0x12345678}
	check := checkRS(data)
	for wrong := range 9 {
		d, c := data, check
		for i := range wrong {
			if at := i * 5; at < rsData {
				d[at/4] ^= uint32(0x51+i) << (at % 4 * 8)
			} else {
				c[(at-rsData)/4] ^= uint32(0x51+i) << (at % 4 * 8)
			}
		}
		got, mended, failed := decodeRS(d, c)
		switch {
		case wrong <= 6 && (got != data || mended != wrong || failed):
			t.Errorf("%d wrong bytes: %d mended, failed %t, right %t", wrong, mended, failed, got == data)
		case wrong > 6 && (!failed || got != d):
			t.Errorf("%d wrong bytes: not refused", wrong)
		}
	}
}

// What espfuse burned through the real ROM is what the same writes burn here,
// and the file that it left is a state of a virtual chip; but a block that is
// read-protected reads as zero, which the emulator's file does not show.
func TestStateOfTheC3(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile("../../fixtures/rom-c3/efuse/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fuseFile), read("before.bin"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, h := loaderHost(t, Options{Chip: chip.ESP32C3, State: dir, FlashSize: 1 << 20})
	key := read("xts128.key")
	slices.Reverse(key)
	var data [8]uint32
	for i := range data {
		data[i] = uint32(key[4*i]) | uint32(key[4*i+1])<<8 | uint32(key[4*i+2])<<16 | uint32(key[4*i+3])<<24
	}
	h.burnBlock(4, data[:])
	h.burnBlock(0, []uint32{0x00800100, 1, 0x04040000})
	if got := onlyFile(t, dir, fuseFile); !bytes.Equal(got, read("after.bin")) {
		t.Errorf("efuse.bin is\n%s\nwant\n%s", hex.Dump(got), hex.Dump(read("after.bin")))
	}
	if _, err := os.Stat(filepath.Join(dir, checkFile)); err == nil {
		t.Error("whole blocks left check words behind")
	}
	for w := range 8 {
		if got := h.reg(0x6000889c + uint32(4*w)); got != 0 {
			t.Errorf("word %d of the key reads %#x", w, got)
		}
	}
	c.Close()
	for _, f := range []*chip.Family{chip.ESP32, chip.ESP32S3} { // of which one has as many fuses
		if _, err := New(Options{Chip: f, State: dir}); err == nil || !strings.Contains(err.Error(), "holds an ESP32-C3, and an "+f.Title+" is asked for") {
			t.Errorf("as an %s: %v", f.Title, err)
		}
	}
	other := t.TempDir()
	newChip(t, Options{State: other, FlashSize: 1 << 20}).Close()
	os.Remove(filepath.Join(other, bodyFile)) // the fuses alone tell
	if _, err := New(Options{Chip: chip.ESP32C3, State: other}); err == nil || !strings.Contains(err.Error(), "as of an ESP32,") {
		t.Errorf("an ESP32 as a C3: %v", err)
	}
}

func onlyFile(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A block is programmed once: what is written over it is no code word any more,
// says the decoder, and so does a burn that was cut off; both stay so on disk.
func TestBlocksOfTheC3AreProgrammedOnce(t *testing.T) {
	dir := t.TempDir()
	o := Options{Chip: chip.ESP32C3, State: dir, FlashSize: 1 << 20}
	half := Words{}
	for i := range half {
		half[i] = 0x0f0f0f0f
	}
	c, h := loaderHost(t, o)
	h.burnBlock(5, []uint32{1, 2, 3, 4, 5, 6, 7, 8})
	h.burnBlock(5, []uint32{0xff00, 0xff00, 0xff00, 0xff00, 0xff00, 0xff00, 0xff00, 0xff00})
	if got := h.reg(0x600089c0); got != 0x800000 {
		t.Errorf("RD_RS_ERR0 is %08x after a second burn of BLOCK5", got)
	}
	if err := c.Inject(Fault{Kind: CutBurn, Words: &half}); err != nil {
		t.Fatal(err)
	}
	h.p.Write(nil)
	e := &chip.ESP32C3.Efuse
	for _, w := range e.Timing[40] {
		h.ok(opWriteReg, words(w.Addr, w.Value, w.Mask, 0))
	}
	for i := range uint32(8) {
		h.setReg(0x60008800+4*i, 0xffffffff)
	}
	h.setReg(e.Conf, 0x5a5a)
	ask(h.p, request(opWriteReg, 0, words(e.Cmd, 2|6<<2, 0xffffffff, 0)))
	if c.Powered() {
		t.Fatal("the cut did not come")
	}
	c.Close()
	_, h = loaderHost(t, o)
	if got := h.reg(0x600089c0); got != 0x8800000 {
		t.Errorf("RD_RS_ERR0 is %08x when the chip comes back", got)
	}
}

// The fifth word of FLASH_BEGIN asks the C3 to encrypt what follows: with the key that
// is burned, hidden or not, with zeros where there is none, and not at all once
// DIS_DOWNLOAD_MANUAL_ENCRYPT is burned.
func TestEncryptFlagOfTheC3(t *testing.T) {
	const at = 0x6000
	plain := expand("what the loader encrypts", 0x400)
	keyed, closed := keyedC3(testKey[:], 0), keyedC3(testKey[:], 0)
	SetFieldOf(chip.ESP32C3, closed, "DIS_DOWNLOAD_MANUAL_ENCRYPT", 1)
	for name, v := range map[string]struct {
		words *Words
		key   []byte // nil: it stays plain
	}{"no key": {nil, make([]byte, 32)}, "a key": {keyed, testKey[:]}, "closed": {closed, nil}} {
		c, h := loaderHost(t, Options{Chip: chip.ESP32C3, Words: v.words, FlashSize: 1 << 20})
		h.ok(opFlashBegin, words(0x400, 1, 0x400, at, 1))
		if r := h.block(0, plain); r.status != 0 {
			t.Fatalf("%s: error %#02x", name, r.code)
		}
		want := bytes.Clone(plain)
		if v.key != nil {
			newXTS(v.key).encrypt(want, at)
		}
		if got := c.Flash()[at:][:len(plain)]; !bytes.Equal(got, want) {
			t.Errorf("%s: the flash holds %x, want %x", name, got[:16], want[:16])
		}
	}
}
