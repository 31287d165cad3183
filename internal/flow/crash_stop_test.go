package flow_test

import (
	"context"
	"testing"

	"station/internal/racetest"
	"station/internal/record"
)

// The station is told to stop at a command of a run: a burn that was begun is
// finished, read back and settled, a device that is being closed is brought to
// its end, and any other goes on when it is put back.
func TestStops(t *testing.T) {
	p := products(t)["release and lock"]
	var m matrix
	m.fillAlong(t, p, func(l *lab, try tryFunc, ref run) {
		stride := 5
		if racetest.Enabled {
			stride *= 24
		}
		for k := 1; k <= len(ref.sent); k += stride {
			try("the station is stopped at a command", p, func() *trial { return l.stop(p, k) })
		}
	})
	m.publish(t, "stop")
}

// stop is one device whose station stops at the k-th command.
func (l *lab) stop(p product, k int) *trial {
	tr := l.trial(p)
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	tr.ctx = ctx
	commands := 0
	tr.options.Trace = func(dir byte, _ []byte) {
		if dir == '>' {
			commands++
		}
		if commands == k {
			cancel()
		}
	}
	out := tr.visit()
	tr.ctx, tr.options.Trace = l.ctx, nil
	d, _, err := tr.ledger.Device(tr.mac)
	if err != nil || len(d.Intended) != len(d.Settled) {
		tr.fault("stopped with intents %v, settled %v, %w", d.Intended, d.Settled, err)
	}
	switch {
	case out.Verdict == record.Pass:
	case how(out) != "RETRY E-STOPPED":
		tr.fault("stopping gives %s: %v", how(out), out.Failure)
	case tr.chip.Field("UART_DOWNLOAD_DIS") == 1:
		tr.fault("stopped after the loader was closed")
	}
	return tr
}
