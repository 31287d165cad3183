package flow_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/station"
)

// meeting holds each device key back until every slot has either come as far or
// ended.
type meeting struct {
	flow.Keys
	slots sync.WaitGroup
}

func (m *meeting) DeviceKey(ctx context.Context, r flow.KeyRequest) (flow.DeviceKey, error) {
	m.slots.Done()
	m.slots.Wait()
	return m.Keys.DeviceKey(ctx, r)
}

// Two chips with one MAC are never worked on at the same time.
func TestOneMACInTwoSlots(t *testing.T) {
	s := newBench(t, flowtest.EditCopy(t, flowtest.SmallProductDir))
	r := s.Runner()
	const slots = 4
	together := &meeting{Keys: r.Keys}
	together.slots.Add(slots)
	r.Keys = together
	var chips [slots]*sim.Chip
	var outs [slots]flow.Outcome
	for i := range slots {
		chips[i] = flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(0)})
	}
	factory := chips[0].Fuses()
	visit := func(i int) {
		wire, err := chips[i].Open()
		if err != nil {
			t.Error(err)
			return
		}
		outs[i] = r.Device(t.Context(), string(rune('1'+i)), "sim://", esploader.New(wire, esploader.Options{}))
	}
	var wg sync.WaitGroup
	for i := range slots {
		wg.Go(func() {
			if visit(i); outs[i].Failure != nil && outs[i].Failure.Code == record.SameMAC {
				together.slots.Done()
			}
		})
	}
	wg.Wait()
	genuine := slices.IndexFunc(outs[:], func(out flow.Outcome) bool { return out.Verdict == record.Pass })
	if genuine < 0 {
		t.Fatalf("none passed: %+v", outs)
	}
	for i, out := range outs {
		switch {
		case i == genuine:
		case out.Verdict != record.Quarantine || out.Failure.Code != record.SameMAC:
			t.Errorf("slot %d: got %s %v", i+1, out.Verdict, out.Failure)
		case chips[i].Fuses() != factory:
			t.Errorf("slot %d: a fuse of a refused chip was burned", i+1)
		}
	}
	if v, code := s.deviceOf(0).State(); v != record.Pass {
		t.Errorf("its record says %s %s", v, code)
	}
	if visit(genuine); !outs[genuine].Already { // its slot has let go of it
		t.Errorf("the genuine one: got %+v", outs[genuine])
	}
}

// A sealed device passes untouched only while its flash and its fuses are as
// recorded; what a stranger with its MAC holds is never taken for its own.
func TestSealedIsHeldAgainstItsRecord(t *testing.T) {
	s := newBench(t, flowtest.EditCopy(t, flowtest.SmallProductDir))
	sealed := flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(0)})
	flowtest.WantVerdict(t, s.Visit(sealed), record.Pass, "")
	words, flash, f := sealed.Fuses(), sealed.Flash(), chip.Known(nil)
	with := func(edit func(*sim.Words, []byte)) *sim.Chip {
		w, b := words, slices.Clone(flash)
		edit(&w, b)
		return flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(0), Words: &w, Flash: b, FlashSize: len(b)})
	}
	plain := func(w *sim.Words, _ []byte) { sim.SetFieldOf(f, w, f.Seal.Count, 0) }
	blank := func(w *sim.Words, _ []byte) { *w = sim.FactoryWords(sim.Options{MAC: station.VirtualMAC(0)}) }
	release := func() {
		_, err := s.Ledger.Append(record.Entry{Kind: record.Released, MAC: station.VirtualMAC(0), Operator: "eve", Message: "looked at", Simulated: true})
		if err != nil {
			t.Fatal(err)
		}
	}
	flowtest.WantVerdict(t, s.Visit(with(plain)), record.Quarantine, record.Stranger)
	changed := with(func(_ *sim.Words, b []byte) { b[0x30000] ^= 1 })
	if out := s.Visit(changed); out.Verdict != record.Pass || out.Already || !slices.Equal(changed.Flash(), flash) {
		t.Errorf("another flash: got %+v", out)
	}
	more := with(func(w *sim.Words, _ []byte) { w[30] |= 1 }) // BLOCK3, which no plan speaks of
	flowtest.WantVerdict(t, s.Visit(more), record.Quarantine, "E-LEDGER-DISAGREES")
	flowtest.WantVerdict(t, s.Visit(with(func(*sim.Words, []byte) {})), record.Quarantine, "E-SET-ASIDE")
	release()
	flowtest.WantVerdict(t, s.Visit(with(blank)), record.Quarantine, record.Stranger)
	if out := s.Visit(with(func(*sim.Words, []byte) {})); out.Verdict != record.Pass || !out.Already {
		t.Errorf("after a stranger came when it was released: got %+v, %v", out, errors.Unwrap(out.Failure))
	}
	flowtest.WantVerdict(t, s.Visit(more), record.Quarantine, "E-LEDGER-DISAGREES")
	release()
	flowtest.WantVerdict(t, s.Visit(with(plain)), record.Quarantine, "E-LEDGER-DISAGREES")
}
