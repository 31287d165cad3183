package flow_test

import (
	"context"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/hsm/hsmtest"
	"station/internal/port"
	"station/internal/sim"
	"station/internal/station"
)

// A slot that waits for a device when the line is paused begins none before
// the line goes on.
func TestPausedWhileWaiting(t *testing.T) {
	token := hsmtest.Open(t, hsmtest.Known(t, hsmtest.Token(t), flowtest.Master, hsmtest.Master))
	job := flowtest.SmallProduct(t)
	synctest.Test(t, func(t *testing.T) {
		tr := newTray()
		s := newShift(t, token, job, tr.slot("1"))
		s.Line.Count = 1
		done := make(chan flow.Counts)
		go func() { done <- s.Line.Run(t.Context()) }()
		synctest.Wait()
		s.Line.Pause(true)
		tr.put <- flowtest.NewChip(t, sim.Options{FlashSize: 1 << 20})
		time.Sleep(time.Minute)
		s.WantStory()
		s.Line.Pause(false)
		<-done
		s.WantStory("1 PASS ")
	})
}

// With --once a line that cannot go on ends, and says what it owes.
func TestOnceEndsWhenHalted(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Known(t, hsmtest.Token(t), flowtest.Master, hsmtest.Master))
	token := hsmtest.Open(t, cfg)
	job := flowtest.SmallProduct(t)
	synctest.Test(t, func(t *testing.T) {
		late := newTray()
		s := newShift(t, token, job, newTray(flowtest.NewChip(t, sim.Options{FlashSize: 1 << 20})).slot("1"), late.slot("2"))
		s.Line.Once = true
		s.On = func(e flow.Event) {
			if e.Event == flow.LineHalted {
				late.put <- flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(2), FlashSize: 1 << 20})
			}
		}
		faults.Set("C_Sign 0x5 -1 0")
		counts := s.Line.Run(t.Context())
		s.WantStory("1 STATION E-HSM", "line.halted E-HSM")
		if counts != (flow.Counts{Station: 1, Missing: 1}) {
			t.Errorf("%+v", counts)
		}
	})
}

// A fault of the program itself does not pass by itself: the line waits for a
// person, and ends when it is told to.
func TestPanicHaltsForGood(t *testing.T) {
	token := hsmtest.Open(t, hsmtest.Known(t, hsmtest.Token(t), flowtest.Master, hsmtest.Master))
	job := flowtest.SmallProduct(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		s := newShift(t, token, job, newTray(flowtest.NewChip(t, sim.Options{FlashSize: 1 << 20})).slot("1"))
		var broken atomic.Bool
		s.Line.Now = func() time.Time {
			if broken.Swap(false) {
				panic("the clock is broken")
			}
			return time.Now()
		}
		s.On = func(e flow.Event) {
			broken.Store(e.Event == flow.StepDone && e.Step == "flash")
		}
		s.Line.Run(ctx)
		s.WantStory("1 STATION E-PANIC", "line.halted E-PANIC")
	})
}

// A port that another program holds is told of once, halts nobody else, and is
// used as soon as it is free.
func TestPortOfAnotherProgram(t *testing.T) {
	token := hsmtest.Open(t, hsmtest.Known(t, hsmtest.Token(t), flowtest.Master, hsmtest.Master))
	free := flowtest.NewChip(t, sim.Options{FlashSize: 1 << 20, NoLines: true, InLoader: true})
	held := flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(2), FlashSize: 1 << 20, NoLines: true, InLoader: true})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { _ = free.Serve(ctx, listener) }()
	pty, err := held.ServePTY(ctx)
	if err != nil {
		t.Fatal(err)
	}
	other, err := port.Host.Open(pty.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	s := newShift(t, token, flowtest.SmallProduct(t), station.RealSlot{Name: "1", Port: "socket://" + listener.Addr().String(), Reset: "manual"}.Slot(), station.RealSlot{Name: "2", Port: pty.Path, Reset: "manual"}.Slot())
	s.Line.Count = 2
	tried, look := 0, s.Line.Slots[1].Next
	s.Line.Slots[1].Next = func(ctx context.Context, removed func()) (flow.Loader, error) {
		if tried++; tried == 3 { // it was found busy twice
			other.Close()
		}
		return look(ctx, removed)
	}
	s.On = func(e flow.Event) {
		chip := map[string]*sim.Chip{"1": free, "2": held}[e.Slot]
		switch {
		case e.Event == flow.DeviceHand && e.Hand == flow.HandApp: // a person does what the line says
			chip.PressReset(false)
		}
	}
	counts := s.Line.Run(ctx)
	story := s.Story()
	slices.Sort(story[:min(2, len(story))])
	if want := []string{"1 PASS ", "2 STATION E-PORT-BUSY", "2 PASS "}; !slices.Equal(story, want) || counts != (flow.Counts{Passed: 2, Station: 1}) {
		t.Errorf("got %q, want %q; %+v", story, want, counts)
	}
}
