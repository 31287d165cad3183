package flow_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/job"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/station"
)

// fullFixture is a line of so many slots with a blank chip in each, and the
// slots whose fuses were burned.
func fullFixture(t *testing.T, token *hsm.Token, job *job.Job, slots int) (s *shift, burned func() int) {
	t.Helper()
	s, _, burned = trayFixture(t, token, job, slots, "")
	return s, burned
}

func trayFixture(t *testing.T, token *hsm.Token, job *job.Job, slots int, ready string) (s *shift, trays []*tray, burned func() int) {
	t.Helper()
	var list []flow.Slot
	for n := range slots {
		trays = append(trays, newTray(flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(n), FlashSize: 1 << 20, Ready: ready})))
		list = append(list, trays[n].slot(fmt.Sprint(n+1)))
	}
	s = newShift(t, token, job, list...)
	return s, trays, func() int {
		seen := map[string]bool{}
		for _, e := range s.Noted() {
			if e.Event == flow.StepStarted && e.Burning {
				seen[e.MAC.String()] = true
			}
		}
		return len(seen)
	}
}

func (s *shift) count(event string, code flow.Code) (n int) {
	for _, e := range s.Noted() {
		if e.Event == event && e.Code == code {
			n++
		}
	}
	return n
}

// A marker that nobody prints, in 32 slots that begin at once: three devices
// are burned and no more, until a person lets the line go on; then three more.
func TestAWrongMarkerCostsThreeDevices(t *testing.T) {
	token := hsmtest.Open(t, hsmtest.Token(t, hsm.Master, hsm.Signer))
	job := flowtest.SmallProduct(t, `marker = "`, `marker = "never printed `)
	const slots = 32
	for _, limit := range []int{0, 1} {
		want := max(limit, 1)
		if limit == 0 {
			want = flow.AlikeFailures
		}
		synctest.Test(t, func(t *testing.T) {
			s, burned := fullFixture(t, token, job, slots)
			s.Line.Alike, s.Line.Attended = limit, true
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan flow.Counts)
			go func() { done <- s.Line.Run(ctx) }()
			time.Sleep(10 * time.Minute)
			if n, failed := burned(), s.count(flow.DeviceFailed, "E-BOOT-MARKER"); n != want || failed != want {
				t.Errorf("%d devices were burned and %d failed, want %d", n, failed, want)
			}
			if n := s.count(flow.LineHalted, "E-ALIKE"); n != 1 {
				t.Errorf("told %d times that the line stopped", n)
			}
			s.Line.GoOn()
			time.Sleep(10 * time.Minute)
			if n := burned(); n != 2*want {
				t.Errorf("%d devices were burned after a person let the line go on, want %d", n, 2*want)
			}
			stop()
			counts := <-done
			if counts.Passed != 0 || counts.Station != 0 || burned() != 2*want {
				t.Errorf("got %+v, %d burned", counts, burned())
			}
			var kinds []string
			for e, err := range s.Line.Ledger.(*ledger.Ledger).Entries(0) {
				if err != nil {
					t.Fatal(err)
				}
				if e.Code == "E-ALIKE" {
					kinds = append(kinds, string(e.Kind))
				}
			}
			if got := strings.Join(kinds, " "); got != "line.halted line.resumed line.halted" {
				t.Errorf("the ledger tells %q", got)
			}
		})
	}
}

// Nobody is there to let the line go on: those that wait end without a burn.
func TestALineAloneStopsAtAlikeFailures(t *testing.T) {
	token := hsmtest.Open(t, hsmtest.Token(t, hsm.Master, hsm.Signer))
	job := flowtest.SmallProduct(t, `marker = "`, `marker = "never printed `)
	synctest.Test(t, func(t *testing.T) {
		s, burned := fullFixture(t, token, job, 8)
		s.Line.Once = true
		counts := s.Line.Run(t.Context())
		if counts.Retry != 3 || counts.Station != 5 || burned() != 3 {
			t.Errorf("got %+v, %d burned", counts, burned())
		}
	})
}

// All of a full fixture pass, and never are more between their first burn and
// their verdict than one cause may cost.
func TestAFullFixtureGoesThroughTheGate(t *testing.T) {
	token := hsmtest.Open(t, hsmtest.Token(t, hsm.Master, hsm.Signer))
	job := flowtest.SmallProduct(t)
	synctest.Test(t, func(t *testing.T) {
		s, burned := fullFixture(t, token, job, 32)
		s.Line.Once = true
		inside, most := 0, 0
		s.On = func(e flow.Event) {
			switch {
			case e.Event == flow.StepStarted && e.Step == "burn-key":
				inside++
				most = max(most, inside)
			case e.Event == flow.DevicePassed:
				inside--
			}
		}
		if counts := s.Line.Run(t.Context()); counts.Passed != 32 || burned() != 32 || most != flow.AlikeFailures {
			t.Errorf("got %+v, %d burned, at most %d of them at a time", counts, burned(), most)
		}
	})
}

// Good devices prove nothing about the tray after them: three of the bad ones
// are burned and no more. Where both come mixed, it is three after the last good
// one.
func TestATrayOfBadDevicesCostsThree(t *testing.T) {
	token := hsmtest.Open(t, hsmtest.Token(t, hsm.Master, hsm.Signer))
	const slots, ready = 16, "said by good devices"
	job := flowtest.SmallProduct(t, `marker = "station-example: ready"`, `marker = "`+ready+`"`)
	for _, mixed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, trays, burned := trayFixture(t, token, job, slots, ready)
			s.Line.Attended = true
			lost := 0
			s.On = func(e flow.Event) {
				switch {
				case e.Event == flow.DevicePassed:
					lost = 0
				case e.Event == flow.DeviceFailed && e.Code == "E-BOOT-MARKER":
					lost++
				}
			}
			bad := func() {
				for n := range slots {
					trays[n].put <- flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(100 + n), FlashSize: 1 << 20})
				}
			}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan flow.Counts)
			if mixed { // they wait behind the good ones, slot by slot
				bad()
			}
			go func() { done <- s.Line.Run(ctx) }()
			time.Sleep(10 * time.Minute)
			if !mixed {
				bad()
				time.Sleep(10 * time.Minute)
			}
			stop()
			counts := <-done
			if lost == 0 || lost > flow.AlikeFailures || s.count(flow.LineHalted, "E-ALIKE") != 1 || !mixed && (counts.Passed != slots || burned() != slots+flow.AlikeFailures) {
				t.Errorf("mixed %v: got %+v, %d bad devices were lost after the last good one\n%v", mixed, counts, lost, s.Story())
			}
		})
	}
}

// A program that is started for each device counts on where the last one ended,
// until a person lets the line go on.
func TestAlikeFailuresAreCountedAcrossRestarts(t *testing.T) {
	token := hsmtest.Open(t, hsmtest.Token(t, hsm.Master, hsm.Signer))
	job := flowtest.SmallProduct(t, `marker = "`, `marker = "never printed `)
	synctest.Test(t, func(t *testing.T) {
		s, burned := fullFixture(t, token, job, 5)
		slots := s.Line.Slots
		book := s.Line.Ledger.(*ledger.Ledger)
		run := func(i int, resume bool) flow.Counts {
			past, err := station.Reread(book, "test", job, nil)
			if err != nil {
				t.Fatal(err)
			}
			line := &flow.Line{Runner: flow.Runner{Job: job, Keys: station.Keys{Token: token}, Ledger: book, Station: "test", Simulated: true, Emit: s.Emit},
				Slots: slots[i : i+1], Once: true, Past: past, Resume: resume}
			return line.Run(t.Context())
		}
		for i := range 3 {
			if c := run(i, false); c.Retry != 1 {
				t.Fatalf("device %d: %+v", i+1, c)
			}
		}
		if c := run(3, false); c.Missing != 1 || burned() != 3 || s.count(flow.LineHalted, "E-ALIKE") != 2 {
			t.Errorf("the fourth: %+v, %d burned, story %q", c, burned(), s.Story())
		}
		if c := run(3, true); c.Retry != 1 || burned() != 4 {
			t.Errorf("a person let it go on: %+v, %d burned", c, burned())
		}
		if c := run(4, false); c.Retry != 1 || burned() != 5 {
			t.Errorf("the next one: %+v, %d burned", c, burned())
		}
	})
}

// A chip that is turned away because its MAC is in another slot takes nobody's
// turn: what is being burned there is counted until it has its verdict.
func TestTheSameMACLetsNobodyThroughTheGate(t *testing.T) {
	token := hsmtest.Open(t, hsmtest.Token(t, hsm.Master, hsm.Signer))
	job := flowtest.SmallProduct(t)
	synctest.Test(t, func(t *testing.T) {
		var list []flow.Slot
		for n := range 8 { // two of each MAC
			list = append(list, newTray(flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(n / 2), FlashSize: 1 << 20})).slot(fmt.Sprint(n+1)))
		}
		s := newShift(t, token, job, list...)
		s.Line.Once, s.Line.Alike = true, 1
		inside, most := map[string]bool{}, 0
		s.On = func(e flow.Event) {
			switch {
			case e.Event == flow.StepStarted && e.Step == "burn-key":
				inside[e.Slot] = true
				most = max(most, len(inside))
			case e.Verdict != "":
				delete(inside, e.Slot)
			}
		}
		if counts := s.Line.Run(t.Context()); counts.Passed != 4 || counts.Quarantined != 4 || most != 1 {
			t.Errorf("got %+v, at most %d of them at a time", counts, most)
		}
	})
}

// Devices that are turned away before anything is done to them have cost
// nothing: however many of one kind come, the line goes on, now and after a
// restart.
func TestDevicesAtTheWrongLineDoNotStopIt(t *testing.T) {
	token := hsmtest.Open(t, hsmtest.Token(t, hsm.Master, hsm.Signer))
	first, second := flowtest.SmallProduct(t), flowtest.SmallProduct(t, `revision = "1"`, `revision = "2"`)
	synctest.Test(t, func(t *testing.T) {
		s, trays, _ := trayFixture(t, token, first, 4, "")
		s.Line.Once = true
		if counts := s.Line.Run(t.Context()); counts.Passed != 4 {
			t.Fatalf("got %+v", counts)
		}
		book := s.Line.Ledger.(*ledger.Ledger)
		run := func(mac int) {
			past, err := station.Reread(book, "test", second, nil)
			if err != nil {
				t.Fatal(err)
			}
			for n := range 3 {
				trays[n].put <- trays[n].last
			}
			trays[3].put <- flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(mac), FlashSize: 1 << 20})
			line := &flow.Line{Runner: flow.Runner{Job: second, Keys: station.Keys{Token: token}, Ledger: book, Station: "test", Simulated: true, Emit: s.Emit},
				Slots: s.Line.Slots, Once: true, Past: past}
			if counts := line.Run(t.Context()); counts.Quarantined != 3 || counts.Passed != 1 || s.count(flow.LineHalted, "E-ALIKE") != 0 {
				t.Errorf("got %+v: %v", counts, s.Story())
			}
		}
		run(100)
		if past, err := station.Reread(book, "test", second, nil); err != nil || len(past) != 0 {
			t.Errorf("what is known of the past: %v, %v", past, err)
		}
		for n := range 3 { // none has passed since
			wire, err := trays[n].last.Open()
			if err != nil {
				t.Fatal(err)
			}
			r := flow.Runner{Job: second, Keys: station.Keys{Token: token}, Ledger: book, Station: "test", Simulated: true}
			flowtest.WantVerdict(t, r.Device(t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{})), record.Quarantine, record.SealedOther)
		}
		run(101)
	})
}
