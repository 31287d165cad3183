package sim

import (
	"fmt"
	"time"

	"station/internal/chip"
)

// Kind names a fault.
type Kind string

// The faults, by what they count: commands, replies, frames or bytes.
const (
	CutBefore Kind = "cut-before" // power goes before the command is done
	CutAfter  Kind = "cut-after"  // power goes after it, before its reply
	CutBurn   Kind = "cut-burn"   // power goes inside a fuse programming; of the new bits those in Words take, with the check words, if there are any
	Unplug    Kind = "unplug"     // the cable is pulled at the command
	Vanish    Kind = "vanish"     // the adapter goes, the chip keeps its power
	Silence   Kind = "silence"    // the loader hangs at the command

	RestartLoader Kind = "restart-loader" // the chip restarts after the command's reply with GPIO0 held, into its loader
	RestartApp    Kind = "restart-app"    // or with GPIO0 released, from flash

	DropFrame   Kind = "drop-frame"   // the command never arrives
	DoubleFrame Kind = "double-frame" // it arrives twice
	DropByte    Kind = "drop-byte"    // byte Byte of frame At from the host
	DoubleByte  Kind = "double-byte"
	ChangeByte  Kind = "change-byte" // by XOR

	DropReply       Kind = "drop-reply"
	DoubleReply     Kind = "double-reply"
	LateReply       Kind = "late-reply"   // by Delay
	CutReply        Kind = "cut-reply"    // after Byte bytes
	ChangeReply     Kind = "change-reply" // byte Byte by XOR
	DropReplyByte   Kind = "drop-reply-byte"
	DoubleReplyByte Kind = "double-reply-byte"
	StaleReply      Kind = "stale-reply"   // the reply before comes once more, in front
	ForeignReply    Kind = "foreign-reply" // Data comes in front
	TextReply       Kind = "text-reply"    // Text comes in front
	StubReply       Kind = "stub-reply"    // as the flasher stub would have answered

	DropCodeByte   Kind = "drop-code-byte" // a byte that code in RAM is sent; At counts these
	DoubleCodeByte Kind = "double-code-byte"
	ChangeCodeByte Kind = "change-code-byte"  // by XOR
	ChangeCodeTalk Kind = "change-code-reply" // a byte that it sends, by XOR
	DropCodeTalk   Kind = "drop-code-reply"
	CutCode        Kind = "cut-code"     // power goes at the byte that code in RAM is sent
	UnplugCode     Kind = "unplug-code"  // the cable is pulled
	HangCode       Kind = "hang-code"    // the code does nothing any more
	RestartCode    Kind = "restart-code" // the chip restarts with GPIO0 held, into its loader

	LieMD5    Kind = "lie-md5"    // a wrong digest
	StuckLow  Kind = "stuck-low"  // the bits XOR of the byte at Addr read 0 for ever
	StuckHigh Kind = "stuck-high" // or 1
	NoErase   Kind = "no-erase"   // sectors from Addr, Size bytes, keep what they hold

	WeakFuse    Kind = "weak-fuse"    // bit Bit of Field takes at its second burn
	DeadFuse    Kind = "dead-fuse"    // never
	FlickerFuse Kind = "flicker-fuse" // reads inverted every other time
	StrayFuse   Kind = "stray-fuse"   // burns along with any other, unasked
	BadMACCRC   Kind = "bad-mac-crc"

	Brownout Kind = "brownout"  // the supply dips when the application starts; At counts starts
	BootLoop Kind = "boot-loop" // the application dies
	OldApp   Kind = "old-app"   // it calls itself version Text
	MuteApp  Kind = "mute-app"  // it starts and never says that it is ready
	CutApp   Kind = "cut-app"   // power goes in the middle of what it writes or erases; At counts these
)

// Fault is one thing that goes wrong. It happens at the At-th event that it
// counts (the first where At is 0) and Times times on end (once where Times
// is 0, for ever where it is negative). Lasting defects (stuck, no-erase, the fuse
// kinds but cut-burn, bad-mac-crc) are there from the beginning.
type Fault struct {
	Kind  Kind          `json:"kind"`
	At    int           `json:"at,omitempty"`
	Times int           `json:"times,omitempty"`
	Op    byte          `json:"op,omitempty"`   // counts only this command; 0: all
	Byte  int           `json:"byte,omitempty"` // offset on the wire, C0 included; negative from the end (replies)
	XOR   byte          `json:"xor,omitempty"`  // 0 means 1
	Addr  uint32        `json:"addr,omitempty"`
	Size  uint32        `json:"size,omitempty"`
	Field string        `json:"field,omitempty"` // of the chip
	Bit   int           `json:"bit,omitempty"`   // of the field; of a coded block: as stored
	Words *Words        `json:"words,omitempty"`
	Data  []byte        `json:"data,omitempty"`
	Text  string        `json:"text,omitempty"`
	Delay time.Duration `json:"delay,omitempty"`
}

// kinds are the faults that there are, and what each needs to be told.
var kinds = map[Kind]func(Fault) bool{
	CutBefore: always, CutAfter: always, CutBurn: always, Unplug: always, Vanish: always, Silence: always,
	RestartLoader: always, RestartApp: always,
	DropFrame: always, DoubleFrame: always, DropByte: always, DoubleByte: always, ChangeByte: always,
	DropReply: always, DoubleReply: always, CutReply: always, ChangeReply: always,
	DropReplyByte: always, DoubleReplyByte: always, StaleReply: always, StubReply: always,
	LateReply:    func(f Fault) bool { return f.Delay > 0 },
	ForeignReply: func(f Fault) bool { return len(f.Data) > 0 },
	TextReply:    func(f Fault) bool { return f.Text != "" },
	DropCodeByte: always, DoubleCodeByte: always, ChangeCodeByte: always, ChangeCodeTalk: always, DropCodeTalk: always,
	CutCode: always, UnplugCode: always, HangCode: always, RestartCode: always,
	LieMD5: always, StuckLow: always, StuckHigh: always,
	NoErase:  func(f Fault) bool { return f.Size > 0 },
	WeakFuse: hasFuse, DeadFuse: hasFuse, FlickerFuse: hasFuse, StrayFuse: hasFuse, BadMACCRC: always,
	Brownout: always, BootLoop: always, MuteApp: always,
	CutApp: always,
	OldApp: func(f Fault) bool { return f.Text != "" },
}

func always(Fault) bool { return true }

func hasFuse(f Fault) bool { return f.Field != "" && f.Bit >= 0 }

// fuse is the fault's bit as word*32+bit of all words.
func (f Fault) fuse(family *chip.Family) (at int, ok bool) {
	field, known := family.Efuse.Field(f.Field)
	if !known {
		return 0, false
	}
	i := 0
	for bit := range bitsOf(family, field) {
		if i == f.Bit {
			return bit, true
		}
		i++
	}
	return 0, false
}

func (f Fault) check(family *chip.Family) error {
	complete, ok := kinds[f.Kind]
	if _, has := f.fuse(family); ok && f.Field != "" && !has {
		ok, complete = true, func(Fault) bool { return false }
	}
	switch {
	case !ok:
		return fmt.Errorf("virtual chip: there is no fault %q", f.Kind)
	case !complete(f):
		return fmt.Errorf("virtual chip: fault %q lacks what it needs (delay, data, text, size, or field and bit)", f.Kind)
	}
	return nil
}

func (f Fault) xor() byte {
	if f.XOR == 0 {
		return 1
	}
	return f.XOR
}

// within reports whether the n-th event (from 1) is hit.
func (f Fault) within(n int) bool {
	at := max(f.At, 1)
	return n >= at && (f.Times < 0 || n < at+max(f.Times, 1))
}

// armed is a fault with its count.
type armed struct {
	Fault
	seen int
}

// Inject adds faults to a chip; their counts begin now (of the byte faults:
// with the chip's first frame).
func (c *Chip) Inject(faults ...Fault) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range faults {
		if err := f.check(c.opts.Chip); err != nil {
			return err
		}
	}
	c.inject(faults)
	return nil
}

// Heal takes all faults away. What they have done stays.
func (c *Chip) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = nil
	c.loader.frameFaults = false
}

func (c *Chip) inject(faults []Fault) {
	for _, f := range faults {
		c.faults = append(c.faults, &armed{Fault: f})
	}
	c.stickBits(0, len(c.flash.mem))
	c.loader.frameFaults = c.hasByteFaults()
}

// fire counts an event and returns the fault that hits it, nil for none.
func (c *Chip) fire(kind Kind, op byte) (hit *armed) {
	for _, f := range c.faults {
		if f.Kind != kind || f.Op != 0 && f.Op != op {
			continue
		}
		if f.seen++; hit == nil && f.within(f.seen) {
			hit = f
		}
	}
	return hit
}
