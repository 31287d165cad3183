package flow_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"station/internal/esploader"
	"station/internal/racetest"
	"station/internal/sim"
)

// The chip restarts by itself (brownout, watchdog, a hand) before every command
// of a whole run: with GPIO0 held it is in its loader again and has forgotten
// everything, released it starts from flash. The station must see that, in a
// bounded number of steps, whoever resets its devices.
func TestRestarts(t *testing.T) {
	p := products(t)["release and lock"]
	var m matrix
	m.fillAlong(t, p, func(l *lab, try tryFunc, ref run) {
		stride := 1
		if racetest.Enabled {
			stride = raceStride
		}
		for _, c := range []struct {
			class  string
			kind   sim.Kind
			byHand bool
			stride int
		}{
			{"the chip restarts into its loader", sim.RestartLoader, false, stride},
			{"the chip restarts into its application", sim.RestartApp, false, stride},
			{"the chip restarts into its loader, reset by hand", sim.RestartLoader, true, 5 * stride},
			{"the chip restarts into its application, reset by hand", sim.RestartApp, true, 5 * stride},
		} {
			for k := 1; k < len(ref.sent); k += c.stride {
				try(c.class, p, func() *trial { return l.restart(p, sim.Fault{Kind: c.kind, At: k}, c.byHand, ref) })
			}
		}
	})
	m.publish(t, "restart")
}

// restart is one device that restarts once. byHand: a person resets it, when
// asked to, and not before.
func (l *lab) restart(p product, f sim.Fault, byHand bool, ref run) *trial {
	tr := l.trial(p, f)
	if byHand {
		tr.options.Reset = esploader.ResetManual
		tr.options.ByHand = func(what string, _ time.Time) {
			if what != "" {
				tr.chip.PressReset(what == esploader.ToLoader)
			}
		}
	}
	commands := 0
	tr.options.Trace = func(dir byte, _ []byte) {
		if dir == '>' {
			commands++
		}
	}
	var calls atomic.Int64
	tr.wrap = func(port *sim.Port) esploader.Port { return counted{port, &calls} }
	out := tr.visit()
	tr.options.Trace, tr.wrap = nil, nil
	if more := commands - len(ref.sent); more > 400 || calls.Load() > maxCalls {
		tr.fault("%d commands more than undisturbed, %d calls of the port", more, calls.Load())
	}
	if !fair(out) {
		tr.fault("a restart gives %s: %v", out.Verdict, out.Failure)
	}
	return tr
}

// maxCalls is several times what a visit takes. Who goes round without end
// calls the port without end, even if nothing is sent.
const maxCalls = 200_000

// counted is a port that dies when it is called too often.
type counted struct {
	*sim.Port
	calls *atomic.Int64
}

func (c counted) SetReadDeadline(t time.Time) error {
	if c.calls.Add(1) > maxCalls {
		return errors.New("the station goes round without end")
	}
	return c.Port.SetReadDeadline(t)
}
