// Package xtensa executes machine code of the Xtensa architecture as far as the
// compiler of Debian's gcc-xtensa-lx106 makes it for the call0 convention: the
// core instructions, the density option, 32-bit multiplication and normalization
// (Xtensa Instruction Set Architecture Reference Manual). Register windows, loops,
// exceptions and interrupts are not there: any other instruction is a Fault that
// names it, and so is what a chip would answer with an exception.
//
// It knows no chip: memory is given by spans, and what lies beyond them is the
// business of a Bus.
//
// What is done for each instruction goes without the race detector, which would
// look at each of a hundred million: it computes on what one CPU owns. Its callers do not.
package xtensa

import "fmt"

// Bus is what the processor reaches outside its memory: registers of 32 bits. An
// address where there is none is false.
type Bus interface {
	Load(addr uint32) (uint32, bool)
	Store(addr, value uint32) bool
}

// Span is some memory. Data may be shared with others while the processor stands.
type Span struct {
	From  uint32
	Data  []byte
	Words bool // it takes only whole words, and code runs from it
}

// CPU is a processor with its memory.
type CPU struct {
	A       [16]uint32
	PC      uint32
	SAR     uint32
	PS      uint32
	VecBase uint32

	Instructions uint64 // executed
	Cycles       uint64 // that they took; CCOUNT is their low word
	Stopped      bool   // a Bus sets it to end Run after the instruction in hand

	spans   []Span
	bytes   *Span // the first of them that takes bytes
	bus     Bus
	decoded map[uint32]*page
	near    *page // the one used last,
	nearAt  uint32
	fault   *Fault
}

// Cycles that an instruction takes beside its own one. Those of a taken branch
// are of the pipeline; a bus access crosses to the peripherals' clock, and its
// cycles are an assumption on the safe side.
const (
	branchCycles = 2
	loadCycles   = 1
	busCycles    = 8
)

// New is a processor that stands at entry.
func New(bus Bus, entry uint32, spans ...Span) *CPU {
	c := &CPU{PC: entry, bus: bus, spans: spans, bytes: &Span{}, decoded: map[uint32]*page{}}
	for i := range spans {
		if !spans[i].Words {
			c.bytes = &spans[i]
			break
		}
	}
	return c
}

// Fault is why a processor cannot go on.
type Fault struct {
	PC     uint32
	Reason string
}

func (f *Fault) Error() string { return fmt.Sprintf("xtensa: at %#08x: %s", f.PC, f.Reason) }

// Run executes until so many cycles have passed in all, until the bus stops
// it, or to a Fault, which stays.
//
//go:norace
func (c *CPU) Run(until uint64) error {
	c.Stopped = false
	for c.Cycles < until && !c.Stopped && c.fault == nil {
		c.step()
	}
	if c.fault != nil {
		return c.fault
	}
	return nil
}

func (c *CPU) fail(format string, args ...any) {
	c.fault = &Fault{PC: c.PC, Reason: fmt.Sprintf(format, args...)}
}

// step executes one instruction.
//
//go:norace
func (c *CPU) step() {
	in := c.fetch()
	if in == nil {
		return
	}
	c.Instructions++
	c.Cycles++
	next := c.execute(in, c.PC+uint32(in.size))
	if c.fault == nil {
		c.PC = next
	}
}

// page holds instructions as they were decoded.
type page [pageSize]instruction

const pageSize = 0x400

// fetch is the instruction at PC, nil after a fault.
//
//go:norace
func (c *CPU) fetch() *instruction {
	off := c.PC - c.nearAt
	if c.near == nil || off >= pageSize {
		c.turn()
		off = c.PC - c.nearAt
	}
	if in := &c.near[off]; in.op > opUnknown {
		return in
	}
	return c.decode(&c.near[off])
}

// turn takes up the page of PC.
//
//go:norace
func (c *CPU) turn() {
	c.nearAt = c.PC &^ (pageSize - 1)
	if c.near = c.decoded[c.nearAt]; c.near == nil {
		c.near = new(page)
		c.decoded[c.nearAt] = c.near
	}
}

func (c *CPU) decode(in *instruction) *instruction {
	raw, ok := c.code(c.PC)
	if !ok {
		c.fail("there is no code")
		return nil
	}
	if *in = decode(raw, c.PC); in.op == opUnknown {
		c.fail("instruction %06x is none of those that are known here", raw)
		return nil
	}
	return in
}

// code are the three bytes at an address.
func (c *CPU) code(addr uint32) (raw uint32, ok bool) {
	for i := range c.spans {
		s := &c.spans[i]
		if off := addr - s.From; s.Words && off < uint32(len(s.Data)) {
			for j, b := range s.Data[off:min(off+3, uint32(len(s.Data)))] {
				raw |= uint32(b) << (8 * j)
			}
			return raw, true
		}
	}
	return 0, false
}
