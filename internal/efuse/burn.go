package efuse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"station/internal/chip"
)

// Registers is what burning needs of a chip.
type Registers interface {
	Reader
	// WriteRead does several writes in one frame and reads registers after it,
	// all in as few round trips as it can. After an error nobody knows whether
	// the chip has done the writes.
	WriteRead(ctx context.Context, writes []chip.RegWrite, addrs ...uint32) ([]uint32, error)
}

// How a burn can go wrong in the chip. Whatever the error, the registers have
// been cleared where the chip still answers.
var (
	// ErrNotBurned: bits that do not take, however often they are programmed.
	ErrNotBurned = errors.New("fuse bits do not take")
	// ErrStray: a fuse changed that was not to be burned.
	ErrStray = errors.New("a fuse is burned that nobody asked for")
	// ErrChanged: the chip is not as it was recorded before the burn; it may be
	// another one. Nothing was burned.
	ErrChanged = errors.New("the fuses do not read as they were recorded before the burn")
	// ErrUnstable: the fuses do not read the same twice.
	ErrUnstable = errors.New("the fuses do not read the same each time")
	// ErrRegisters: the fuse controller does not hold or do what it is told.
	// Nothing was programmed by the attempt.
	ErrRegisters = errors.New("the fuse controller does not take what it is told")
)

const (
	reburns  = 3 // programming again of bits that did not take, as ESP-IDF
	readings = 3 // of the fuses after a burn; all must agree
)

// Burn burns one stage: its key, then the values of BLOCK0, then what protects
// them, each loaded, checked, programmed and read back. It burns only what have
// lacks, so it may be called again after any interruption. It returns the fuses
// as read at the end.
//
// have is the chip as the caller has recorded it together with the intent, which
// must be on disk before the call. If the chip does not read like that, be it
// another chip, nothing is burned and the error is ErrChanged.
//
// A context that ends before the first program command stops it. After that
// the stage is finished whatever the context says. Nothing else in the program
// burns fuses.
func Burn(ctx context.Context, r Registers, crystalMHz int, have Image, s Stage) (Image, error) {
	c := newController(ctx, have.Family, r)
	after, err := c.burn(crystalMHz, have, s)
	if err != nil {
		err = c.safe(err)
		return Image{}, &burnError{fmt.Errorf("burn %s: %w", s.Name, err), c.changed(have, err)}
	}
	return after, nil
}

// Change is what is known of the fuses after a burn.
type Change int

// What a burn has done.
const (
	Unchanged Change = iota // no program command was sent, or the fuses read as before
	Changed                 // read back
	Unknown                 // programmed, and not read back
)

func (c Change) String() string {
	return [...]string{"unchanged", "changed, as read back", "not read back after a program command"}[c]
}

// burnError is an error of Burn, with what was read back after it.
type burnError struct {
	error
	change Change
}

func (e *burnError) Unwrap() error { return e.error }

// ChangeOf tells what is known of the fuses after an error of Burn.
func ChangeOf(err error) Change {
	var e *burnError
	if errors.As(err, &e) {
		return e.change
	}
	return Unchanged
}

// changed compares the fuses with those before a burn that failed with err.
func (c *controller) changed(have Image, err error) Change {
	if !c.programmed {
		return Unchanged
	}
	if gone(err) {
		return Unknown
	}
	now, err := c.latch(c.survey.addrs)
	defer clear(now)
	if err != nil {
		return Unknown
	}
	switch same, err := have.reads(now); {
	case err != nil:
		return Unknown
	case same:
		return Unchanged
	}
	return Changed
}

func (c *controller) burn(crystalMHz int, have Image, s Stage) (Image, error) {
	if err := c.ctx.Err(); err != nil {
		return Image{}, err
	}
	t, ok := c.family.Efuse.Timing[crystalMHz]
	if !ok {
		return Image{}, fmt.Errorf("%w: no fuse timing for a crystal of %d MHz", ErrUnfit, crystalMHz)
	}
	c.timing = t
	if _, err := (Plan{s}).Diff(have); err != nil {
		return Image{}, err
	}
	if s.Key != nil && s.Key.Secret == nil && have.StateOf(s.Key.In(c.family)) != KeyHidden {
		return Image{}, fmt.Errorf("%w: no key given to burn", ErrPlan)
	}
	now, err := c.recognise(have)
	if err != nil {
		return Image{}, err
	}
	parts := s.parts(have)
	defer wipeParts(parts)
	for _, p := range parts {
		if now, err = c.part(p, now); err != nil {
			return Image{}, err
		}
	}
	defer clear(now)
	return newImage(c.family, now)
}

// recognise reads the fuses until they are as the caller knows them, so that
// two readings at different times agree before anything is burned.
func (c *controller) recognise(have Image) ([]uint32, error) {
	for range attempts { // the wire may have changed a reply
		now, err := c.latch(c.survey.addrs)
		if err != nil {
			return nil, err
		}
		same, err := have.reads(now)
		if same && err == nil {
			return now, nil
		}
		clear(now)
		if err != nil {
			return nil, err
		}
	}
	return nil, ErrChanged
}

// part is what one program command burns.
type part struct {
	block  int
	want   []uint32 // the words of the block, as they must read
	coding coding
	scheme chip.Coding
	last   bool // of its stage
}

// once reports a block that can be programmed once only.
func (p part) once() bool { _, ok := p.coding.(reedSolomon); return ok }

// wipeParts overwrites the words, which may be a key's.
func wipeParts(parts []part) {
	for _, p := range parts {
		clear(p.want)
	}
}

// parts are the program commands of a stage, in order.
func (s Stage) parts(have Image) []part {
	f := known(have.Family)
	var out []part
	if s.Key != nil && have.StateOf(s.Key.In(f)) != KeyHidden {
		block := f.Efuse.Block(s.Key.In(f))
		out = append(out, part{block: block, want: s.Key.words(f), coding: codingOf(f.Efuse.Blocks[block], have.Coding()), scheme: have.Coding()})
	}
	for _, ph := range []int{phaseValues, phaseProtect} {
		p := part{want: make([]uint32, f.Efuse.Blocks[0].Words), coding: plain{}}
		for _, set := range s.Sets {
			if phase(f, set.Field) == ph {
				field, _ := f.Efuse.Field(set.Field)
				put(field, p.want, set.Value)
			}
		}
		if !isZero(p.want) {
			out = append(out, p)
		}
	}
	if n := len(out); n > 0 {
		out[n-1].last = true
	}
	return out
}

// part burns p into a chip that reads as before, and returns how it reads
// then. It overwrites before.
func (c *controller) part(p part, before []uint32) ([]uint32, error) {
	defer clear(before)
	seen := sighting{all: slices.Clone(before), any: slices.Clone(before)}
	for n := 0; ; n++ {
		missing, err := p.coding.load(p.want, c.survey.words(c.family, seen.all, p.block), flagged(c.family, p.scheme, seen.any[c.survey.status:], p.block))
		done := isZero(missing)
		switch {
		case err != nil:
			err = fmt.Errorf("%s: %w", c.family.Efuse.Blocks[p.block].Name, err)
		case done && n > 0:
			clear(seen.any)
			return seen.all, nil
		case !done && n > reburns:
			err = c.stubborn(p, missing, seen)
		case !done:
			err = c.program(p.block, missing)
		}
		clear(missing)
		seen.wipe()
		if err == nil {
			seen, err = c.sight(p, before)
		}
		if err != nil {
			seen.wipe()
			return nil, err
		}
	}
}

// stubborn says why the part cannot be finished.
func (c *controller) stubborn(p part, missing []uint32, seen sighting) error {
	any := c.survey.words(c.family, seen.any, p.block)
	_, flickers := p.coding.(plain)
	for w := range any {
		flickers = flickers && missing[w]&^any[w] == 0
	}
	name := c.family.Efuse.Blocks[p.block].Name
	if p.block == 0 { // never of a key
		name = fieldsIn(c.family, missing)
	}
	if flickers {
		return fmt.Errorf("%w: %s", ErrUnstable, name)
	}
	return fmt.Errorf("%w: %s after %d attempts", ErrNotBurned, name, 1+reburns)
}

// fieldsOf names what bits of one word of a survey belong to. Never their
// values: they may be a key's.
func (c *controller) fieldsOf(i int, bits uint32) string {
	if b := c.survey.blockAt(c.family, i); b > 0 {
		return c.family.Efuse.Blocks[b].Name
	}
	block0 := make([]uint32, c.family.Efuse.Blocks[0].Words)
	block0[i] = bits
	return fieldsIn(c.family, block0)
}

// fieldsIn names the fields of BLOCK0 that bits belong to.
func fieldsIn(f *chip.Family, block0 []uint32) string {
	var names []string
	for _, field := range f.Efuse.Fields {
		if field.Block == 0 && value(field, block0) != 0 {
			names = append(names, field.Name)
		}
	}
	if names == nil {
		return "reserved bits of BLOCK0"
	}
	return strings.Join(names, ", ")
}
