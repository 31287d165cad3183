package efuse

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
)

// later is the fuse controller of the chips after the ESP32 at register level:
// one set of write registers, a command that names its block, Reed-Solomon
// blocks, BLOCK0 bit by bit. It takes nothing from the code under test but the
// tables.
type later struct {
	t      *testing.T
	f      *chip.Family
	raw    [][]uint32 // of each block, with its check words
	regs   map[uint32]uint32
	weak   func(block int, words []uint32) // what takes of what is programmed
	writes int                             // program commands
}

func newLater(t *testing.T, f *chip.Family) *later {
	c := &later{t: t, f: f, regs: map[uint32]uint32{}}
	for range f.Efuse.Blocks {
		c.raw = append(c.raw, make([]uint32, 11))
	}
	c.latch()
	return c
}

func (c *later) ReadRegs(_ context.Context, addrs ...uint32) ([]uint32, error) {
	v := make([]uint32, len(addrs))
	for i, a := range addrs {
		v[i] = c.regs[a]
	}
	return v, nil
}

func (c *later) WriteRead(ctx context.Context, writes []chip.RegWrite, addrs ...uint32) ([]uint32, error) {
	for _, w := range writes {
		c.regs[w.Addr] = c.regs[w.Addr]&^w.Mask | w.Value&w.Mask
		if w.Addr != c.f.Efuse.Cmd {
			continue
		}
		switch cmd, conf := c.regs[w.Addr], c.regs[c.f.Efuse.Conf]; {
		case cmd&3 == 2 && conf == 0x5a5a:
			c.program(int(cmd >> 2))
		case cmd == 1 && conf == 0x5aa5:
			c.latch()
		}
		c.regs[w.Addr] = 0
	}
	return c.ReadRegs(ctx, addrs...)
}

// program burns the write registers into one block, as WR_DIS allows.
func (c *later) program(block int) {
	c.writes++
	words := make([]uint32, 11)
	for w := range 8 {
		words[w] = c.regs[c.f.Efuse.Blocks[block].Write+4*uint32(w)]
	}
	for w := range 3 {
		words[8+w] = c.regs[c.f.Efuse.Check+4*uint32(w)]
	}
	lock := c.raw[0][0]
	for _, f := range c.f.Efuse.Fields {
		if f.Block == block && f.WriteDisable >= 0 && lock>>f.WriteDisable&1 == 1 {
			for i := range f.Width {
				words[f.Word+(f.Bit+i)/32] &^= 1 << ((f.Bit + i) % 32)
			}
		}
	}
	if b := c.f.Efuse.Blocks[block]; b.WriteDisable >= 0 && lock>>b.WriteDisable&1 == 1 {
		return
	}
	if c.weak != nil {
		c.weak(block, words)
	}
	for w := range words {
		c.raw[block][w] |= words[w]
	}
}

func (c *later) latch() {
	for _, a := range c.f.Efuse.Status {
		c.regs[a] = 0
	}
	for b, blk := range c.f.Efuse.Blocks {
		for w := range blk.Words {
			c.regs[blk.Read+4*uint32(w)] = c.raw[b][w]
		}
		hidden := false
		for _, f := range c.f.Efuse.Fields { // the whole block, or half of it
			if f.Block == b && f.ReadDisable >= 0 && c.raw[0][1]>>f.ReadDisable&1 == 1 {
				hidden = true
				for w := range f.Width / 32 {
					c.regs[blk.Read+4*uint32(f.Word+w)] = 0
				}
			}
		}
		if b > 0 && !hidden && !codeWord(c.raw[b]) {
			for _, f := range blk.Faults {
				c.regs[c.f.Efuse.Status[f.Register]] |= f.Mask
			}
		}
	}
}

// codeWord checks by the definition: as a polynomial it is zero at 2^0 to 2^11.
func codeWord(words []uint32) bool {
	var exp [512]byte
	var log [256]int
	x := 1
	for i := range 255 {
		exp[i], exp[i+255], log[x] = byte(x), byte(x), i
		if x <<= 1; x > 255 {
			x ^= 0x11d
		}
	}
	raw := make([]byte, 44)
	for i, w := range words {
		binary.LittleEndian.PutUint32(raw[4*i:], w)
	}
	for root := range 12 {
		sum := byte(0)
		for _, b := range raw {
			if sum != 0 {
				sum = exp[log[sum]+root]
			}
			sum ^= b
		}
		if sum != 0 {
			return false
		}
	}
	return true
}

func (c *later) image() Image {
	c.t.Helper()
	have, err := Read(c.t.Context(), c.f, c)
	if err != nil {
		c.t.Fatal(err)
	}
	return have
}

func (c *later) burn(p Plan) error {
	for _, s := range p {
		if _, err := Burn(c.t.Context(), c, c.f.Crystals[0], c.image(), s); err != nil {
			return err
		}
	}
	return nil
}

// The purposes as Espressif's tool names them.
var purposes = map[string]chip.Purpose{
	"XTS_AES_128_KEY": chip.FlashEncryption, "XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS": chip.FlashEncryption128, "XTS_AES_256_KEY_1": chip.FlashEncryption1, "XTS_AES_256_KEY_2": chip.FlashEncryption2, "HMAC_UP": chip.HMAC, "SECURE_BOOT_DIGEST": chip.SecureBootDigest, "SECURE_BOOT_DIGEST0": chip.SecureBootDigest0, "SECURE_BOOT_DIGEST1": chip.SecureBootDigest1,
}

type burnCase struct {
	Chip, Name string
	Args       []string
	Files      map[string]string
	OK         bool
	Blocks     []struct {
		Block int
		Words []string
	}
}

func burnCases(t *testing.T) (list []burnCase) {
	t.Helper()
	raw, err := os.ReadFile("../../fixtures/efuse-chips.json")
	if err == nil {
		err = json.Unmarshal(raw, &list)
	}
	if err != nil || len(list) != 79 {
		t.Fatalf("%d cases, %v", len(list), err)
	}
	return list
}

// plan is what a case asks for, as this station burns it; nil where it is not
// for this station: free data.
func (tc burnCase) plan(t *testing.T, f *chip.Family) (p Plan) {
	t.Helper()
	if tc.Args[0] == "burn-efuse" {
		var v uint32
		fmt.Sscan(tc.Args[2], &v)
		return Plan{{Chip: f, Name: StageCount, Sets: []Set{{tc.Args[1], v}}}}
	}
	if tc.Args[0] != "burn-key" {
		return nil
	}
	args := slices.Clone(tc.Args[1:])
	readable := args[len(args)-1] == "--no-read-protect"
	if args[2] == "XTS_AES_256_KEY" { // both halves at once: the second goes into the next block
		args = append([]string{args[0], args[1], "XTS_AES_256_KEY_1", "BLOCK_KEY1", args[1], "XTS_AES_256_KEY_2"}, args[3:]...)
		tc.Files["k1"] = tc.Files[args[1]]
	}
	for len(args) >= 3 {
		purpose, ours := purposes[args[2]]
		if !ours {
			return nil
		}
		text := tc.Files[args[1]]
		if len(f.FlashKeyParts(512)) > 0 && f.WholeOf(purpose) != purpose { // this station has the halves as one key
			text = tc.Files["k1"] + tc.Files["k2"]
		}
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if purpose == chip.SecureBootDigest { // of the whole digest the chip has the first half
			b = append(b, b...)
		}
		k := keyOf(t, b)
		k.Purpose, k.Block = purpose, args[0]
		protect := Stage{Chip: f, Name: StageProtect, Compare: k, Sets: protects(f, k)}
		if readable {
			protect.Sets = slices.DeleteFunc(protect.Sets, func(s Set) bool { return s.Field == "RD_DIS" })
		}
		p = append(p, Stage{Chip: f, Name: StageKey, Key: k}, protect)
		args = args[3:]
	}
	return p
}

// Every case is what Espressif's tool burned into a virtual chip. The whole way
// is tested for every family: plan, burn, read back.
func TestKnownBurns(t *testing.T) {
	held, made := map[string]int{}, map[string]bool{}
	for _, tc := range burnCases(t) {
		made[tc.Chip] = true
		f := chip.ByName(tc.Chip)
		if f == nil || tc.Name == "second-write-refused" {
			continue
		}
		plan := tc.plan(t, f)
		if plan == nil {
			continue
		}
		t.Run(tc.Chip+"/"+tc.Name, func(t *testing.T) {
			c := newLater(t, f)
			err := c.burn(plan)
			switch {
			case !tc.OK:
				if !errors.Is(err, ErrPlan) || c.writes > 0 {
					t.Errorf("got %v after %d program commands", err, c.writes)
				}
				return
			case err != nil:
				t.Fatal(err)
			}
			c.latch()
			want := map[int]string{}
			for _, b := range tc.Blocks {
				want[b.Block] = strings.Join(b.Words, " ")
			}
			for b, blk := range f.Efuse.Blocks {
				var words []string
				for w := range blk.Words {
					words = append(words, fmt.Sprintf("%08x", c.regs[blk.Read+4*uint32(w)]))
				}
				got := strings.Join(words, " ")
				if strings.Trim(got, "0 ") == "" {
					got = ""
				}
				if got != want[b] {
					t.Errorf("%s: got %s, want %s", blk.Name, got, want[b])
				}
			}
			for _, a := range surveyOf(f).write {
				if c.regs[a] != 0 {
					t.Errorf("write register %08x still holds %08x", a, c.regs[a])
				}
			}
		})
		held[tc.Chip]++
	}
	for _, f := range chip.Families[1:] {
		want := 5 + 2*len(f.FlashKeyParts(128)) + 2*len(f.FlashKeyParts(512)) // those of other lengths besides
		if n := held[f.Name]; n < want && made[f.Name] {                      // of some chips no case was made
			t.Errorf("%s: held against %d cases, want %d", f.Name, n, want)
		}
	}
}

// A key block of check words is programmed once: what a cut burn left is never
// completed, and what another burn left is never written over.
func TestTornBlocks(t *testing.T) {
	for _, f := range chip.Families[1:] {
		t.Run(f.Name, func(t *testing.T) {
			key := testKey(t, 32)
			key.Block = "BLOCK_KEY0"
			stage := Stage{Chip: f, Name: StageKey, Key: key}
			for name, weak := range map[string]func(int, []uint32){
				"some data":        func(_ int, w []uint32) { clear(w[3:]) },
				"no check words":   func(_ int, w []uint32) { clear(w[8:]) },
				"one bit missing":  func(_ int, w []uint32) { w[0] &= w[0] - 1 },
				"only check words": func(_ int, w []uint32) { clear(w[:8]) },
			} {
				c := newLater(t, f)
				c.weak = weak
				if err := c.burn(Plan{stage}); !errors.Is(err, ErrTorn) || c.writes != 1 {
					t.Errorf("%s: got %v after %d program commands", name, err, c.writes)
				}
				c.weak = nil
				have := c.image()
				if _, err := (Plan{stage}).Diff(have); !errors.Is(err, ErrTorn) {
					t.Errorf("%s, again: got %v", name, err)
				}
				if got := have.StateOf("BLOCK_KEY0"); got != KeyWritten {
					t.Errorf("%s: the block is %s", name, got)
				}
				if f.Efuse.Block("BLOCK_KEY1") < 0 {
					continue
				}
				// The next free block takes it.
				next := Plan{stage}.WithKey(&Key{Block: "BLOCK_KEY1", Secret: key.Secret, Check: key.Check})
				if err := c.burn(next); err != nil || c.image().Holds(next[0].Key) != MatchWhole {
					t.Errorf("%s: the next block: %v", name, err)
				}
			}
			c := newLater(t, f)
			if err := errors.Join(c.burn(Plan{stage}), c.burn(Plan{stage})); err != nil || c.writes != 1 {
				t.Errorf("the same key twice: %v after %d program commands", err, c.writes)
			}
			other := testKey(t, 32)
			other.Secret.Reveal()[9] ^= 4
			other.Block = key.Block
			if err := c.burn(Plan{{Chip: f, Name: StageKey, Key: other}}); !errors.Is(err, ErrConflict) || c.writes != 1 {
				t.Errorf("another key: got %v after %d program commands", err, c.writes)
			}
		})
	}
}

// What a cut burn has left of a key is hidden and frozen with the key in the next block, and told
// to nobody; a block that is whole or empty is never hidden so.
func TestTornBlocksAreHidden(t *testing.T) {
	for _, f := range chip.Families[1:] {
		if f.Efuse.Block("BLOCK_KEY1") < 0 {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			c, key := newLater(t, f), testKey(t, 32)
			key.Block = "BLOCK_KEY0"
			c.weak = func(_ int, w []uint32) { w[0] &= w[0] - 1 }
			if err := c.burn(Plan{{Chip: f, Name: StageKey, Key: key}}); !errors.Is(err, ErrTorn) {
				t.Fatal(err)
			}
			c.weak = nil
			have := c.image()
			if got := Classify(have, nil); got.Name != KeyOpen || !strings.Contains(got.Words, "BLOCK_KEY0 is half burned") {
				t.Errorf("it is %+v", got)
			}
			if got := Redact(have).Block("BLOCK_KEY0").String(); got != string(KeyWritten) {
				t.Errorf("part of the key is told as %s", got)
			}
			own := *key
			own.Block = "BLOCK_KEY1"
			plan := Plan{{Chip: f, Name: StageKey, Key: &own}, {Chip: f, Name: StageProtect, Compare: &own, Sets: protects(f, &own)}}
			for _, block := range []string{"BLOCK_KEY1", "BLOCK_KEY2"} { // the key's own, whole by then, and an empty one
				if _, err := plan.Hiding(StageProtect, block).Diff(have); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), block+" is not half burned") {
					t.Errorf("hiding %s: %v", block, err)
				}
			}
			plan = plan.Hiding(StageProtect, "BLOCK_KEY0")
			for range 2 { // once more there is nothing left
				if err := c.burn(plan); err != nil {
					t.Fatal(err)
				}
				own.Compared = true
			}
			for _, block := range []string{"BLOCK_KEY0", "BLOCK_KEY1"} {
				if got := c.image(); got.StateOf(block) != KeyHidden || !got.WriteDisabled(block) || !got.WriteDisabled("KEY_PURPOSE_0") {
					t.Errorf("%s is %s", block, got.StateOf(block))
				}
			}
		})
	}
}

// The C3's own ROM read these words before and after Espressif's tool burned a
// key and the counter through it.
func TestFusesOfTheC3(t *testing.T) {
	f := chip.ByName("esp32c3")
	read := func(name string, hidden bool) Image {
		raw, err := os.ReadFile("../../fixtures/rom-c3/efuse/" + name)
		if err != nil || len(raw) != 4*84 {
			t.Fatalf("%d bytes, %v", len(raw), err)
		}
		v := make([]uint32, len(surveyOf(f).addrs))
		getWords(v[:84], raw)
		if !hidden {
			v[1] &^= 1 // RD_DIS: that machine does not hide what is protected
		}
		have, err := newImage(f, v)
		if err != nil {
			t.Fatal(err)
		}
		return have
	}
	raw, err := os.ReadFile("../../fixtures/rom-c3/efuse/xts128.key")
	if err != nil {
		t.Fatal(err)
	}
	key := keyOf(t, raw)
	before, after := read("before.bin", true), read("after.bin", true)
	if before.Holds(key) != MatchEmpty || after.Holds(key) != MatchHidden || read("after.bin", false).Holds(key) != MatchWhole {
		t.Errorf("before %v, after %v, seen %v", before.Holds(key), after.Holds(key), read("after.bin", false).Holds(key))
	}
	if before.EncryptionOn() || !after.EncryptionOn() || after.Value("KEY_PURPOSE_0") != 4 {
		t.Errorf("before %v, after %v, purpose %d", before.EncryptionOn(), after.EncryptionOn(), after.Value("KEY_PURPOSE_0"))
	}
	if b, a := Classify(before, nil), Classify(after, nil); b.Name != Virgin || a.Name != InDevelop {
		t.Errorf("before %+v, after %+v", b, a)
	}
}
