package efuse

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
)

var errCut = fmt.Errorf("cut: %w", chip.ErrPortGone)

// tear cuts the supply at one of the next frames, in the middle of programming
// if that is one: any subset of the loaded bits takes.
func tear(c *virtual, rnd *rand.Rand) {
	at, inside := 1+rnd.IntN(12), rnd.IntN(2) == 0
	dead := false
	c.frame = func(n int, writes []chip.RegWrite) (bool, error) {
		if dead || n >= at {
			first := !dead
			dead = true
			if first && inside {
				c.weak = func(_, _ int, mask uint32) uint32 { return mask & rnd.Uint32() }
				return true, errCut
			}
			return false, errCut
		}
		return true, nil
	}
	c.reading = func(int, []uint32, []uint32) error {
		if dead {
			return errCut
		}
		return nil
	}
	c.frames = 0
}

func isProgram(writes []chip.RegWrite) bool {
	return slices.ContainsFunc(writes, func(w chip.RegWrite) bool { return w.Addr == regConf && w.Value == opProgram })
}

// Each loss, doubling and change of any one frame, in any stage: the burn comes
// out right, or nothing but bits of the stage is burned and a second call
// finishes it.
// An error says what was read back after it, and never calls a fuse unchanged
// that is not.
func TestWhatABurnHasChanged(t *testing.T) {
	seen := map[Change]int{}
	for at := 1; at < 12; at++ {
		for times := 1; times < 40; times += 3 {
			c, s := ready(t, StageKey)
			have := c.seen()
			before := c.raw
			c.frame = func(n int, _ []chip.RegWrite) (bool, error) {
				if n >= at && n < at+times {
					return n%2 == 1, chip.ErrNoAnswer
				}
				return true, nil
			}
			_, err := Burn(t.Context(), c, 40, have, s)
			if err == nil {
				continue
			}
			got := ChangeOf(err)
			seen[got]++
			if got == Unchanged && c.raw != before || got == Changed && c.raw == before {
				t.Errorf("%d frames lost from %d on: %v: %v", times, at, got, err)
			}
		}
	}
	if seen[Unchanged] == 0 || seen[Changed] == 0 || seen[Unknown] == 0 {
		t.Errorf("not all was tried: %v", seen)
	}
}

func TestWireFaults(t *testing.T) {
	faults := map[string]func(c *virtual, at int){
		"frame lost": func(c *virtual, at int) {
			c.frame = func(n int, _ []chip.RegWrite) (bool, error) { return n != at, lostAt(n, at) }
		},
		"reply lost": func(c *virtual, at int) {
			c.frame = func(n int, _ []chip.RegWrite) (bool, error) { return true, lostAt(n, at) }
		},
		"refused": func(c *virtual, at int) {
			c.frame = func(n int, _ []chip.RegWrite) (bool, error) {
				if n == at {
					return false, chip.ErrRefused
				}
				return true, nil
			}
		},
		"value changed on the wire": func(c *virtual, at int) {
			c.frame = func(n int, w []chip.RegWrite) (bool, error) {
				if n == at {
					w[len(w)/2].Value ^= 0x8100
				}
				return true, nil
			}
		},
		"address changed on the wire": func(c *virtual, at int) {
			c.frame = func(n int, w []chip.RegWrite) (bool, error) {
				if n == at {
					w[len(w)/2].Addr ^= 0x40
				}
				return true, nil
			}
		},
		"command kept from the chip": func(c *virtual, at int) {
			c.frame = func(n int, w []chip.RegWrite) (bool, error) {
				if n == at {
					w[len(w)-1].Addr ^= 0x40
				}
				return true, nil
			}
		},
		"mask changed on the wire": func(c *virtual, at int) {
			c.frame = func(n int, w []chip.RegWrite) (bool, error) {
				if n == at {
					w[len(w)-1].Mask ^= 0x3
				}
				return true, nil
			}
		},
		"reading lost": func(c *virtual, at int) {
			c.reading = func(n int, _, _ []uint32) error { return lostAt(n, at) }
		},
		"reading refused": func(c *virtual, at int) {
			c.reading = func(n int, _, _ []uint32) error {
				if n == at {
					return chip.ErrRefused
				}
				return nil
			}
		},
		"reading changed": func(c *virtual, at int) {
			c.reading = func(n int, a, v []uint32) error {
				if n == at {
					v[len(v)/2] ^= 0x10
				}
				return nil
			}
		},
	}
	for name, fault := range faults {
		for _, stage := range stageList {
			for at := 1; ; at++ {
				c, s := ready(t, stage)
				want := c.clone()
				if _, err := Burn(t.Context(), want, 40, want.seen(), s); err != nil {
					t.Fatal(err)
				}
				fault(c, at)
				_, err := Burn(t.Context(), c, 40, c.seen(), s)
				if err != nil && !errors.Is(err, ErrRegisters) &&
					(name != "reading lost" || !errors.Is(err, chip.ErrNoAnswer)) {
					t.Fatalf("%s %d in %s: %v", name, at, stage, err)
				}
				for b := range 4 {
					for w := range 8 {
						if stray := c.raw[b][w] &^ want.raw[b][w]; stray != 0 {
							t.Fatalf("%s %d in %s: stray bits %08x in BLOCK%d", name, at, stage, stray, b)
						}
					}
				}
				c.clean()
				beyond := c.frames < at && c.reads < at
				c.frame, c.reading = nil, nil
				if s.Compare != nil {
					s.Compare.Compared = true
				}
				if _, err := Burn(t.Context(), c, 40, c.seen(), s); err != nil || c.raw != want.raw {
					t.Fatalf("%s %d in %s, again: %v", name, at, stage, err)
				}
				if beyond {
					break
				}
			}
		}
	}
}

func lostAt(n, at int) error {
	if n == at {
		return chip.ErrNoAnswer
	}
	return nil
}

// A program command whose reply is lost is not simply given again.
func TestProgramReplyLost(t *testing.T) {
	for _, executed := range []bool{true, false} {
		c, s := ready(t, StageKey)
		lost := false
		c.frame = func(_ int, w []chip.RegWrite) (bool, error) {
			if !isProgram(w) || lost {
				return true, nil
			}
			lost = true
			return executed, chip.ErrNoAnswer
		}
		if _, err := Burn(t.Context(), c, 40, c.seen(), s); err != nil {
			t.Fatal(err)
		}
		if c.programs != 1 {
			t.Errorf("executed %v: programmed %d times", executed, c.programs)
		}
	}
}

// A chip that is not as it was recorded is not burned: another chip in the
// fixture, a fuse burned since, even if the command to read it anew is lost.
func TestChangedChip(t *testing.T) {
	for name, change := range map[string]func(c *virtual){
		"other chip":  func(c *virtual) { c.raw[0][1] ^= 1; c.latchAll() },
		"fuse burned": func(c *virtual) { c.raw[0][6] |= 1 << 6 },
		"user data":   func(c *virtual) { c.raw[3][7] = 1 },
		"digest":      func(c *virtual) { c.raw[2][7] = 1 },
		"key burned":  func(c *virtual) { c.raw[1][7] = 1 },
	} {
		c, s := ready(t, StageKey)
		c.regs[regConf] = opRead // as an earlier burn left it
		c.frame = func(n int, _ []chip.RegWrite) (bool, error) { return n > 1, lostAt(n, 1) }
		have := c.seen()
		change(c)
		if _, err := Burn(t.Context(), c, 40, have, s); !errors.Is(err, ErrChanged) || c.programs != 0 {
			t.Errorf("%s: got %v after %d program commands", name, err, c.programs)
		}
	}
}

// A bit changed on the wire, either way, in what is read before the burn.
func TestChangedReply(t *testing.T) {
	for i := range surveySize {
		for _, bit := range []uint32{1 << 3, 1 << 9, 1 << 31} {
			c, s := ready(t, StageCount)
			c.reading = func(n int, addrs, v []uint32) error {
				if at := slices.Index(addrs, surveyAddrs[i]); n == 1 && at >= 0 {
					v[at] ^= bit
				}
				return nil
			}
			if _, err := Burn(t.Context(), c, 40, c.seen(), s); err != nil {
				t.Errorf("word %d, bit %08x: %v", i, bit, err)
			}
		}
	}
}

// A register that keeps a wrong bit is never programmed from.
func TestWrongWDATANeverProgrammed(t *testing.T) {
	for name, addr := range map[string]uint32{
		"own block": wdata[1] + 8, "other block": wdata[3] + 28, "timing": regClk, "divider": regDac,
	} {
		c, s := ready(t, StageKey)
		c.regs[addr] ^= 1
		c.frame = func(_ int, w []chip.RegWrite) (bool, error) {
			for i := range w {
				if w[i].Addr == addr {
					w[i].Value ^= 1
				}
			}
			return true, nil
		}
		_, err := Burn(t.Context(), c, 40, c.seen(), s)
		if !errors.Is(err, ErrRegisters) || c.programs != 0 {
			t.Errorf("%s: got %v after %d program commands", name, err, c.programs)
		}
	}
}

// Words that somebody left in WDATA are not burned along.
func TestStaleWDATA(t *testing.T) {
	c, s := ready(t, StageCount)
	for b := range 4 {
		for w := range size(b) {
			c.regs[wdata[b]+4*uint32(w)] = 0xffff_ffff
		}
	}
	before := c.raw
	if _, err := Burn(t.Context(), c, 40, c.seen(), s); err != nil {
		t.Fatal(err)
	}
	before[0][0] |= 127 << 20
	if c.raw != before {
		t.Errorf("got %08x, want %08x", c.raw, before)
	}
	c.clean()
}

// Reads that never agree, even of one latch, are no ground to act on.
func TestReadRegistersChange(t *testing.T) {
	c, s := ready(t, StageCount)
	c.reading = func(n int, a, v []uint32) error {
		for i := range a {
			if a[i] == rdata[0] && c.programs > 0 {
				v[i] ^= uint32(n) << 8
			}
		}
		return nil
	}
	if _, err := Burn(t.Context(), c, 40, c.seen(), s); !errors.Is(err, ErrUnstable) || c.programs != 1 {
		t.Errorf("got %v after %d program commands", err, c.programs)
	}
	c.clean()
}

// A port that goes away ends the burn at once, wherever that happens.
func TestPortGone(t *testing.T) {
	for at := 1; at <= 6; at++ {
		c, s := ready(t, StageKey)
		c.frame = func(n int, _ []chip.RegWrite) (bool, error) {
			if n >= at {
				return false, chip.ErrPortGone
			}
			return true, nil
		}
		if _, err := Burn(t.Context(), c, 40, c.seen(), s); !errors.Is(err, chip.ErrPortGone) && at < 6 {
			t.Errorf("gone at frame %d: got %v", at, err)
		}
		if c.frames > at {
			t.Errorf("gone at frame %d: %d frames sent", at, c.frames)
		}
	}
}

// A chip that answers nothing is given up after a few attempts, with a hint if
// a key may stand in its registers.
func TestSilence(t *testing.T) {
	for at := 1; at <= 6; at++ {
		c, s := ready(t, StageKey)
		silent := false
		c.frame = func(n int, _ []chip.RegWrite) (bool, error) {
			silent = silent || n >= at
			if silent {
				return false, chip.ErrNoAnswer
			}
			return true, nil
		}
		c.reading = func(int, []uint32, []uint32) error {
			if silent {
				return chip.ErrNoAnswer
			}
			return nil
		}
		_, err := Burn(t.Context(), c, 40, c.seen(), s)
		if !errors.Is(err, chip.ErrNoAnswer) {
			t.Errorf("silent from frame %d: got %v", at, err)
			continue
		}
		if warned := strings.Contains(err.Error(), "could not be cleared"); warned != (at >= 2 && at <= 4) {
			t.Errorf("silent from frame %d: got %v", at, err)
		}
	}
}

// short answers with fewer registers than asked.
type short struct{ *virtual }

func (s short) ReadRegs(ctx context.Context, addrs ...uint32) ([]uint32, error) {
	return s.virtual.ReadRegs(ctx, addrs[1:]...)
}

func (s short) WriteRead(ctx context.Context, writes []chip.RegWrite, addrs ...uint32) ([]uint32, error) {
	return s.virtual.WriteRead(ctx, writes, addrs[1:]...)
}

func TestShortAnswers(t *testing.T) {
	c, s := ready(t, StageKey)
	if _, err := Burn(t.Context(), short{c}, 40, c.seen(), s); !errors.Is(err, ErrRegisters) || c.programs != 0 {
		t.Errorf("got %v", err)
	}
	if _, err := Read(t.Context(), chip.ESP32, short{c}); err == nil {
		t.Error("Read took 32 registers for 33")
	}
}

// spy keeps every slice that crosses the interface.
type spy struct {
	*virtual
	reads  [][]uint32
	writes [][]chip.RegWrite
}

func (s *spy) ReadRegs(ctx context.Context, addrs ...uint32) ([]uint32, error) {
	v, err := s.virtual.ReadRegs(ctx, addrs...)
	s.reads = append(s.reads, v)
	return v, err
}

func (s *spy) WriteRead(ctx context.Context, writes []chip.RegWrite, addrs ...uint32) ([]uint32, error) {
	s.writes = append(s.writes, writes)
	v, err := s.virtual.WriteRead(ctx, writes, addrs...)
	s.reads = append(s.reads, v)
	return v, err
}

// What crossed the interface is overwritten when Burn returns, well or not.
func TestNoKeyWordsKept(t *testing.T) {
	for _, stage := range []string{StageKey, StageProtect} {
		for takes := range 3 {
			c, s := ready(t, stage)
			c.weak = func(_, _ int, mask uint32) uint32 {
				if c.programs <= 4*takes {
					return mask & 0x7fff_ffff
				}
				return mask
			}
			spied := &spy{virtual: c}
			have, err := Burn(t.Context(), spied, 40, c.seen(), s)
			have.Wipe()
			k := s.Key
			if k == nil {
				k = s.Compare
			}
			for w := range 8 {
				word := keyWord(k.Secret.Reveal(), w)
				for i, v := range spied.reads {
					if slices.Contains(v, word) {
						t.Fatalf("%s (%v): reading %d still holds key word %d", stage, err, i, w)
					}
				}
				for i, v := range spied.writes {
					if slices.ContainsFunc(v, func(r chip.RegWrite) bool { return r.Value == word }) {
						t.Fatalf("%s (%v): frame %d still holds key word %d", stage, err, i, w)
					}
				}
			}
		}
	}
}
