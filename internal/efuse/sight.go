package efuse

import (
	"fmt"
	"slices"
)

// sighting is several readings of the fuses, as surveys: the bits that were
// set in all of them, and those that were set in any.
type sighting struct{ all, any []uint32 }

func (s sighting) wipe() {
	clear(s.all)
	clear(s.any)
}

// sight reads the fuses several times after p was programmed into a chip that
// read as before, each time from the fuses themselves: first p's block, or
// everything after a stage's last part; then the words that p touches, and those
// that are not as they must be. It is an error if anything but bits of p changed.
func (c *controller) sight(p part, before []uint32) (sighting, error) {
	expect := c.expect(p, before)
	defer clear(expect)
	s := sighting{slices.Clone(before), slices.Clone(before)}
	which, clean := c.indices(p), []int{p.block}
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
			which, clean = c.doubtful(p, which, got, expect), nil
		}
		clear(got)
	}
	if err := c.judge(p, before, expect, s); err != nil {
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
		addrs[j] = c.survey.addrs[i]
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
func (c *controller) indices(p part) []int {
	var out []int
	for i := range c.survey.extra {
		if p.last || i >= c.survey.status || c.survey.blockAt(c.family, i) == p.block {
			out = append(out, i)
		}
	}
	return out
}

// touched are the places of the words that p has bits in.
func (c *controller) touched(p part) []int {
	var out []int
	for w, v := range p.want {
		if v != 0 {
			out = append(out, c.survey.at[p.block]+w)
		}
	}
	if _, coded := p.coding.(plain); !coded {
		for i := c.survey.status; i < c.survey.extra; i++ {
			out = append(out, i)
		}
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
func (c *controller) doubtful(p part, which []int, got, expect []uint32) []int {
	out := c.touched(p)
	for j, i := range which {
		if got[j] != expect[i] && !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	return out
}

// expect is how the chip reads once p is burned.
func (c *controller) expect(p part, before []uint32) []uint32 {
	v := slices.Clone(before)
	for w, bits := range p.want {
		v[c.survey.at[p.block]+w] |= bits
	}
	for b, blk := range c.family.Efuse.Blocks {
		words := c.survey.words(c.family, v, b)
		for w := range words {
			if c.hides(v, b, w) {
				words[w] = 0
			}
		}
		if hiddenBlock(&c.family.Efuse, c.survey.words(c.family, v, 0), b) || b == p.block {
			for _, f := range blk.Faults {
				v[c.survey.status+f.Register] &^= f.Mask
			}
		}
	}
	return v
}

// hides reports whether a survey says that a word of a block is read-protected.
func (c *controller) hides(v []uint32, block, word int) bool {
	return hiddenWord(&c.family.Efuse, c.survey.words(c.family, v, 0), block, word)
}

// judge compares what was seen with what may be. Bits of p that are still
// missing are not its business.
func (c *controller) judge(p part, before, expect []uint32, s sighting) error {
	for i := range c.survey.status {
		b := c.survey.blockAt(c.family, i)
		mine, may := b == p.block, expect[i]
		if c.family.Efuse.Blocks[b].ReadDisable >= 0 && p.block == 0 {
			hidden := c.hides(s.all, b, i-c.survey.at[b])
			if hidden && s.any[i] != 0 {
				return fmt.Errorf("%w: %s still reads although RD_DIS bit %d is burned", ErrNotBurned, c.family.Efuse.Blocks[b].Name, c.family.Efuse.Blocks[b].ReadDisable)
			}
			if !hidden {
				may = before[i]
			}
		}
		// A chunk that the decoder cannot make out reads as anything. It is
		// burned again before it is judged.
		if mine && (p.once() || flagged(c.family, p.scheme, s.any[c.survey.status:], p.block)) {
			continue
		}
		extra, lost := s.any[i]&^may, before[i]&may&^s.all[i]
		name := c.fieldsOf(i, extra|lost)
		switch {
		case extra&s.all[i] != 0 && mine && p.block != 0:
			return fmt.Errorf("%w: it holds bits that the key has not", mismatch(c.family, p.block))
		case extra&s.all[i] != 0:
			return fmt.Errorf("%w: %s", ErrStray, name)
		case extra|lost != 0:
			return fmt.Errorf("%w: %s", ErrUnstable, name)
		}
	}
	return nil
}
