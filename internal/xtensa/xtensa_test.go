package xtensa

import (
	"encoding/binary"
	"errors"
	"hash/adler32"
	"hash/crc32"
	"math/bits"
	"os"
	"slices"
	"strings"
	"testing"
)

const (
	codeAt = 0x40090000
	dataAt = 0x3ffb0000
	leave  = 0x40000000 // where no code is: a program that returns there is at its end
)

// noBus is a chip without registers but one, which keeps what is stored.
type noBus struct{ value uint32 }

func (b *noBus) Load(addr uint32) (uint32, bool) { return b.value, addr == 0x3ff00000 }
func (b *noBus) Store(addr, v uint32) bool       { b.value = v; return addr == 0x3ff00000 }

// newCPU stands at the first byte of the code, with its stack at the memory's end.
func newCPU(code []byte) (*CPU, []byte) {
	data := make([]byte, 0x8000)
	c := New(&noBus{}, codeAt, Span{From: codeAt, Data: append(code, make([]byte, 64)...), Words: true}, Span{From: dataAt, Data: data})
	c.A[0], c.A[1] = leave, dataAt+uint32(len(data))
	return c, data
}

// runFile executes a program of testdata to its end and returns its memory.
func runFile(t *testing.T, name string) (*CPU, []uint32) {
	t.Helper()
	code, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	c, data := newCPU(code)
	var fault *Fault
	if err := c.Run(1 << 40); !errors.As(err, &fault) || fault.PC != leave {
		t.Fatalf("%s: %v", name, err)
	}
	words := make([]uint32, len(data)/4)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(data[4*i:])
	}
	return c, words
}

// The results of testdata/every.S, in its order.
func TestEveryInstruction(t *testing.T) {
	a, b, c := uint32(0x12345678), ^uint32(6), uint32(5) // b is -7
	want := []uint32{
		a, b, a & c, a | c, a ^ b, 7, 7, 5, a + b, a<<1 + c, a<<2 + c, a<<3 + c, a - c, a<<1 - c, a<<2 - c, a<<3 - c,
		a - 128, a + 0x7f00, a - 0x8000, ^uint32(2047), 95, ^uint32(31), a + b, a - 1, a + 15, b,
		a, 1, a, a, 1, a,
		0x4567, 3, a << 1, a << 31, a << 17, a >> 15, 0xfffffffc, 0xffffffff,
		a << 5, a, a >> 5, 0xffffffff, 0xc7ffffff, a >> 19, 0x345678ff, 0x78ffffff, 28, 2, 29, 32,
		0x5678 * 0xfff9, ^(uint32(0x5678) * 7) + 1, ^(a * 7) + 1,
		a, b, 0xfff9, b, 0xf9, 0xff, 0xcafef00d,
		21, 21, 0x2f, 0x23, 0x40000000,
		1, 0, 1, 0, 1, 0, 1, 0, 1, 0, // beqz to bgez
		1, 0, 1, 1, 0, 1, 0, 1, 0, 1, // beqi to bgeui
		1, 0, 1, 1, 0, 1, 1, 0, 1, // beq to bgeu
		1, 0, 1, 0, 1, 0, 1, // bnone to bnall
		1, 0, 0, 0, 1, 1, 0, // bbs to bbsi
		0x40000001, 0x40000002, 5, // callee counts on from what was the vector base
	}
	_, got := runFile(t, "every.bin")
	for i, w := range want {
		if got[i] != w {
			t.Errorf("result %d: got %#x, want %#x", i, got[i], w)
		}
	}
	if extra := got[len(want)]; extra != 0 {
		t.Errorf("one result more: %#x", extra)
	}
}

// wantOfProgram is what testdata/program.c computes.
func wantOfProgram() []uint32 {
	text := make([]byte, 1000)
	for i := range text {
		text[i] = byte(i*7 + i>>3)
	}
	top, n := uint64(837799), uint64(837799)
	for ; n != 1; top = max(top, n) {
		if n&1 != 0 {
			n = 3*n + 1
		} else {
			n >>= 1
		}
	}
	var sorted []int16
	for i := range 100 {
		sorted = append(sorted, int16(i*12345-20000))
	}
	slices.Sort(sorted)
	sum := 0
	for c := -200; c < 200; c++ {
		switch c & 15 {
		case 0:
			sum += 11
		case 1:
			sum += c * 3
		case 2:
			sum -= c
		case 3:
			sum += c << 2
		case 4:
			sum += 1000 / (c + 1)
		case 7:
			sum += c ^ 0x55
		case 9:
			sum += c % 7
		}
	}
	h := uint32(0)
	for i := range 64 {
		h = bits.RotateLeft32(h, 5) ^ uint32(uint16(i<<(i&15)))
	}
	neg := func(v int32) uint32 { return uint32(v) }
	return []uint32{crc32.ChecksumIEEE(text), adler32.Checksum(text), 21, uint32(top), uint32(top >> 32),
		neg(int32(sorted[0])), neg(int32(sorted[50])), neg(int32(sorted[99])), uint32(sum), h,
		0xdeadbeef / 12345, neg(-1000000 / 77), neg(-1000000 % 77)}
}

func TestProgramsOfTheCompiler(t *testing.T) {
	want := wantOfProgram()
	for _, name := range []string{"program-Os.bin", "program-O2.bin"} {
		c, got := runFile(t, name)
		if !slices.Equal(got[:len(want)], want) {
			t.Errorf("%s: got %x, want %x", name, got[:len(want)], want)
		}
		if c.A[2] != 0x600d || c.A[1] != dataAt+0x8000 {
			t.Errorf("%s: returns %#x with the stack at %#x", name, c.A[2], c.A[1])
		}
		if c.Instructions < 100_000 || c.Cycles <= c.Instructions {
			t.Errorf("%s: %d instructions in %d cycles", name, c.Instructions, c.Cycles)
		}
	}
}

// word24 is an instruction of three bytes.
func word24(v uint32) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16)} }

func TestFaultsNameTheirReason(t *testing.T) {
	for name, f := range map[string]struct {
		code   []byte
		set    map[int]uint32
		reason string
	}{
		"entry opens a window":           {word24(0x004136), nil, "004136 is none of those"},
		"loop":                           {word24(0x018076), nil, "is none of those"},
		"quotient":                       {word24(0xc23420), nil, "is none of those"},
		"ill":                            {word24(0), nil, "000000 is none of those"},
		"break":                          {[]byte{0x2d, 0xf0}, nil, "is none of those"},
		"a byte of code":                 {word24(0x000232), map[int]uint32{2: codeAt}, "load of 1 bytes at 0x40090000, where only words"}, // l8ui a3, a2, 0
		"a byte of a register":           {word24(0x000232), map[int]uint32{2: 0x3ff00000}, "load of 1 bytes at 0x3ff00000, where only words"},
		"a word across":                  {word24(0x002232), map[int]uint32{2: dataAt + 2}, "load of 4 bytes at 0x3ffb0002, which is no multiple"}, // l32i
		"nothing there":                  {word24(0x002232), map[int]uint32{2: 0x10}, "load at 0x00000010, where there is nothing"},
		"nothing to store into":          {word24(0x006232), map[int]uint32{2: 0x10}, "store at 0x00000010, where there is nothing"},
		"a special register of a window": {word24(0x034830), nil, "special register 72"}, // rsr.windowbase
		"a special register to set":      {word24(0x13ea30), nil, "special register 234"},
	} {
		c, _ := newCPU(f.code)
		for i, v := range f.set {
			c.A[i] = v
		}
		err := c.Run(100)
		if err == nil || !strings.Contains(err.Error(), f.reason) || !strings.Contains(err.Error(), "at 0x40090000") {
			t.Errorf("%s: got %v, want %q", name, err, f.reason)
		}
		if again := c.Run(200); again != err {
			t.Errorf("%s: a fault does not stay: %v", name, again)
		}
	}
}

// A program that writes its own code executes what it has written.
func TestCodeMayChange(t *testing.T) {
	// l32i.n a3, a2, 0 ; s32i.n a3, a4, 0 ; j to the beginning
	c, data := newCPU(append([]byte{0x38, 0x02, 0x39, 0x04}, word24(0xfffe06)...))
	c.A[2], c.A[4] = dataAt, codeAt
	binary.LittleEndian.PutUint32(data, 0x0439_f03d) // nop.n ; s32i.n a3, a4, 0
	c.Run(40)
	if c.A[3] != 0x0439f03d || c.fault != nil {
		t.Fatalf("a3 is %#x, %v", c.A[3], c.fault)
	}
	c.A[2] = 0x10 // what stood there before would fail now
	if err := c.Run(80); err != nil {
		t.Fatal(err)
	}
}

func TestBusEndsARun(t *testing.T) {
	stop := &stopper{}
	c := New(stop, codeAt, Span{From: codeAt, Data: append(word24(0x002232), 0x3d, 0xf0), Words: true}) // l32i a3, a2, 0
	stop.cpu = c
	c.A[2] = 0x3ff00000
	if err := c.Run(1000); err != nil || c.Instructions != 1 || c.PC != codeAt+3 {
		t.Fatalf("%v after %d instructions at %#x", err, c.Instructions, c.PC)
	}
}

type stopper struct{ cpu *CPU }

func (s *stopper) Load(uint32) (uint32, bool) { s.cpu.Stopped = true; return 1, true }
func (s *stopper) Store(uint32, uint32) bool  { return false }

func BenchmarkRun(b *testing.B) {
	code, err := os.ReadFile("testdata/program-Os.bin")
	if err != nil {
		b.Fatal(err)
	}
	var executed uint64
	for b.Loop() {
		c, _ := newCPU(slices.Clone(code))
		c.Run(1 << 40)
		executed += c.Instructions
	}
	b.ReportMetric(float64(executed)/b.Elapsed().Seconds()/1e6, "M-instructions/s")
}
