package efuse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"station/internal/chip"
)

// ready is a stage of a release plan, and a chip that has all before it.
func ready(t *testing.T, stage string) (*virtual, Stage) {
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
			_, err := Burn(t.Context(), c, 40, c.seen(), s)
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
	if _, err := Burn(t.Context(), c, 40, c.seen(), s); err != nil {
		t.Fatal(err)
	}
	if want := [8]uint32{2: 2}; c.programs != 2 || c.lastPgm[1] != want {
		t.Errorf("programmed %d times, last %08x", c.programs, c.lastPgm[1])
	}
}

func TestChipFaults(t *testing.T) {
	toggle := func(block, word int, bit uint32) func(c *virtual) {
		return func(c *virtual) {
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
		fault       func(c *virtual)
		want        error
	}{
		{"own bit flickers", StageCount, toggle(0, 0, 1<<22), ErrUnstable},
		{"own key bit flickers", StageKey, toggle(1, 7, 1), ErrUnstable},
		{"other bit flickers", StageCount, toggle(0, 0, 1<<5), ErrUnstable},
		{"other bit flickers later", StageCount, func(c *virtual) {
			n := 0
			c.flicker = func(b, w int) uint32 {
				if b == 0 && w == 0 && c.programs > 0 {
					if n++; n == 2 {
						return 1 << 5
					}
				}
				return 0
			}
		}, ErrUnstable},
		{"old bit flickers", StageCount, toggle(0, 0, 1<<7), ErrUnstable},
		{"neighbour burned", StageCount, func(c *virtual) {
			c.weak = func(b, w int, m uint32) uint32 {
				if b == 0 && w == 0 {
					return m | 1<<27
				}
				return m
			}
		}, ErrStray},
		{"neighbour in another block", StageCount, func(c *virtual) {
			c.weak = func(b, w int, m uint32) uint32 {
				if b == 3 && w == 2 {
					return m | 1
				}
				return m
			}
		}, ErrStray},
		{"bit too many in the key", StageKey, func(c *virtual) {
			c.weak = func(b, w int, m uint32) uint32 {
				if b == 1 && w == 0 {
					return 0xffff_ffff
				}
				return m
			}
		}, ErrKeyMismatch},
		{"hiding does not work", StageProtect, func(c *virtual) {
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
		{"a fuse gone", StageCount, func(c *virtual) {
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
			_, err := Burn(t.Context(), c, 40, c.seen(), s)
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
	have, err := Burn(t.Context(), c, 40, c.seen(), s)
	if err != nil || have.Holds(k) != MatchWhole || c.programs != 2 {
		t.Errorf("got %v, %v after %d program commands", err, have.Holds(k), c.programs)
	}
	c = newChip(t)
	c.raw[0][6] |= 1
	c.latchAll()
	c.garble = true // a decoder that corrects, and corrects wrongly
	c.weak = func(b, w int, m uint32) uint32 {
		if b == 1 && w == 5 && c.programs < 3 {
			return m & (m - 1)
		}
		return m
	}
	if have, err = Burn(t.Context(), c, 40, c.seen(), s); err != nil || have.Holds(k) != MatchWhole || c.programs != 3 {
		t.Errorf("garbled: got %v, %v after %d program commands", err, have.Holds(k), c.programs)
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
	if codedWord(k.Secret.Reveal(), 1, 1)&0x0100_0000 == 0 {
		t.Fatal("the key does not have that check bit")
	}
	if _, err = Burn(t.Context(), c, 40, c.seen(), s); !errors.Is(err, ErrNotBurned) {
		t.Errorf("a check bit is missing for ever: got %v", err)
	}
}

// Busy for a while is fine, busy for ever is not.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := ready(t, StageConfig)
		c.polls = 3 * polls
		if _, err := Burn(t.Context(), c, 40, c.seen(), s); err != nil {
			t.Error(err)
		}
		c, s = ready(t, StageConfig)
		c.polls = 1 << 30
		_, err := Burn(t.Context(), c, 40, c.seen(), s)
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
		c.frame = func(i int, _ []chip.RegWrite) (bool, error) {
			if i == n {
				cancel()
			}
			return true, nil
		}
		_, err := Burn(ctx, c, 40, c.seen(), s)
		switch {
		case n <= 2 && (!errors.Is(err, context.Canceled) || c.programs != 0): // latch, load
			t.Errorf("cancelled at frame %d: got %v after %d program commands", n, err, c.programs)
		case n > 2 && (err != nil || c.programs != 2): // the program command is on its way
			t.Errorf("cancelled at frame %d: got %v after %d program commands", n, err, c.programs)
		}
		c.clean()
	}
	ctx, cancel := context.WithCancel(t.Context())
	c, s := ready(t, StageKey)
	c.reading = func(n int, _, _ []uint32) error {
		if n == 2 { // what has been loaded is proved: the last moment
			cancel()
		}
		return nil
	}
	if _, err := Burn(ctx, c, 40, c.seen(), s); !errors.Is(err, context.Canceled) || c.programs != 0 {
		t.Errorf("got %v after %d program commands", err, c.programs)
	}
	c.clean()
	c, s = ready(t, StageKey)
	if _, err := Burn(ctx, c, 40, c.seen(), s); !errors.Is(err, context.Canceled) || c.frames != 0 {
		t.Errorf("got %v after %d frames", err, c.frames)
	}
}

// Done already: nothing is programmed, but the fuses are looked at.
func TestBurnAgain(t *testing.T) {
	c, s := ready(t, StageConfig)
	for range 2 {
		if _, err := Burn(t.Context(), c, 40, c.seen(), s); err != nil {
			t.Fatal(err)
		}
	}
	if c.programs != 2 {
		t.Errorf("programmed %d times", c.programs)
	}
	c, s = ready(t, StageConfig) // BLOCK1 is hidden
	k := testKey(t, 32)
	k.Compared = true
	if _, err := Burn(t.Context(), c, 40, c.seen(), Stage{Name: StageKey, Key: k}); err != nil || c.programs != 0 {
		t.Errorf("a hidden key: got %v after %d program commands", err, c.programs)
	}
	if _, err := Burn(t.Context(), c, 41, c.seen(), s); err == nil {
		t.Error("a crystal of 41 MHz was accepted")
	}
}

// The cost of a stage on the wire: one exchange for reading the fuses before it
// and five for each program command, in each of them no more registers than
// there is something to learn from, or to change.
func TestCost(t *testing.T) {
	for _, stage := range stageList {
		c, s := ready(t, stage)
		read, written := 0, 0
		c.reading = func(_ int, addrs, _ []uint32) error { read += len(addrs); return nil }
		c.frame = func(_ int, writes []chip.RegWrite) (bool, error) { written += len(writes); return true, nil }
		if _, err := Burn(t.Context(), c, 40, c.seen(), s); err != nil {
			t.Fatal(err)
		}
		if c.frames != 1+5*c.programs || c.reads != c.frames {
			t.Errorf("%s: %d frames and %d readings for %d program commands", stage, c.frames, c.reads, c.programs)
		}
		if read > 35+100*c.programs || written > 2+26*c.programs {
			t.Errorf("%s: %d registers read and %d written for %d program commands", stage, read, written, c.programs)
		}
	}
}
