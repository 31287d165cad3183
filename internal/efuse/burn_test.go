package efuse

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"station/internal/esp32"
)

var errCut = fmt.Errorf("cut: %w", esp32.ErrPortGone)

// tear cuts the supply at one of the next frames, in the middle of programming
// if that is one: any subset of the loaded bits takes.
func tear(c *chip, rnd *rand.Rand) {
	at, inside := 1+rnd.IntN(12), rnd.IntN(2) == 0
	dead := false
	c.frame = func(n int, writes []esp32.RegWrite) (bool, error) {
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

func isProgram(writes []esp32.RegWrite) bool {
	return slices.ContainsFunc(writes, func(w esp32.RegWrite) bool { return w.Addr == regConf && w.Value == opProgram })
}

// stage is stage i of a release plan, on a chip that has all before it.
func ready(t *testing.T, stage string) (*chip, Stage) {
	t.Helper()
	c := newChip(t)
	p := mustNew(t, Options{Mode: Release, Fuses: map[string]uint32{"UART_DOWNLOAD_DIS": 1}}).WithKey(testKey(t, 32))
	for i, s := range p {
		if s.Name == stage {
			c.frames, c.reads, c.programs = 0, 0, 0
			return c, s
		}
		if err := c.burnAll(p[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("no stage %s", stage)
	return nil, Stage{}
}

var stageList = []string{StageKey, StageProtect, StageConfig, StageCount, StageUART}

// Each loss, doubling and change of any one frame, in any stage: the burn comes
// out right, or nothing but bits of the stage is burned and a second call
// finishes it.
func TestWireFaults(t *testing.T) {
	faults := map[string]func(c *chip, at int){
		"frame lost": func(c *chip, at int) {
			c.frame = func(n int, _ []esp32.RegWrite) (bool, error) { return n != at, lostAt(n, at) }
		},
		"reply lost": func(c *chip, at int) {
			c.frame = func(n int, _ []esp32.RegWrite) (bool, error) { return true, lostAt(n, at) }
		},
		"refused": func(c *chip, at int) {
			c.frame = func(n int, _ []esp32.RegWrite) (bool, error) {
				if n == at {
					return false, esp32.ErrRefused
				}
				return true, nil
			}
		},
		"value changed on the wire": func(c *chip, at int) {
			c.frame = func(n int, w []esp32.RegWrite) (bool, error) {
				if n == at {
					w[len(w)/2].Value ^= 0x8100
				}
				return true, nil
			}
		},
		"address changed on the wire": func(c *chip, at int) {
			c.frame = func(n int, w []esp32.RegWrite) (bool, error) {
				if n == at {
					w[len(w)/2].Addr ^= 0x40
				}
				return true, nil
			}
		},
		"mask changed on the wire": func(c *chip, at int) {
			c.frame = func(n int, w []esp32.RegWrite) (bool, error) {
				if n == at {
					w[len(w)-1].Mask ^= 0x3
				}
				return true, nil
			}
		},
		"reading lost": func(c *chip, at int) {
			c.reading = func(n int, _, _ []uint32) error { return lostAt(n, at) }
		},
		"reading changed": func(c *chip, at int) {
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
				want := *c
				if _, err := Burn(t.Context(), &want, 40, s); err != nil {
					t.Fatal(err)
				}
				fault(c, at)
				_, err := Burn(t.Context(), c, 40, s)
				if err != nil && !errors.Is(err, ErrRegisters) && !errors.Is(err, ErrUnstable) {
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
				if _, err := Burn(t.Context(), c, 40, s); err != nil || c.raw != want.raw {
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
		return esp32.ErrNoAnswer
	}
	return nil
}

// A program command whose reply is lost is not simply given again.
func TestProgramReplyLost(t *testing.T) {
	for _, executed := range []bool{true, false} {
		c, s := ready(t, StageKey)
		lost := false
		c.frame = func(_ int, w []esp32.RegWrite) (bool, error) {
			if !isProgram(w) || lost {
				return true, nil
			}
			lost = true
			return executed, esp32.ErrNoAnswer
		}
		if _, err := Burn(t.Context(), c, 40, s); err != nil {
			t.Fatal(err)
		}
		if c.programs != 1 {
			t.Errorf("executed %v: programmed %d times", executed, c.programs)
		}
	}
}

// A register that keeps a wrong bit is never programmed from.
func TestWrongWDATANeverProgrammed(t *testing.T) {
	for name, addr := range map[string]uint32{
		"own block": wdata[1] + 8, "other block": wdata[3] + 28, "timing": regClk, "divider": regDac,
	} {
		c, s := ready(t, StageKey)
		c.frame = func(_ int, w []esp32.RegWrite) (bool, error) {
			for i := range w {
				if w[i].Addr == addr && !isProgram(w) && len(w) > 20 {
					w[i].Value ^= 1
				}
			}
			return true, nil
		}
		_, err := Burn(t.Context(), c, 40, s)
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
	if _, err := Burn(t.Context(), c, 40, s); err != nil {
		t.Fatal(err)
	}
	before[0][0] |= 127 << 20
	if c.raw != before {
		t.Errorf("got %08x, want %08x", c.raw, before)
	}
	c.clean()
}

func TestWeakBits(t *testing.T) {
	for _, tc := range []struct {
		takes int // program command at which the weak bit takes
		want  error
	}{{2, nil}, {4, nil}, {5, ErrNotBurned}} {
		for _, stage := range stageList {
			c, s := ready(t, stage)
			c.weak = func(_, _ int, mask uint32) uint32 {
				if c.programs < tc.takes {
					return mask & (mask - 1)
				}
				return mask
			}
			_, err := Burn(t.Context(), c, 40, s)
			if !errors.Is(err, tc.want) {
				t.Errorf("%s, takes at %d: got %v, want %v", stage, tc.takes, err, tc.want)
			}
			if parts := map[string]int{StageConfig: 2}[stage]; c.programs > 1+reburns+max(0, parts-1) {
				t.Errorf("%s: programmed %d times", stage, c.programs)
			}
			c.clean()
		}
	}
}

// Burning again programs only what is missing.
func TestReburnsOnlyMissing(t *testing.T) {
	c, s := ready(t, StageKey)
	c.weak = func(_, word int, mask uint32) uint32 {
		if c.programs == 1 && word == 2 {
			return mask &^ 0x2
		}
		return mask
	}
	if _, err := Burn(t.Context(), c, 40, s); err != nil {
		t.Fatal(err)
	}
	if want := [8]uint32{2: 2}; c.programs != 2 || c.lastPgm[1] != want {
		t.Errorf("programmed %d times, last %08x", c.programs, c.lastPgm[1])
	}
}

func TestChipFaults(t *testing.T) {
	toggle := func(block, word int, bit uint32) func(c *chip) {
		return func(c *chip) {
			n := uint32(0)
			c.flicker = func(b, w int) uint32 {
				if b == block && w == word && c.programs > 0 {
					n++
					return n % 2 * bit
				}
				return 0
			}
		}
	}
	for _, tc := range []struct {
		name, stage string
		fault       func(c *chip)
		want        error
	}{
		{"own bit flickers", StageCount, toggle(0, 0, 1<<22), ErrUnstable},
		{"own key bit flickers", StageKey, toggle(1, 7, 1), ErrUnstable},
		{"other bit flickers", StageCount, toggle(0, 0, 1<<5), ErrUnstable},
		{"old bit flickers", StageCount, toggle(0, 0, 1<<7), ErrUnstable},
		{"neighbour burned", StageCount, func(c *chip) {
			c.weak = func(b, w int, m uint32) uint32 {
				if b == 0 && w == 0 {
					return m | 1<<27
				}
				return m
			}
		}, ErrStray},
		{"neighbour in another block", StageCount, func(c *chip) {
			c.weak = func(b, w int, m uint32) uint32 {
				if b == 3 && w == 2 {
					return m | 1
				}
				return m
			}
		}, ErrStray},
		{"bit too many in the key", StageKey, func(c *chip) {
			c.weak = func(b, w int, m uint32) uint32 {
				if b == 1 && w == 0 {
					return 0xffff_ffff
				}
				return m
			}
		}, ErrKeyMismatch},
		{"hiding does not work", StageProtect, func(c *chip) {
			c.flicker = func(b, w int) uint32 {
				if b == 0 && w == 0 && c.programs > 0 {
					return 1 << 16 & ^c.raw[0][0] // claims to be hidden, is not
				}
				return 0
			}
			c.weak = func(b, w int, m uint32) uint32 {
				if b == 0 && w == 0 {
					return m &^ (1 << 16)
				}
				return m
			}
		}, ErrNotBurned},
		{"a fuse gone", StageCount, func(c *chip) {
			c.flicker = func(b, w int) uint32 {
				if b == 0 && w == 6 && c.programs > 0 {
					return 4
				}
				return 0
			}
		}, ErrUnstable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, s := ready(t, tc.stage)
			tc.fault(c)
			_, err := Burn(t.Context(), c, 40, s)
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if s.Key != nil && err != nil && strings.Contains(fmt.Sprint(err), fmt.Sprintf("%x", s.Key.Secret.Reveal()[:4])) {
				t.Error("the error tells the key")
			}
			c.clean()
		})
	}
}

// A chunk of the 3/4 coding with a weak bit is burned whole again.
func TestWeakChunk(t *testing.T) {
	c := newChip(t)
	c.raw[0][6] |= 1
	c.latchAll()
	k := testKey(t, 24)
	s := mustNew(t, Options{Mode: Release}).WithKey(k).Only(StageKey)[0]
	c.weak = func(b, w int, m uint32) uint32 {
		if b == 1 && w == 5 && c.programs == 1 {
			return m & (m - 1)
		}
		return m
	}
	have, err := Burn(t.Context(), c, 40, s)
	if err != nil || have.Holds(k) != MatchWhole || c.programs != 2 {
		t.Errorf("got %v, %v after %d program commands", err, have.Holds(k), c.programs)
	}
	c = newChip(t)
	c.raw[0][6] |= 1
	c.latchAll()
	c.weak = func(b, w int, m uint32) uint32 {
		if b == 1 && w == 1 {
			return m &^ 0x0100_0000 // a check bit that never takes
		}
		return m
	}
	if have, err = Burn(t.Context(), c, 40, s); codedWord(k.Secret.Reveal(), 1, 1)&0x0100_0000 != 0 && !errors.Is(err, ErrNotBurned) {
		t.Errorf("a check bit is missing for ever: got %v", err)
	}
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
	if _, err := Burn(t.Context(), c, 40, s); !errors.Is(err, ErrUnstable) || c.programs != 1 {
		t.Errorf("got %v after %d program commands", err, c.programs)
	}
	c.clean()
}

// A port that goes away ends the burn at once, wherever that happens.
func TestPortGone(t *testing.T) {
	for at := 1; at <= 6; at++ {
		c, s := ready(t, StageKey)
		c.frame = func(n int, _ []esp32.RegWrite) (bool, error) {
			if n >= at {
				return false, esp32.ErrPortGone
			}
			return true, nil
		}
		if _, err := Burn(t.Context(), c, 40, s); !errors.Is(err, esp32.ErrPortGone) && at < 6 {
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
		c.frame = func(n int, _ []esp32.RegWrite) (bool, error) {
			silent = silent || n >= at
			if silent {
				return false, esp32.ErrNoAnswer
			}
			return true, nil
		}
		c.reading = func(int, []uint32, []uint32) error {
			if silent {
				return esp32.ErrNoAnswer
			}
			return nil
		}
		_, err := Burn(t.Context(), c, 40, s)
		if !errors.Is(err, esp32.ErrNoAnswer) {
			t.Errorf("silent from frame %d: got %v", at, err)
			continue
		}
		if warned := strings.Contains(err.Error(), "could not be cleared"); warned != (at >= 2 && at <= 4) {
			t.Errorf("silent from frame %d: got %v", at, err)
		}
	}
}

// short answers with fewer registers than asked.
type short struct{ *chip }

func (s short) ReadRegs(ctx context.Context, addrs ...uint32) ([]uint32, error) {
	return s.chip.ReadRegs(ctx, addrs[1:]...)
}

func TestShortAnswers(t *testing.T) {
	c, s := ready(t, StageKey)
	if _, err := Burn(t.Context(), short{c}, 40, s); !errors.Is(err, ErrRegisters) || c.programs != 0 {
		t.Errorf("got %v", err)
	}
	if _, err := Read(t.Context(), short{c}); err == nil {
		t.Error("Read took 32 registers for 33")
	}
}

// Busy for a while is fine, busy for ever is not.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := ready(t, StageConfig)
		c.polls = 5
		if _, err := Burn(t.Context(), c, 40, s); err != nil {
			t.Error(err)
		}
		c, s = ready(t, StageConfig)
		c.polls = 1 << 30
		_, err := Burn(t.Context(), c, 40, s)
		if !errors.Is(err, ErrRegisters) || !strings.Contains(err.Error(), "busy") || !strings.Contains(err.Error(), "could not be cleared") {
			t.Errorf("got %v", err)
		}
	})
}

// A context ends a burn before its first program command, not after it.
func TestCancel(t *testing.T) {
	for n := 1; n <= 8; n++ {
		c, s := ready(t, StageConfig) // two program commands
		ctx, cancel := context.WithCancel(t.Context())
		c.frame = func(i int, _ []esp32.RegWrite) (bool, error) {
			if i == n {
				cancel()
			}
			return true, nil
		}
		_, err := Burn(ctx, c, 40, s)
		switch {
		case n <= 2 && (!errors.Is(err, context.Canceled) || c.programs != 0): // latch, load
			t.Errorf("cancelled at frame %d: got %v after %d program commands", n, err, c.programs)
		case n > 2 && (err != nil || c.programs != 2): // the program command is on its way
			t.Errorf("cancelled at frame %d: got %v after %d program commands", n, err, c.programs)
		}
		c.clean()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, s := ready(t, StageKey)
	if _, err := Burn(ctx, c, 40, s); !errors.Is(err, context.Canceled) || c.frames != 0 {
		t.Errorf("got %v after %d frames", err, c.frames)
	}
}

// Done already: nothing is programmed, but the fuses are looked at.
func TestBurnAgain(t *testing.T) {
	c, s := ready(t, StageConfig)
	for range 2 {
		if _, err := Burn(t.Context(), c, 40, s); err != nil {
			t.Fatal(err)
		}
	}
	if c.programs != 2 {
		t.Errorf("programmed %d times", c.programs)
	}
	if _, err := Burn(t.Context(), c, 41, s); err == nil {
		t.Error("a crystal of 41 MHz was accepted")
	}
}

// The cost of a stage on the wire: a frame or a batch of reads is one round trip.
func TestRoundTrips(t *testing.T) {
	for _, stage := range stageList {
		c, s := ready(t, stage)
		if _, err := Burn(t.Context(), c, 40, s); err != nil {
			t.Fatal(err)
		}
		parts := max(1, c.programs)
		if got, limit := c.frames+c.reads, 2+10*parts; got > limit {
			t.Errorf("%s: %d round trips for %d program commands, want at most %d", stage, got, parts, limit)
		}
	}
}
