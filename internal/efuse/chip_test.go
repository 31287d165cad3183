package efuse

import (
	"context"
	"encoding/binary"
	"maps"
	"math/bits"
	"slices"
	"testing"

	"station/internal/chip"
	"station/internal/secret"
)

// chip is a fuse controller at register level: one-way bits, WDATA of all
// blocks programmed by one command, protections, the 3/4 decoder, and a read
// latch. It takes nothing from the code under test but register addresses.
type virtual struct {
	t    *testing.T
	raw  [4][8]uint32 // the fuses themselves, BLOCK1-3 coded
	regs map[uint32]uint32

	programs int // program commands executed
	lastPgm  [4][8]uint32
	polls    int // polls of CMD that a program command takes
	busy     int

	// faults
	frame   func(n int, writes []chip.RegWrite) (execute bool, err error) // n-th WRITE_REG
	reading func(n int, addrs []uint32, v []uint32) error                 // n-th batch of READ_REG
	weak    func(block, word int, mask uint32) uint32                     // bits of mask that take
	flicker func(block, word int) uint32                                  // bits that a latch inverts
	garble  bool                                                          // what the decoder flags reads as anything
	frames  int
	reads   int
}

func newChip(t *testing.T) *virtual {
	c := &virtual{t: t, regs: map[uint32]uint32{}}
	// The documented fresh sample: v3.0, CONSOLE_DEBUG_DISABLE from the factory.
	copy(c.raw[0][:], []uint32{0, 0x7e5a6e58, 0x00e294b9, 0x0000a200, 0x00000333, 0x00100000, 0x00000004})
	c.regs[regDate] = 0x96042000
	c.regs[regConf] = 1 << 16
	c.regs[regClk] = 0x00010050
	c.latchAll()
	return c
}

func (c *virtual) WriteRead(ctx context.Context, writes []chip.RegWrite, addrs ...uint32) ([]uint32, error) {
	if err := c.write(ctx, writes); err != nil || len(addrs) == 0 {
		return nil, err
	}
	return c.ReadRegs(ctx, addrs...)
}

func (c *virtual) write(ctx context.Context, writes []chip.RegWrite) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.frames++
	var err error
	if c.frame != nil {
		writes = slices.Clone(writes)
		execute, ferr := c.frame(c.frames, writes)
		if err = ferr; !execute {
			return err
		}
	}
	for _, w := range writes {
		c.regs[w.Addr] = c.regs[w.Addr]&^w.Mask | w.Value&w.Mask
		if w.Addr == regCmd {
			c.command()
		}
	}
	return err
}

func (c *virtual) command() {
	switch {
	case c.regs[regCmd] == cmdProgram && c.regs[regConf] == opProgram:
		if c.regs[regClk]&0xffff != 0xffa0 || c.regs[regDac]&0xff != 80 {
			c.t.Errorf("programming with CLK %08x DAC %08x", c.regs[regClk], c.regs[regDac])
		}
		c.program()
		c.busy = c.polls
	case c.regs[regCmd] == cmdRead && c.regs[regConf] == opRead:
		c.latchAll()
	}
	if c.busy == 0 {
		c.regs[regCmd] = 0
	}
}

func (c *virtual) ReadRegs(ctx context.Context, addrs ...uint32) ([]uint32, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.reads++
	v := make([]uint32, len(addrs))
	for i, a := range addrs {
		if a == regCmd && c.busy > 0 {
			c.busy--
			v[i] = c.regs[a]
			if c.busy == 0 {
				c.regs[a] = 0
			}
			continue
		}
		v[i] = c.regs[a]
	}
	if c.reading != nil {
		return v, c.reading(c.reads, addrs, v)
	}
	return v, nil
}

// Registers of the ESP32's controller, and places in its survey.
const (
	regClk       = 0x3ff5_a0f8
	regConf      = 0x3ff5_a0fc
	regCmd       = 0x3ff5_a104
	regDac       = 0x3ff5_a118
	regDecStatus = 0x3ff5_a11c
	regDate      = 0x3ff6_607c

	atDec      = 31
	atDate     = 32
	surveySize = 33
)

var surveyAddrs = surveyOf(chip.ESP32).addrs

// codedWord is word w of BLOCK1 as it must be written to burn the key.
func codedWord(key []byte, scheme chip.Coding, w int) uint32 {
	s, err := secret.New(slices.Clone(key))
	if err != nil {
		panic(err)
	}
	defer s.Destroy()
	out, err := codingOf(chip.ESP32.Efuse.Blocks[1], scheme).load((&Key{Secret: s}).words(chip.ESP32), make([]uint32, 8), false)
	if err != nil {
		panic(err)
	}
	return out[w]
}

var wdata = [4]uint32{0x3ff5_a01c, 0x3ff5_a098, 0x3ff5_a0b8, 0x3ff5_a0d8}
var rdata = [4]uint32{0x3ff5_a000, 0x3ff5_a038, 0x3ff5_a058, 0x3ff5_a078}

func size(block int) int {
	if block == 0 {
		return 7
	}
	return 8
}

// program burns what stands in all WDATA, as far as WR_DIS of before allows.
func (c *virtual) program() {
	c.programs++
	wrDis := c.raw[0][0] & 0xffff
	var locked [4][8]uint32
	for _, f := range chip.ESP32.Efuse.Fields {
		for i := range f.Width {
			if f.WriteDisable >= 0 && wrDis>>f.WriteDisable&1 == 1 {
				bit := f.Bit + i
				locked[f.Block][f.Word+bit/32] |= 1 << (bit % 32)
			}
		}
	}
	for b := range 4 {
		for w := range size(b) {
			v := c.regs[wdata[b]+4*uint32(w)]
			c.lastPgm[b][w] = v
			v &^= locked[b][w]
			if c.weak != nil {
				v = c.weak(b, w, v)
			}
			c.raw[b][w] |= v
		}
	}
}

func (c *virtual) latchAll() {
	rdDis := c.raw[0][0] >> 16 & 0xf
	coded := c.raw[0][6]&3 == 1
	var status uint32
	for b := range 4 {
		words := c.raw[b]
		for w := range size(b) {
			if c.flicker != nil {
				words[w] ^= c.flicker(b, w)
			}
		}
		if b > 0 && coded {
			var bad uint32
			words, bad = decode(words)
			status |= bad << (4 * (b - 1))
			if bad != 0 && c.garble {
				words[0] = ^words[0]
			}
		}
		if b > 0 && rdDis>>(b-1)&1 == 1 {
			words = [8]uint32{}
		}
		for w := range size(b) {
			c.regs[rdata[b]+4*uint32(w)] = words[w]
		}
	}
	c.regs[regDecStatus] = status
}

// decode takes 3/4 code words apart, one status bit a chunk.
func decode(coded [8]uint32) (data [8]uint32, status uint32) {
	raw := make([]byte, 32)
	for w, v := range coded {
		binary.LittleEndian.PutUint32(raw[4*w:], v)
	}
	out := make([]byte, 32)
	for k := range 4 {
		d, x, y := raw[8*k:8*k+6], byte(0), 0
		for i, b := range d {
			x ^= b
			y += (i + 1) * bits.OnesCount8(b)
		}
		if x != raw[8*k+6] || byte(y) != raw[8*k+7] {
			status |= 1 << k
		}
		copy(out[6*k:], d)
	}
	for w := range data {
		data[w] = binary.LittleEndian.Uint32(out[4*w:])
	}
	return data, status
}

// powerCut is a chip that comes back from a cut supply.
func (c *virtual) powerCut() {
	for b := range 4 {
		for w := range size(b) {
			c.regs[wdata[b]+4*uint32(w)] = 0
		}
	}
	c.regs[regConf], c.regs[regCmd], c.busy = 1<<16, 0, 0
	c.frame, c.reading, c.weak, c.flicker = nil, nil, nil, nil
	c.frames, c.reads = 0, 0
	c.latchAll()
}

// clean checks that nothing of a burn stays behind.
func (c *virtual) clean() {
	c.t.Helper()
	for b := range 4 {
		for w := range size(b) {
			if v := c.regs[wdata[b]+4*uint32(w)]; v != 0 {
				c.t.Errorf("WDATA %d of BLOCK%d still holds %08x", w, b, v)
			}
		}
	}
	if c.regs[regConf] == opProgram {
		c.t.Error("CONF still holds the program code")
	}
}

func (c *virtual) image() Image {
	c.t.Helper()
	have, err := Read(c.t.Context(), chip.ESP32, c)
	if err != nil {
		c.t.Fatal(err)
	}
	return have
}

// seen is the chip as somebody knows it who has read it before, without faults.
func (c *virtual) seen() Image {
	c.t.Helper()
	quiet := virtual{t: c.t, raw: c.raw, regs: maps.Clone(c.regs)}
	return quiet.image()
}

func (c *virtual) clone() *virtual {
	twin := *c
	twin.regs = maps.Clone(c.regs)
	return &twin
}

func testKey(t testing.TB, n int) *Key {
	t.Helper()
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*37 + 11)
	}
	return keyOf(t, b)
}

func keyOf(t testing.TB, b []byte) *Key {
	t.Helper()
	s, err := secret.New(slices.Clone(b))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Destroy)
	return &Key{Policy: "derived", Check: "0011223344556677", Secret: s}
}

func mustNew(t testing.TB, o Options) Plan {
	t.Helper()
	if o.KeyPolicy == "" {
		o.KeyPolicy = "derived"
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// burnAll burns a plan stage by stage, as the flow does.
func (c *virtual) burnAll(p Plan) error {
	for _, s := range p {
		if _, err := Burn(c.t.Context(), c, 40, c.seen(), s); err != nil {
			return err
		}
	}
	return nil
}
