package efuse

import (
	"fmt"
	"slices"

	"station/internal/chip"
)

// sighting is several readings of the fuses, as surveys: the bits that were
// set in all of them, and those that were set in any.
type sighting struct{ all, any []uint32 }

func (s sighting) wipe() {
	clear(s.all)
	clear(s.any)
}

// look reads the fuses several times after p was programmed into a chip that
// read as before, each time from the fuses themselves: first p's block, or
// everything after a stage's last part; then the words that p touches, and those
// that are not as they must be. It is an error if anything but bits of p changed.
func (c *controller) look(p part, before []uint32) (sighting, error) {
	expect := p.expect(before)
	defer clear(expect)
	s := sighting{slices.Clone(before), slices.Clone(before)}
	which, clean := p.indices(), []int{p.block}
	for n := range readings {
		got, err := c.sure(which, expect, clean...)
		if err == nil && n == 0 && shows(which, got, before) && !shows(which, got, expect) {
			// Nothing has changed at all: the wire may have kept the latch from
			// the chip, which leaves no other trace.
			clear(got)
			got, err = c.sure(which, expect)
		}
		if err != nil {
			s.wipe()
			return s, err
		}
		for j, i := range which {
			if n == 0 {
				s.all[i], s.any[i] = got[j], got[j]
			}
			s.all[i] &= got[j]
			s.any[i] |= got[j]
		}
		if n == 0 {
			which, clean = p.doubtful(which, got, expect), nil
		}
		clear(got)
	}
	if err := p.judge(before, expect, s); err != nil {
		s.wipe()
		return s, err
	}
	return s, nil
}

// sure latches the fuses and reads some of a survey. What is not as expected
// is read again from the same latch until two reads agree: a difference that
// stays is the chip's, one that goes away was the wire's.
func (c *controller) sure(which []int, expect []uint32, clean ...int) ([]uint32, error) {
	addrs := make([]uint32, len(which))
	for j, i := range which {
		addrs[j] = surveyAddrs[i]
	}
	got, err := c.latch(addrs, clean...)
	if err != nil {
		return nil, err
	}
	right := shows(which, got, expect)
	for range attempts {
		if right {
			return got, nil
		}
		again, err := c.read(addrs)
		if err != nil {
			clear(got)
			return nil, err
		}
		right = slices.Equal(got, again)
		clear(got)
		got = again
	}
	if !right {
		clear(got)
		return nil, fmt.Errorf("%w: the read registers change by themselves", ErrUnstable)
	}
	return got, nil
}

// indices are the places in a survey that p is judged by.
func (p part) indices() []int {
	var out []int
	for i := range atDate {
		mine := i - blocks[p.block].at
		if p.last || mine >= 0 && mine < blocks[p.block].words || i == atDec {
			out = append(out, i)
		}
	}
	return out
}

// touched are the places of the words that p has bits in.
func (p part) touched() []int {
	var out []int
	for w := range blocks[p.block].words {
		if p.want(w) != 0 {
			out = append(out, blocks[p.block].at+w)
		}
	}
	if p.coding == chip.Coding34 {
		out = append(out, atDec)
	}
	return out
}

// shows reports whether those words of a survey that were read are as in v.
func shows(which []int, got, v []uint32) bool {
	var differ uint32
	for j, i := range which {
		differ |= got[j] ^ v[i]
	}
	return differ == 0
}

// doubtful are the words that p touches and those that were read otherwise than
// expected: one reading is no proof of a fuse that is burned or lost.
func (p part) doubtful(which []int, got, expect []uint32) []int {
	out := p.touched()
	for j, i := range which {
		if got[j] != expect[i] && !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	return out
}

// expect is how the chip reads once p is burned.
func (p part) expect(before []uint32) []uint32 {
	v := slices.Clone(before)
	for w := range blocks[p.block].words {
		v[blocks[p.block].at+w] |= p.want(w)
	}
	if keyHidden(v) {
		clear(v[blocks[1].at:][:8])
		v[atDec] &^= 0xf
	}
	if p.block == 1 {
		v[atDec] &^= 0xf
	}
	return v
}

// keyHidden is RD_DIS bit 0.
func keyHidden(v []uint32) bool { return v[0]>>16&1 == 1 }

// judge compares what was seen with what may be. Bits of p that are still
// missing are not its business.
func (p part) judge(before, expect []uint32, s sighting) error {
	at := blocks[p.block].at
	for i := range fuseWords {
		mine := i >= at && i < at+blocks[p.block].words
		may := expect[i]
		if one := i - blocks[1].at; one >= 0 && one < 8 && p.block == 0 {
			if keyHidden(s.all) && s.any[i] != 0 {
				return fmt.Errorf("%w: BLOCK1 still reads although RD_DIS bit 0 is burned", ErrNotBurned)
			}
			if !keyHidden(s.all) {
				may = before[i]
			}
		}
		// A chunk that the decoder cannot make out reads as anything. It is
		// burned again before it is judged.
		if mine && flagged(p.coding, s.any[atDec], p.block) {
			continue
		}
		extra, lost := s.any[i]&^may, before[i]&may&^s.all[i]
		name := fieldsOf(i, []uint32{extra | lost})
		switch {
		case extra&s.all[i] != 0 && mine && p.block == 1:
			return fmt.Errorf("%w: it holds bits that the key has not", ErrKeyMismatch)
		case extra&s.all[i] != 0:
			return fmt.Errorf("%w: %s", ErrStray, name)
		case extra|lost != 0:
			return fmt.Errorf("%w: %s", ErrUnstable, name)
		}
	}
	return nil
}
