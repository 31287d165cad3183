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

// Burn burns one stage: BLOCK1, then the values of BLOCK0, then what protects
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
	c := newController(ctx, r)
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
	now, err := c.latch(surveyAddrs)
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
	t, ok := timings[crystalMHz]
	if !ok {
		return Image{}, fmt.Errorf("%w: no fuse timing for a crystal of %d MHz", ErrUnfit, crystalMHz)
	}
	c.timing = t
	if _, err := (Plan{s}).Diff(have); err != nil {
		return Image{}, err
	}
	if s.Key != nil && s.Key.Secret == nil && have.KeyState() != KeyHidden {
		return Image{}, fmt.Errorf("%w: no key given to burn", ErrPlan)
	}
	now, err := c.recognise(have)
	if err != nil {
		return Image{}, err
	}
	for _, p := range s.parts(have) {
		if now, err = c.part(p, now); err != nil {
			return Image{}, err
		}
	}
	defer clear(now)
	return newImage(now)
}

// recognise reads the fuses until they are as the caller knows them, so that
// two readings at different times agree before anything is burned.
func (c *controller) recognise(have Image) ([]uint32, error) {
	for range attempts { // the wire may have changed a reply
		now, err := c.latch(surveyAddrs)
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
	key    []byte // of BLOCK1
	coding chip.Coding
	values [7]uint32 // of BLOCK0
	last   bool      // of its stage
}

// parts are the program commands of a stage, in order.
func (s Stage) parts(have Image) []part {
	var out []part
	if s.Key != nil && have.KeyState() != KeyHidden {
		out = append(out, part{block: 1, key: s.Key.Secret.Reveal(), coding: have.Coding()})
	}
	for _, ph := range []int{phaseValues, phaseProtect} {
		p := part{}
		for _, set := range s.Sets {
			if phase(set.Field) == ph {
				f := byName[set.Field]
				p.values[f.Word] |= set.Value << f.Bit
			}
		}
		if !isZero(p.values[:]) {
			out = append(out, p)
		}
	}
	if n := len(out); n > 0 {
		out[n-1].last = true
	}
	return out
}

// want is word w of the block as it must read.
func (p part) want(w int) uint32 {
	if p.block == 0 {
		return p.values[w]
	}
	return keyWord(p.key, w)
}

// missing is what must be loaded to burn what a reading lacks, as WDATA takes
// it. A chunk of the 3/4 coding is burned whole or not at all, and so is every
// chunk while the decoder complains about the block.
func (p part) missing(have []uint32, flagged bool) []uint32 {
	out := make([]uint32, blocks[p.block].words)
	if p.block == 0 || p.coding != chip.Coding34 {
		for w := range out {
			out[w] = p.want(w) &^ have[w]
		}
		return out
	}
	for chunk := range 4 {
		if flagged || !p.chunkRight(have, chunk) {
			for w := 2 * chunk; w < 2*chunk+2; w++ {
				out[w] = codedWord(p.key, p.coding, w)
			}
		}
	}
	return out
}

func (p part) chunkRight(have []uint32, chunk int) bool {
	var differ uint32
	for half := 3 * chunk; half < 3*chunk+3; half++ { // in units of 16 bits
		differ |= (have[half/2] ^ p.want(half/2)) >> (16 * (half % 2)) & 0xffff
	}
	return differ == 0
}

// part burns p into a chip that reads as before, and returns how it reads
// then. It overwrites before.
func (c *controller) part(p part, before []uint32) ([]uint32, error) {
	defer clear(before)
	at, words := blocks[p.block].at, blocks[p.block].words
	seen := sighting{all: slices.Clone(before), any: slices.Clone(before)}
	for n := 0; ; n++ {
		missing := p.missing(seen.all[at:at+words], flagged(p.coding, seen.any[atDec], p.block))
		done := isZero(missing)
		var err error
		switch {
		case done && n > 0:
			clear(seen.any)
			return seen.all, nil
		case !done && n > reburns:
			err = p.stubborn(missing, seen)
		case !done:
			err = c.program(p.block, missing)
		}
		clear(missing)
		seen.wipe()
		if err == nil {
			seen, err = c.look(p, before)
		}
		if err != nil {
			seen.wipe()
			return nil, err
		}
	}
}

// stubborn says why the part cannot be finished.
func (p part) stubborn(missing []uint32, seen sighting) error {
	at := blocks[p.block].at
	flickers := p.coding != chip.Coding34 || p.block == 0
	for w, m := range missing {
		flickers = flickers && m&^seen.any[at+w] == 0
	}
	if flickers {
		return fmt.Errorf("%w: %s", ErrUnstable, p.fields(missing))
	}
	return fmt.Errorf("%w: %s after %d attempts", ErrNotBurned, p.fields(missing), 1+reburns)
}

// fields names the fields of a block that bits belong to. Never their values:
// they may be a key's.
func (p part) fields(words []uint32) string {
	if p.block == 0 {
		return fieldsOf(0, words)
	}
	return fmt.Sprintf("BLOCK%d", p.block)
}

func fieldsOf(at int, words []uint32) string {
	for b, blk := range blocks {
		if b > 0 && at >= blk.at && at < blk.at+blk.words {
			return fmt.Sprintf("BLOCK%d", b)
		}
	}
	var block0 [7]uint32
	copy(block0[at:], words)
	var names []string
	for _, f := range Fields {
		if f.Block == 0 && f.value(block0[:]) != 0 {
			names = append(names, f.Name)
		}
	}
	if names == nil {
		return "reserved bits of BLOCK0"
	}
	return strings.Join(names, ", ")
}
