package flow_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/station"
)

// badAdapter is one that does not do well what is faster than good.
type badAdapter struct {
	*sim.Port
	good   int
	spoils func(frame []byte, n int) bool // changes the n-th long frame
	deaf   bool                           // nothing arrives at all
	broken bool                           // nor ever again, once a faster rate was set

	baud, frames int
}

func (a *badAdapter) SetBaud(baud int) error {
	a.baud = baud
	return a.Port.SetBaud(baud)
}

func (a *badAdapter) Write(p []byte) (int, error) {
	fast := a.baud > a.good
	a.deaf = a.deaf || a.broken && fast
	switch {
	case a.deaf && (fast || a.broken):
		return len(p), nil
	case fast && a.spoils != nil && len(p) > 300:
		if a.frames++; a.spoils(p, a.frames) {
			p = append([]byte(nil), p...)
			p[len(p)/2] ^= 0x11
		}
	}
	return a.Port.Write(p)
}

// visitBy is a visit by way of an adapter, on a clock of its own. It returns
// what the ends of connect and flash said of the wire.
func (s *bench) visitBy(t *testing.T, n int, rates func(string) flow.BaudRates, adapter badAdapter) (out flow.Outcome, connect, flash flow.Event, used sim.Meter) {
	t.Helper()
	s.Events = nil
	synctest.Test(t, func(t *testing.T) {
		c, err := sim.New(sim.Options{MAC: chip.MAC(station.VirtualMAC(n))})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if adapter.Port, err = c.Open(); err != nil {
			t.Fatal(err)
		}
		r := s.Runner()
		r.Rates = rates
		out = r.Device(t.Context(), "1", "sim://1", esploader.New(&adapter, esploader.Options{}))
		used = c.Meter()
	})
	for _, e := range s.Events {
		if e.Event == flow.StepDone && e.Step == "connect" {
			connect = e
		}
		if e.Event == flow.StepDone && e.Step == "flash" {
			flash = e
		}
	}
	return out, connect, flash, used
}

func smallStation(t *testing.T) *bench {
	t.Helper()
	return newBench(t, "../../fixtures/small/job.toml")
}

func TestAdapterThatCannotDoTheRate(t *testing.T) {
	for _, good := range []int{460800, flow.BaseBaud} {
		t.Run(fmt.Sprint(good), func(t *testing.T) {
			s := smallStation(t)
			path := filepath.Join(t.TempDir(), "ledger.db")
			for n := range 2 {
				out, connect, _, used := s.visitBy(t, n, station.OpenRates(path).At, badAdapter{good: good, deaf: true})
				flowtest.WantVerdict(t, out, record.Pass, "")
				if connect.Baud != good || connect.Message == "" {
					t.Errorf("visit %d: at %d baud: %q, want %d", n, connect.Baud, connect.Message, good)
				}
				// What the first visit has found out the next one knows.
				if n > 0 && used.Commands["CHANGE_BAUDRATE"] > 1 {
					t.Errorf("visit %d: %d changes of the rate", n, used.Commands["CHANGE_BAUDRATE"])
				}
			}
		})
	}
}

// Blocks that go wrong now and then are sent again; where that is too often,
// the next device is spoken to more slowly.
func TestAdapterThatMakesErrors(t *testing.T) {
	s := newBench(t, flowtest.ExampleJob)
	rates := station.OpenRates(filepath.Join(t.TempDir(), "ledger.db"))
	adapter := badAdapter{good: 460800, spoils: func(_ []byte, n int) bool { return n%40 == 0 }}
	out, connect, flash, _ := s.visitBy(t, 1, rates.At, adapter)
	flowtest.WantVerdict(t, out, record.Pass, "")
	if connect.Baud != 921600 || flash.Retries < 4 {
		t.Errorf("first: at %d baud, %d blocks sent again", connect.Baud, flash.Retries)
	}
	out, connect, flash, _ = s.visitBy(t, 2, rates.At, adapter)
	flowtest.WantVerdict(t, out, record.Pass, "")
	if connect.Baud != 460800 || !strings.Contains(connect.Message, "921600 baud made errors here") || flash.Retries != 0 {
		t.Errorf("second: at %d baud (%s), %d blocks sent again", connect.Baud, connect.Message, flash.Retries)
	}
}

// Where no block arrives, the device itself is written at a lower rate.
func TestSlowerInTheMiddle(t *testing.T) {
	s := smallStation(t)
	rates := station.OpenRates(filepath.Join(t.TempDir(), "ledger.db"))
	spoils := func(_ []byte, n int) bool { return n > 3 }
	out, connect, flash, _ := s.visitBy(t, 1, rates.At, badAdapter{good: 230400, spoils: spoils})
	flowtest.WantVerdict(t, out, record.Pass, "")
	if connect.Baud != 921600 || flash.Baud != 230400 || flash.Message != "slower than 460800 baud, which made errors here" {
		t.Errorf("at %d, then %d baud (%s)", connect.Baud, flash.Baud, flash.Message)
	}
	if baud, _ := rates.At("sim://1").Pick(921600); baud != 230400 {
		t.Errorf("the next device at %d baud", baud)
	}
}

func TestAdapterThatBreaks(t *testing.T) {
	out, _, _, _ := smallStation(t).visitBy(t, 1, nil, badAdapter{good: 460800, broken: true})
	flowtest.WantVerdict(t, out, record.Retry, "E-BAUD")
}
