package flow_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/pkcs11"

	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/station"
)

// tray is a slot that a person fills with virtual chips.
type tray struct {
	put  chan *sim.Chip
	last *sim.Chip
}

func newTray(chips ...*sim.Chip) *tray {
	tr := &tray{put: make(chan *sim.Chip, 8)}
	for _, c := range chips {
		tr.put <- c
	}
	return tr
}

func (tr *tray) slot(name string) flow.Slot {
	return flow.Slot{Name: name, Port: "sim://" + name, Again: func() { tr.put <- tr.last },
		Next: func(ctx context.Context, _ func()) (flow.Loader, error) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case tr.last = <-tr.put:
				wire, err := tr.last.Open()
				return esploader.New(wire, esploader.Options{}), err
			}
		}}
}

// What can be wrong with a token halts the line while it lasts; the device
// that met it is finished without a hand on it when it is over.
func TestTokenFaultHaltsTheLine(t *testing.T) {
	random := []string{`policy = "derived"`, `policy = "random"`, `label = "station-master"`, `label = "kek"`}
	for _, c := range []struct {
		name  string
		job   []string
		fault string
		code  string
	}{
		{"session lost", nil, "C_Sign 0xb3 -1 0", "E-HSM-AWAY"},
		{"token removed", nil, "C_Sign 0x32 -1 0", "E-HSM-AWAY"},
		{"logged out", nil, "C_SignInit 0x101 -1 0", "E-HSM-AWAY"},
		{"slot empty", nil, "C_GetTokenInfo 0xe0 -1 0", "E-HSM-AWAY"},
		{"search refused", nil, "C_FindObjectsInit 0x5 -1 0", "E-HSM-AWAY"}, // as of a module whose daemon died,
		{"open for more", nil, "ATTRIBUTE 0x162 -1 0", "E-HSM-KEY"},         // CKA_EXTRACTABLE
		{"token full", random, "C_GenerateKey 0x31 -1 0", "E-HSM"},
		{"wrapping refused", random, "C_WrapKey 0x5 -1 0", "E-HSM"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, faults := hsmtest.Faulty(t, hsmtest.Known(t, hsmtest.Token(t, hsm.KEK), flowtest.Master, hsmtest.Master))
			token := hsmtest.Open(t, cfg)
			if c.job != nil {
				if _, err := token.Init(t.Context(), hsm.KEK, "kek"); err != nil {
					t.Fatal(err)
				}
			}
			job := flowtest.SmallProduct(t, c.job...)
			synctest.Test(t, func(t *testing.T) {
				chip := flowtest.NewChip(t, sim.Options{FlashSize: 1 << 20})
				s := newShift(t, token, job, newTray(chip).slot("1"))
				s.Line.Count = 1
				healthy := s.Line.Healthy
				s.Line.Healthy = func(ctx context.Context) error {
					err := healthy(ctx)
					if s.Checks == 3 {
						faults.Set()
					}
					return err
				}
				s.On = func(e flow.Event) {
					if e.Event == flow.DeviceSeen && s.Checks == 0 {
						faults.Set(c.fault)
					}
				}
				counts := s.Line.Run(t.Context())
				s.WantStory("1 STATION "+c.code, "line.halted "+c.code, "line.resumed "+c.code, "1 PASS ")
				if s.Checks != 4 || counts != (flow.Counts{Passed: 1, Station: 1}) {
					t.Errorf("asked %d times; %+v", s.Checks, counts)
				}
			})
		})
	}
}

// Lost for a moment only, nobody notices.
func TestTokenLostForAMoment(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Known(t, hsmtest.Token(t), flowtest.Master, hsmtest.Master))
	token := hsmtest.Open(t, cfg)
	job := flowtest.SmallProduct(t)
	for i, code := range []int{0xb3, 0x32, 0x101, 0xe0, 0xb0, 0x30} {
		synctest.Test(t, func(t *testing.T) {
			s := newShift(t, token, job, newTray(flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(i), FlashSize: 1 << 20})).slot("1"))
			s.Line.Count = 1
			faults.Set(fmt.Sprintf("C_Sign %#x 1 0", code))
			s.Line.Run(t.Context())
			s.WantStory("1 PASS ")
		})
	}
}

// A PIN that the token refuses after a loss is given once and never again,
// however often the line asks whether it is well.
func TestWrongPINIsNotTriedAgain(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Known(t, hsmtest.Token(t), flowtest.Master, hsmtest.Master))
	token := hsmtest.Open(t, cfg)
	job := flowtest.SmallProduct(t)
	logins := faults.Calls("C_Login")
	synctest.Test(t, func(t *testing.T) {
		s := newShift(t, token, job, newTray(flowtest.NewChip(t, sim.Options{FlashSize: 1 << 20})).slot("1"))
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		s.Line.Count = 1
		faults.Set("C_Sign 0xb3 1 0", "C_Login 0xa0 1 0") // a second try would be accepted
		counts := s.Line.Run(ctx)
		s.WantStory("1 STATION E-HSM-PIN", "line.halted E-HSM-PIN")
		if s.Checks < 50 || counts.Missing != 1 {
			t.Errorf("asked %d times; %+v", s.Checks, counts)
		}
	})
	if n := faults.Calls("C_Login") - logins; n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// The job's key is joined by another of its label, and goes away: no device is
// made until it is alone again.
func TestKeyObjectChanges(t *testing.T) {
	cfg := hsmtest.Known(t, hsmtest.Token(t), flowtest.Master, hsmtest.Master)
	token := hsmtest.Open(t, cfg)
	job := flowtest.SmallProduct(t)
	destroy := func(c *pkcs11.Ctx, s pkcs11.SessionHandle, n int) {
		_ = c.FindObjectsInit(s, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, flowtest.Master)})
		objects, _, _ := c.FindObjects(s, 10)
		_ = c.FindObjectsFinal(s)
		for _, o := range objects[:n] {
			if err := c.DestroyObject(s, o); err != nil {
				t.Error(err)
			}
		}
	}
	add := func() { hsmtest.Known(t, cfg, flowtest.Master, hsmtest.Master) }
	remove := func(n int) func() {
		return func() {
			hsmtest.Session(t, cfg, func(c *pkcs11.Ctx, s pkcs11.SessionHandle) { destroy(c, s, n) })
		}
	}
	for i, c := range []struct {
		name        string
		spoil, mend func()
	}{
		{"two of one label", add, remove(1)},
		{"none", remove(1), add},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShift(t, token, job, newTray(flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(i), FlashSize: 1 << 20})).slot("1"))
				s.Line.Count = 1
				s.On = func(e flow.Event) {
					switch {
					case e.Event == flow.DeviceSeen && len(s.Story()) == 0:
						c.spoil()
					case e.Event == flow.LineHalted:
						c.mend()
					}
				}
				s.Line.Run(t.Context())
				s.WantStory("1 STATION E-HSM-KEY", "line.halted E-HSM-KEY", "line.resumed E-HSM-KEY", "1 PASS ")
			})
		})
	}
}

// While the token is away: a device past its key is finished, one that needs a
// key is not, and one that is put in is not begun before the token is back.
func TestDevicesPastTheirKeyGoOn(t *testing.T) {
	cfg := hsmtest.Known(t, hsmtest.Token(t), flowtest.Master, hsmtest.Master)
	token := hsmtest.Open(t, cfg)
	job := flowtest.SmallProduct(t)
	synctest.Test(t, func(t *testing.T) {
		var chips []*sim.Chip
		for n := range 3 {
			chips = append(chips, flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(n), FlashSize: 1 << 20, Pace: n == 0})) // the first takes its time
		}
		trays := []*tray{newTray(chips[0]), newTray(), newTray()}
		s := newShift(t, token, job, trays[0].slot("1"), trays[1].slot("2"), trays[2].slot("3"))
		s.Line.Count = 3
		var back func()
		s.On = func(e flow.Event) {
			switch {
			case e.Event == flow.StepStarted && e.Step == "flash" && e.Slot == "1":
				back = hsmtest.Away(t, cfg)
				trays[1].put <- chips[1]
			case e.Event == flow.LineHalted:
				trays[2].put <- chips[2]
			case e.Event == flow.StepStarted && e.Slot == "3" && back != nil:
				t.Error("a device was begun while the line was halted")
			case e.Event == flow.DevicePassed && e.Slot == "1":
				back()
				back = nil
			}
		}
		counts := s.Line.Run(t.Context())
		story := s.Story()
		want := []string{"2 STATION E-HSM-AWAY", "line.halted E-HSM-AWAY", "1 PASS ", "line.resumed E-HSM-AWAY"}
		if len(story) != 6 || !slices.Equal(story[:4], want) || counts != (flow.Counts{Passed: 3, Station: 1}) {
			t.Errorf("got %q, %+v", story, counts)
		}
		var kinds []record.Kind
		for e, err := range s.Line.Ledger.(*ledger.Ledger).Entries(0) {
			if err != nil {
				t.Error(err)
			}
			if e.Kind == record.LineHalted || e.Kind == record.LineResumed {
				kinds = append(kinds, e.Kind)
				if e.Code != "E-HSM-AWAY" {
					t.Errorf("the ledger says %s %q", e.Kind, e.Code)
				}
			}
		}
		if !slices.Equal(kinds, []record.Kind{record.LineHalted, record.LineResumed}) {
			t.Errorf("the ledger says %v", kinds)
		}
	})
}
