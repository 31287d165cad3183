package sim

import (
	"fmt"
	"math/bits"
	"testing"

	"station/internal/chip"
)

// one is the fuse words with a field set to v.
func one(field string, v uint32) map[int]uint32 {
	var w Words
	SetField(&w, field, v)
	set := map[int]uint32{}
	for i, v := range w {
		if v != 0 {
			set[i] = v
		}
	}
	return set
}

// bare is a chip with no fuse burned at all but what o says.
func bare(o Options, fields ...any) Options {
	var w Words
	for i := 0; i < len(fields); i += 2 {
		SetField(&w, fields[i].(string), uint32(fields[i+1].(int)))
	}
	o.Words = &w
	return o
}

func TestFactoryWords(t *testing.T) {
	w := FactoryWords(Options{MAC: [6]byte{0x94, 0xb9, 0x7e, 0x5a, 0x6e, 0x58}})
	// A real chip of this MAC, as its maker's documentation shows it.
	want := [7]uint32{0, 0x7e5a6e58, 0x00e294b9, 0x0000a200, 0x00000333, 0x00100000, 0x00000004}
	if got := [7]uint32(w[:7]); got != want {
		t.Errorf("got %08x, want %08x", got, want)
	}
	for _, c := range []struct {
		o      Options
		w3, w5 uint32
		date   uint32
	}{
		{Options{Revision: Rev0}, 0x2200, 0, 0x16042000},
		{Options{Revision: 1}, 0xa200, 0, 0x16042000},
		{Options{Revision: 2}, 0xa200, 0x100000, 0x16042000},
		{Options{Revision: 3, Package: 9}, 0xa204, 0x100000, 0x96042000},
	} {
		_, h := loaderHost(t, c.o)
		if h.rdata(3) != c.w3 || h.rdata(5) != c.w5 || h.reg(regAPBDate) != c.date {
			t.Errorf("revision %d: got %08x %08x %08x, want %08x %08x %08x", c.o.Revision, h.rdata(3), h.rdata(5), h.reg(regAPBDate), c.w3, c.w5, c.date)
		}
	}
}

// Every field of BLOCK0 takes its bits, keeps them, and gives them up to no
// later write; its WR_DIS bit stops it, its RD_DIS bit hides it.
func TestFieldRules(t *testing.T) {
	for _, f := range chip.ESP32.Efuse.Fields {
		if f.Block == 3 && f.Name != "BLOCK3" || f.Name == "WR_DIS" || f.Name == "RD_DIS" || f.Name == "CODING_SCHEME" {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			c, h := loaderHost(t, bare(Options{}))
			all := uint32(1)<<min(f.Width, 31) - 1
			h.burn(40, one(f.Name, all&0x55555555))
			h.burn(40, one(f.Name, 0))
			h.burn(40, one(f.Name, all&0x2aaaaaaa))
			if got := c.Field(f.Name) & all; got != all {
				t.Errorf("burned in two goes: got %#x, want %#x", got, all)
			}
			if f.ReadDisable >= 0 {
				h.burn(40, one("RD_DIS", 1<<f.ReadDisable))
				var w Words
				for i := range w {
					w[i] = h.rdata(i)
				}
				if got := FieldOf(chip.ESP32, &w, f.Name); got != 0 || c.Field(f.Name) == 0 {
					t.Errorf("read-protected: it reads %#x, holds %#x", got, c.Field(f.Name))
				}
			}
			if f.WriteDisable < 0 {
				return
			}
			c, h = loaderHost(t, bare(Options{}, "WR_DIS", 1<<f.WriteDisable))
			h.burn(40, one(f.Name, 1))
			if got := c.Field(f.Name); got != 0 {
				t.Errorf("write-protected: got %#x", got)
			}
		})
	}
}

func TestProtectionsThemselvesAreProtected(t *testing.T) {
	c, h := loaderHost(t, bare(Options{}, "WR_DIS", 1))
	h.burn(40, one("RD_DIS", 15))
	if got := c.Field("RD_DIS"); got != 0 {
		t.Errorf("RD_DIS: got %#x", got)
	}
	c, h = loaderHost(t, bare(Options{}, "WR_DIS", 2))
	h.burn(40, one("WR_DIS", 0xffff))
	if got := c.Field("WR_DIS"); got != 2 {
		t.Errorf("WR_DIS: got %#x", got)
	}
}

// What one program operation locks, it still burns.
func TestProtectionActsAfterItsOwnBurn(t *testing.T) {
	c, h := loaderHost(t, bare(Options{}))
	h.burn(40, map[int]uint32{0: 1<<2 | 1<<7 | 0x7f<<20, 7: 0x1234})
	if c.Field("FLASH_CRYPT_CNT") != 0x7f || c.Field("BLOCK1") != 0x1234 {
		t.Errorf("got CNT %#x, BLOCK1 %#x", c.Field("FLASH_CRYPT_CNT"), c.Field("BLOCK1"))
	}
	h.burn(40, map[int]uint32{0: 1 << 27, 7: 0xff00})
	if c.Field("UART_DOWNLOAD_DIS") != 0 || c.Field("BLOCK1") != 0x1234 {
		t.Errorf("then: got UART_DOWNLOAD_DIS %d, BLOCK1 %#x", c.Field("UART_DOWNLOAD_DIS"), c.Field("BLOCK1"))
	}
}

// One program command takes every WDATA register, also those that an earlier burn left.
func TestAllWDATAAtOnce(t *testing.T) {
	c, h := loaderHost(t, bare(Options{}))
	h.fuseTimes(40)
	for w := range 31 {
		h.wdata(w, 1<<28|uint32(w))
	}
	h.wdata(0, 0)
	h.wdata(6, 0)
	h.fuseOp(opProgram, cmdProgram)
	fuses := c.Fuses()
	for w, got := range fuses[:31] {
		want := 1<<28 | uint32(w)
		if w == 0 || w == 6 {
			want = 0
		}
		if got != want {
			t.Errorf("word %d: got %08x, want %08x", w, got, want)
		}
	}
	h.fuseOp(opProgram, cmdProgram)
	if m := c.Meter(); m.FuseBurns != 2 || m.FuseBits != 29+bits.OnesCount32(1)+sumOfBits(31)-1 {
		t.Errorf("got %d burns, %d bits", m.FuseBurns, m.FuseBits)
	}
}

// sumOfBits counts the bits of 1..n-1 but those of word 6.
func sumOfBits(n int) (sum int) {
	for i := range n {
		if i != 6 {
			sum += bits.OnesCount(uint(i))
		}
	}
	return sum
}

func TestRDATAIsStaleUntilRead(t *testing.T) {
	_, h := loaderHost(t, bare(Options{}))
	h.fuseTimes(40)
	h.wdata(7, 0xabc)
	h.fuseOp(opProgram, cmdProgram)
	if got := h.rdata(7); got != 0 {
		t.Errorf("before the read operation: got %#x", got)
	}
	h.setReg(fuseBase+fuseCONF, opRead)
	h.setReg(fuseBase+fuseCMD, cmdRead)
	if got := h.rdata(7); got != 0 {
		t.Errorf("while it runs: got %#x", got)
	}
	for h.reg(fuseBase+fuseCMD) != 0 {
	}
	if got := h.rdata(7); got != 0xabc {
		t.Errorf("after it: got %#x", got)
	}
}

func TestOpCodesGuardTheCommands(t *testing.T) {
	for _, c := range []struct {
		conf, cmd uint32
		want      uint32
	}{
		{opProgram, cmdProgram, 5},
		{1<<16 | opProgram, cmdProgram, 5}, // the upper half may stay as it is
		{opRead, cmdProgram, 0},
		{0, cmdProgram, 0},
		{opProgram, cmdRead, 0},
	} {
		chip, h := loaderHost(t, bare(Options{}))
		h.fuseTimes(40)
		h.wdata(7, 5)
		h.fuseOp(c.conf, c.cmd)
		if got := chip.Field("BLOCK1"); got != c.want {
			t.Errorf("CONF %#x, CMD %d: got %d, want %d", c.conf, c.cmd, got, c.want)
		}
	}
}

func TestBusyForSomePolls(t *testing.T) {
	_, h := loaderHost(t, bare(Options{}))
	h.setReg(fuseBase+fuseCONF, opRead)
	h.setReg(fuseBase+fuseCMD, cmdRead)
	for i := range busyPolls {
		if got := h.reg(fuseBase + fuseCMD); got != cmdRead {
			t.Errorf("poll %d: got %d", i, got)
		}
	}
	if got := h.reg(fuseBase + fuseCMD); got != 0 {
		t.Errorf("then: got %d", got)
	}
	if got := h.reg(fuseBase + fuseINTRAW); got != cmdRead {
		t.Errorf("INT_RAW: got %d", got)
	}
	h.setReg(fuseBase+fuseINTENA, 3)
	if got := h.reg(fuseBase + fuseINTST); got != cmdRead {
		t.Errorf("INT_ST: got %d", got)
	}
	h.setReg(fuseBase+fuseINTCLR, 3)
	if got := h.reg(fuseBase + fuseINTRAW); got != 0 {
		t.Errorf("INT_RAW cleared: got %d", got)
	}
}

// The delay of a WRITE_REG is time for the controller too.
func TestDelayEndsTheOperation(t *testing.T) {
	_, h := loaderHost(t, bare(Options{}))
	h.setReg(fuseBase+fuseCONF, opRead)
	h.ok(opWriteReg, words(fuseBase+fuseCMD, cmdRead, 0xffffffff, 5000))
	if got := h.reg(fuseBase + fuseCMD); got != 0 {
		t.Errorf("got %d", got)
	}
}

// Clock dividers of another crystal: half of the bits do not take, the others
// read unsteadily, and a second burn with the right ones mends both.
func TestWrongTimingMakesWeakBits(t *testing.T) {
	for _, crystal := range []int{40, 26} {
		t.Run(fmt.Sprint(crystal, " MHz"), func(t *testing.T) {
			c, h := loaderHost(t, bare(Options{Crystal: crystal}))
			h.burn(66-crystal, one("BLOCK1", 0xffffffff))
			if got := bits.OnesCount32(c.Field("BLOCK1")); got == 0 || got == 32 {
				t.Fatalf("%d of 32 bits took", got)
			}
			first := h.rdata(7)
			h.fuseOp(opRead, cmdRead)
			if second := h.rdata(7); first == second {
				t.Errorf("it reads steadily: %08x", first)
			}
			h.burn(crystal, one("BLOCK1", 0xffffffff))
			for range 2 {
				h.fuseOp(opRead, cmdRead)
				if got := h.rdata(7); got != 0xffffffff {
					t.Errorf("burned again: got %08x", got)
				}
			}
		})
	}
}

func TestCodingSchemes(t *testing.T) {
	// A known answer: key file 00..17, coded by its documented tool.
	coded := [8]uint32{0x14151617, 0x36011213, 0x0e0f1011, 0x37010c0d, 0x08090a0b, 0x2c010607, 0x02030405, 0x13010001}
	clear := [8]uint32{0x14151617, 0x10111213, 0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203}
	if got, status := decodeBlock(coded, coding34); got != clear || status != 0 {
		t.Errorf("3/4: got %08x, status %x", got, status)
	}
	torn := coded
	torn[3] &^= 1 << 16 // a bit of the second part's XOR
	if _, status := decodeBlock(torn, coding34); status != 2 {
		t.Errorf("3/4, torn: got status %x, want 2", status)
	}
	twice := [8]uint32{1, 2, 3, 4, 1, 2, 7, 4}
	if got, status := decodeBlock(twice, codingRepeat); got != [8]uint32{1, 2, 7, 4} || status != 4 {
		t.Errorf("repeat: got %v, status %x", got, status)
	}
	c, h := loaderHost(t, bare(Options{}, "CODING_SCHEME", coding34))
	set := map[int]uint32{}
	for i, w := range torn {
		set[15+i] = w
	}
	h.burn(40, set)
	if got := h.reg(fuseBase + fuseDEC); got != 2<<4 {
		t.Errorf("DEC_STATUS: got %#x, want %#x", got, 2<<4)
	}
	if got := c.Fuses(); [8]uint32(got[15:23]) != torn {
		t.Errorf("stored %08x, want it coded", got[15:23])
	}
	h.burn(40, map[int]uint32{18: 1 << 16})
	if got := h.reg(fuseBase + fuseDEC); got != 0 {
		t.Errorf("completed: DEC_STATUS %#x", got)
	}
	if _, h := loaderHost(t, bare(Options{}, "CODING_SCHEME", 3, "BLOCK1", 7)); h.rdata(7) != 7 {
		t.Errorf("scheme 3 is none: got %#x", h.rdata(7))
	}
}

func TestOnBurnSeesEveryChangeBeforeTheAnswer(t *testing.T) {
	type change struct{ before, after Words }
	var seen []change
	o := bare(Options{OnBurn: func(before, after Words) { seen = append(seen, change{before, after}) }})
	_, h := loaderHost(t, o)
	h.burn(40, one("BLOCK1", 3))
	h.burn(40, one("BLOCK1", 3))
	h.burn(40, one("BLOCK1", 5))
	if len(seen) != 2 {
		t.Fatalf("got %d changes, want 2", len(seen))
	}
	if seen[1].before[7] != 3 || seen[1].after[7] != 7 {
		t.Errorf("got %x to %x, want 3 to 7", seen[1].before[7], seen[1].after[7])
	}
}
