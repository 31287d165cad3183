package esploader

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/bootlog"
	"station/internal/chip"
)

// oneByOne is a port whose lines do not change together.
type oneByOne struct{ *rom }

func (oneByOne) LinesTogether() bool { return false }

func TestResetIntoTheLoader(t *testing.T) {
	for name, c := range map[string]struct {
		port  func(*rom) Port
		lines string // DTR and RTS, step by step
		takes time.Duration
	}{
		"tight":   {func(r *rom) Port { return r }, "00 11 01 10 00 00", holdReset + shortHold + time.Millisecond},
		"classic": {func(r *rom) Port { return oneByOne{r} }, "00 01 11 10 00", holdReset + shortHold + time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newROM(t, 0)
			r.mode = "off"
			begin := time.Now()
			if err := New(c.port(r), Options{}).Connect(t.Context()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := strings.Join(r.lines, " "); got != c.lines {
				t.Errorf("%s: lines %s, want %s", name, got, c.lines)
			}
			if d := time.Since(begin); d != c.takes {
				t.Errorf("%s: took %v, want %v", name, d, c.takes)
			}
		})
	}
}

// A board whose EN rises slowly needs the longer hold, some only the other
// order of lines.
func TestStrategiesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newROM(t, 0)
		r.reset = "off"
		l := New(r, Options{})
		if err := l.Connect(t.Context()); !errors.Is(err, chip.ErrNoAnswer) {
			t.Errorf("got %v", err)
		}
		const tight, classic = "00 11 01 10 00 00", "00 01 11 10 00"
		want := strings.Join([]string{tight, tight, classic, classic, tight, tight, classic}, " ")
		if got := strings.Join(r.lines, " "); got != want {
			t.Errorf("lines %s, want %s", got, want)
		}
		if n := l.Stats().Commands["SYNC"]; n != connectTries*syncTries {
			t.Errorf("%d SYNCs, want %d", n, connectTries*syncTries)
		}
	})
}

func TestWhyAChipDoesNotAnswer(t *testing.T) {
	for mode, c := range map[string]struct {
		is   error
		says string
		soon bool
	}{
		"off":      {chip.ErrNoAnswer, "check power, cable and EN", false},
		"flash":    {chip.ErrBootMode, "BOOT", false},
		"deaf":     {chip.ErrDeaf, "U0RXD", false},
		"disabled": {chip.ErrDownloadDisabled, "fuse", true},
		"stub":     {chip.ErrNoAnswer, "loaded into the chip", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newROM(t, 0)
			r.reset, r.mode = mode, mode
			begin := time.Now()
			err := New(r, Options{}).Connect(t.Context())
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "connect: ") {
				t.Errorf("%s: got %v, want %v", mode, err, c.is)
			}
			if d := time.Since(begin); d > 10*time.Second || c.soon && d > 2*time.Second {
				t.Errorf("%s: took %v", mode, d)
			}
			if r.dtr || r.rts {
				t.Errorf("%s: lines are left asserted", mode)
			}
		})
	}
}

func TestNotAnESP32(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newROM(t, 0)
		r.regs[regMagic] = 0xfff0c101 // an ESP8266
		err := New(r, Options{}).Connect(t.Context())
		if !errors.Is(err, chip.ErrNotESP32) || !strings.Contains(err.Error(), "0xfff0c101") {
			t.Errorf("got %v", err)
		}
	})
}

// Without lines somebody else puts the chip into its loader.
func TestWaitForTheLoader(t *testing.T) {
	for name, opts := range map[string]Options{"manual": {Reset: ResetManual}, "no lines": {}} {
		synctest.Test(t, func(t *testing.T) {
			r := newROM(t, 0)
			r.mode, r.noLines = "off", name == "no lines"
			r.after(40*time.Second, func() { r.enter(true) })
			begin := time.Now()
			var hand []string
			opts.ByHand = func(what string, _ time.Time) {
				if len(hand) == 0 || hand[len(hand)-1] != what {
					hand = append(hand, what)
				}
			}
			if err := New(r, opts).Connect(t.Context()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if want := []string{ToLoader, ""}; !slices.Equal(hand, want) {
				t.Errorf("%s: a hand was asked for %q, want %q", name, hand, want)
			}
			if d := time.Since(begin); d < 40*time.Second || d > 41*time.Second {
				t.Errorf("%s: took %v", name, d)
			}
			if len(r.lines) != 0 {
				t.Errorf("%s: lines %v", name, r.lines)
			}
		})
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	for mode, want := range map[string]error{"off": chip.ErrNoAnswer, "flash": chip.ErrBootMode, "stub": errStub} {
		synctest.Test(t, func(t *testing.T) {
			r := newROM(t, 0)
			r.mode = "off"
			if mode == "stub" {
				r.mode = mode
			}
			if mode == "flash" {
				r.enter(false)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			err := New(r, Options{Reset: ResetManual}).Connect(ctx)
			if !errors.Is(err, want) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v", mode, err)
			}
		})
	}
}

func TestCancelledReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newROM(t, 0)
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		defer cancel()
		if err := New(r, Options{}).Connect(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if r.dtr || r.rts {
			t.Error("the chip is left in reset")
		}
	})
}

func TestPortGoneWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newROM(t, 0)
		r.reset = "off"
		r.after(time.Second, func() { r.gone = errors.New("no such device") })
		begin := time.Now()
		if err := New(r, Options{}).Connect(t.Context()); !errors.Is(err, chip.ErrPortGone) {
			t.Errorf("got %v", err)
		}
		if d := time.Since(begin); d > 2*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestBoot(t *testing.T) {
	const app = "I (9) cpu_start: Pro cpu up.\r\nREADY\r\n"
	r := newROM(t, 0)
	r.console = app
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		if err := l.SetBaud(ctx, 921600); err != nil {
			t.Fatal(err)
		}
		r.lines = nil
		r.say("text from before the reset\r\n")
		log, err := l.Boot(ctx, func(log []byte) bool {
			_, found := bootlog.Marker(log, "READY")
			return found
		})
		if err != nil || !strings.HasPrefix(string(log), "ets Jul 29") || !strings.HasSuffix(string(log), "READY\r\n") {
			t.Errorf("got %q, %v", log, err)
		}
		if got := strings.Join(r.lines, " "); got != "01 00" || r.hostBaud != InitialBaud {
			t.Errorf("lines %s, %d baud", got, r.hostBaud)
		}
	})
}

func TestBootThatNeverSaysIt(t *testing.T) {
	r := newROM(t, 0)
	r.console = "invalid header: 0xffffffff\r\n"
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		log, err := l.Boot(ctx, func([]byte) bool { return false })
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(string(log), "invalid header") {
			t.Errorf("got %q, %v", log, err)
		}
	})
	r = newROM(t, 0)
	r.console = strings.Repeat("x", 2*maxLog)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		if log, err := l.Boot(ctx, nil); err == nil || len(log) > maxLog+8192 {
			t.Errorf("endless console: %d bytes, %v", len(log), err)
		}
	})
}

func TestBootByHand(t *testing.T) {
	r := newROM(t, 0)
	r.console = "READY\r\n"
	var hand []string
	var until time.Time
	connected(t, r, Options{Reset: ResetManual, ByHand: func(what string, at time.Time) { hand, until = append(hand, what), at }}, func(ctx context.Context, l *Loader) {
		hand = nil
		r.after(20*time.Second, func() {
			if !slices.Equal(hand, []string{ToApp}) {
				t.Errorf("a hand is asked for %q, want %q", hand, ToApp)
			}
			if end, _ := ctx.Deadline(); !until.Equal(end) {
				t.Errorf("a hand is waited for until %v, want %v", until, end)
			}
			r.enter(false)
		})
		log, err := l.Boot(ctx, func(log []byte) bool { return strings.Contains(string(log), "READY") })
		if err != nil || !strings.HasPrefix(string(log), "ets") || len(r.lines) != 0 {
			t.Errorf("got %q, %v, lines %v", log, err, r.lines)
		}
		if hand[len(hand)-1] != "" {
			t.Errorf("a hand is still asked for %q", hand[len(hand)-1])
		}
	})
}

func TestBootOfAPulledDevice(t *testing.T) {
	r := newROM(t, 0)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		r.after(time.Second, func() { r.gone = errors.New("hang-up") })
		log, err := l.Boot(ctx, func([]byte) bool { return false })
		if !errors.Is(err, chip.ErrPortGone) || len(log) == 0 {
			t.Errorf("got %q, %v", log, err)
		}
	})
}

func TestConsoleIsBounded(t *testing.T) {
	var c console
	for range 100 {
		for _, b := range []byte(strings.Repeat("x", 999) + "\n") {
			c.add(b)
		}
	}
	for _, b := range []byte("rst:0x10 (RTCWDT_RTC_RESET)\n") {
		c.add(b)
	}
	if len(c.text) > 2*maxConsole || c.restart() != "rst:0x10 RTCWDT_RTC_RESET" {
		t.Errorf("%d bytes, %q", len(c.text), c.restart())
	}
	if err := c.silence(); !errors.Is(err, chip.ErrNoAnswer) && !errors.Is(err, chip.ErrBootMode) {
		t.Errorf("got %v", err)
	}
}

func TestClose(t *testing.T) {
	r := newROM(t, 0)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := l.ReadReg(ctx, regMagic); !errors.Is(err, chip.ErrPortGone) {
			t.Errorf("after close: got %v", err)
		}
	})
}
