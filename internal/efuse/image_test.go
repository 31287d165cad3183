package efuse

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"station/internal/chip"
)

// The documented fresh chip.
func TestFreshChip(t *testing.T) {
	c := newChip(t)
	before := maps.Clone(c.regs)
	have := c.image()
	before[regConf], before[regCmd] = opRead, 0
	if c.programs != 0 || !maps.Equal(c.regs, before) {
		t.Error("Read has written more than the command to read")
	}
	if have.Revision() != 300 || have.Coding() != chip.CodingNone || have.KeyState() != KeyEmpty || have.EncryptionOn() {
		t.Errorf("got %v %v %v %v", have.Revision(), have.Coding(), have.KeyState(), have.EncryptionOn())
	}
	if have.WriteDisabled("BLOCK1") || have.WriteDisabled("CHIP_PACKAGE") || have.WriteDisabled("NO_SUCH") {
		t.Error("a fresh chip has frozen fields")
	}
	if got := have.Value("CHIP_PACKAGE"); got != 1 {
		t.Errorf("package: got %d", got)
	}
}

// A station that was killed in mid-burn leaves read registers that tell of the
// fuses as they were before it.
func TestStaleReadRegisters(t *testing.T) {
	c := newChip(t)
	c.raw[0][5] |= 0xf << 28
	c.regs[regConf] = opProgram
	c.regs[wdata[0]] = 1 << 7
	if got := c.image().Value("FLASH_CRYPT_CONFIG"); got != 15 || c.programs != 0 {
		t.Errorf("got %d after %d program commands", got, c.programs)
	}
}

func TestRevisions(t *testing.T) {
	for _, tc := range []struct {
		b0, b1, b2 uint32
		minor      uint32
		want       chip.Revision
	}{
		{0, 0, 0, 0, 0}, {1, 0, 0, 0, 100}, {1, 1, 0, 0, 200}, {1, 1, 1, 1, 301}, {0, 1, 0, 0, 0}, {0, 0, 1, 0, 0}, {1, 0, 1, 0, 0},
	} {
		have := Image{words: [maxWords]uint32{3: tc.b0 << 15, 5: tc.b1<<20 | tc.minor<<24, atDate: tc.b2 << 31}}
		if got := have.Revision(); got != tc.want {
			t.Errorf("%v: got %v, want %v", tc, got, tc.want)
		}
	}
	for scheme, want := range map[uint32]chip.Coding{0: 0, 1: 1, 2: 2, 3: 0} {
		if got := (Image{words: [maxWords]uint32{6: scheme}}).Coding(); got != want {
			t.Errorf("scheme %d: got %v, want %v", scheme, got, want)
		}
	}
}

func TestReadErrors(t *testing.T) {
	c := newChip(t)
	c.reading = func(int, []uint32, []uint32) error { return chip.ErrNoAnswer }
	if _, err := Read(t.Context(), chip.ESP32, c); !errors.Is(err, chip.ErrNoAnswer) {
		t.Errorf("got %v", err)
	}
	// One reply changed or shifted by the wire does not matter.
	want := c.seen()
	for at := range 2 {
		c.reads = 0
		c.reading = func(n int, _, v []uint32) error {
			if n == 1+at {
				copy(v[6:], v[5:])
			}
			return nil
		}
		have, err := Read(t.Context(), chip.ESP32, c)
		if err != nil || have != want {
			t.Errorf("got %v, %v", have, err)
		}
	}
	c.reading = func(n int, _, v []uint32) error { v[len(v)-1] = uint32(n); return nil }
	if _, err := Read(t.Context(), chip.ESP32, c); !errors.Is(err, ErrUnstable) {
		t.Errorf("got %v", err)
	}
}

// Nothing prints key material, in any form.
func TestImageKeepsKeys(t *testing.T) {
	c := newChip(t)
	for w := range 8 {
		c.raw[1][w] = 0x51ec4e70 + uint32(w)
		c.raw[2][w] = 0xb0075ec0 + uint32(w)
		c.raw[3][w] = 0x00112200 + uint32(w)
	}
	c.latchAll()
	have := c.image()
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "fuses", have)
	out := log.String() + have.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d"} {
		out += fmt.Sprintf(verb, have) + fmt.Sprintf(verb, &have) + fmt.Sprintf(verb, []Image{have})
	}
	js, err := json.Marshal(have)
	if err != nil {
		t.Fatal(err)
	}
	out += string(js)
	for _, leak := range []string{"51ec4e7", "b0075ec", "51EC4E7", "1374440048", "2953289408", "704eec51", "c05e07b0"} {
		if strings.Contains(out, leak) {
			t.Errorf("output holds %s", leak)
		}
	}
	f := Redact(have)
	if f.Block("BLOCK1").State != "written" || len(f.Block("BLOCK2").Digest) != len("sha256:")+64 || f.Block("BLOCK3").Words[2] != "00112202" || f.Block("BLOCK0").Words[1] != "7e5a6e58" {
		t.Errorf("got %+v", f)
	}
	c.raw[0][0] = 3 << 16
	c.latchAll()
	if f := Redact(c.image()); f.Block("BLOCK1").State != "hidden" || f.Block("BLOCK2").State != "hidden" {
		t.Errorf("got %+v", f)
	}
	if f := Redact(Image{}); f.Block("BLOCK1").State != "empty" || f.Block("BLOCK2").State != "empty" || len(f.Block("BLOCK0").Words) != 7 || len(f.Block("BLOCK3").Words) != 8 {
		t.Errorf("got %+v", f)
	}
}

// A wiped image does not turn into one of an empty chip.
func TestWipe(t *testing.T) {
	c := newChip(t)
	k := testKey(t, 32)
	for w := range 8 {
		c.raw[1][w] = keyWord(k.Secret.Reveal(), w)
	}
	c.latchAll()
	have := c.image()
	if have.Holds(k) != MatchWhole {
		t.Fatal("not the key")
	}
	have.Wipe()
	have.Wipe()
	if have.KeyState() != KeyWritten || have.Holds(k) != MatchForeign {
		t.Errorf("got %v, %v", have.KeyState(), have.Holds(k))
	}
	Image{}.Wipe()
}

func TestClassify(t *testing.T) {
	key := testKey(t, 32)
	keyed := func(c *virtual) {
		for w := range 8 {
			c.raw[1][w] = keyWord(key.Secret.Reveal(), w)
		}
	}
	words := func(w0, w5, w6 uint32) func(c *virtual) {
		return func(c *virtual) { c.raw[0][0], c.raw[0][5], c.raw[0][6] = w0, c.raw[0][5]|w5, w6 }
	}
	for _, tc := range []struct {
		name string
		set  func(c *virtual)
		want StateName
	}{
		{"fresh sample", func(*virtual) {}, Virgin},
		{"no BASIC fuse", words(0, 0, 0), Virgin},
		{"calibrated", func(c *virtual) { c.raw[0][3] |= 1 << 14; c.raw[3][3] = 0x12345678 }, Virgin},
		{"3/4", words(0, 0, 5), Virgin},
		{"flash voltage and custom MAC", func(c *virtual) { c.raw[0][4] |= 7 << 14; c.raw[3][0] = 0x38; c.raw[0][0] = 1<<5 | 1<<9 }, Virgin},
		{"secure boot key", func(c *virtual) { c.raw[2][0] = 1 }, BootLoaded},
		{"hidden secure boot key", words(2<<16, 0, 4), BootLoaded},
		{"loader bit", words(0, 0, 0x84), HalfDone},
		{"CONFIG alone", words(0, 15<<28, 4), HalfDone},
		{"counter alone", words(1<<20, 0, 4), HalfDone},
		{"counter alone, even", words(3<<20, 0, 4), HalfDone},
		{"frozen counter", words(4, 0, 4), HalfDone},
		{"key open", keyed, KeyOpen},
		{"key torn", func(c *virtual) { keyed(c); c.raw[1][0] = 0 }, KeyOpen},
		{"other key", func(c *virtual) { c.raw[1][0] = 0xffffffff }, KeyForeign},
		{"hidden, not frozen", words(1<<16, 0, 4), HalfDone},
		{"frozen, not hidden, empty", words(1<<7, 0, 4), HalfDone},
		{"key loaded", words(0x10080, 0, 4), KeyLoaded},
		{"key loaded, configured", words(0x10088, 15<<28, 0x3c4), KeyLoaded},
		{"encryption off again", words(0x00310088, 15<<28, 0x344), KeyLoaded},
		{"development", words(0x00110088, 15<<28, 0x344), InDevelop},
		{"release", words(0x07f10088, 15<<28, 0x3c4), InRelease},
		{"release without serial port", words(0x0ff10088, 15<<28, 0x3c4), InRelease},
		{"release by frozen counter", words(0x0011008c, 15<<28, 0x3c4), InRelease},
		{"release with open loader", words(0x07f10088, 15<<28, 0x344), HalfDone},
		{"on without CONFIG", words(0x07f10088, 0, 0x3c4), HalfDone},
		{"on with a readable key", func(c *virtual) { keyed(c); words(0x07f00008, 15<<28, 0x3c4)(c) }, HalfDone},
		{"repeat", words(0, 0, 6), Unsupported},
		{"CONFIG hidden", words(8<<16, 0, 4), HalfDone},
	} {
		c := newChip(t)
		tc.set(c)
		c.latchAll()
		if got := Classify(c.image(), key); got.Name != tc.want || got.Words == "" || got.Next == "" {
			t.Errorf("%s: got %+v, want %s", tc.name, got, tc.want)
		}
	}
	for _, tc := range []struct {
		name   string
		word0  uint32
		word6  uint32
		block2 uint32
		want   StateName
		words  string
	}{
		{"digest, off", 1 << 8, 4, 1, BootLoaded, "BLOCK2 holds a key or digest of secure boot, which is off"},
		{"version 2 alone", 1 << 8, 0x64, 1, BootOnly, "secure boot version 2 is on, with the digest in BLOCK2; the flash is not encrypted"},
		{"version 1 alone", 1<<8 | 2<<16, 0x54, 0, BootOnly, "secure boot version 1 is on, with the key in BLOCK2; the flash is not encrypted"},
		{"both on", 1 << 8, 0x74, 1, BootOnly, "secure boot version 2 is on"},
		{"version 1, readable", 1 << 8, 0x54, 1, HalfDone, "secure boot version 1 is on, but RD_DIS bit 1 (BLOCK2) is missing"},
		{"version 2, not frozen", 0, 0x64, 1, HalfDone, "secure boot version 2 is on, but WR_DIS bit 8 (BLOCK2) is missing"},
		{"version 2, hidden", 1<<8 | 2<<16, 0x64, 0, HalfDone, "BLOCK2 is hidden, so that nothing can be checked with it: the chip starts nothing"},
		{"version 2, empty", 1 << 8, 0x64, 0, HalfDone, "no block holds what it checks with: the chip starts nothing"},
		{"version 2 and release", 0x0ff10189, 0x3e4, 1, InRelease, "flash encryption is on for ever (release mode); secure boot version 2 is on, with the digest in BLOCK2"},
		{"version 2 and development", 0x00110189, 0x364, 1, InDevelop, "(development mode); secure boot version 2 is on"},
		{"release, digest, off", 0x07f10188, 0x3c4, 1, InRelease, "; BLOCK2 holds a key or digest of secure boot, which is off"},
	} {
		c := newChip(t)
		c.raw[0][0], c.raw[0][6], c.raw[2][0] = tc.word0, tc.word6, tc.block2
		if tc.word0>>20&0x7f != 0 {
			c.raw[0][5] |= 15 << 28
		}
		c.latchAll()
		if got := Classify(c.image(), nil); got.Name != tc.want || !strings.Contains(got.Words, tc.words) {
			t.Errorf("%s: got %+v, want %s, %q", tc.name, got, tc.want, tc.words)
		}
	}
	c := newChip(t)
	keyed(c)
	c.latchAll()
	if got := Classify(c.image(), nil); got.Name != KeyOpen {
		t.Errorf("without a key to compare: got %+v", got)
	}
}
