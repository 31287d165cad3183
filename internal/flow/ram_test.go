package flow_test

import (
	"testing"
	"testing/synctest"

	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/job"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/station"
)

// The end of the step flash says why the loader in RAM was left for the ROM, and
// nothing where it was not.
func TestRAMThatIsLeftIsTold(t *testing.T) {
	s := newBench(t, flowtest.SmallJob)
	s.Job.Flash.Loader = job.LoaderRAM
	for want, faults := range map[string][]sim.Fault{
		"": nil,
		"written by the ROM: loader in RAM: it has fallen silent: no answer from the chip": {{Kind: sim.HangCode, At: 2000}},
	} {
		s.OpenLedger()
		s.Events = nil
		synctest.Test(t, func(t *testing.T) {
			chip := flowtest.NewChip(t, sim.Options{Faults: faults})
			port, err := chip.Open()
			if err != nil {
				t.Fatal(err)
			}
			out := s.Runner().Device(t.Context(), "1", "sim://1", esploader.New(port, esploader.Options{LeastRAM: 1}))
			if out.Verdict != record.Pass || chip.Meter().Code.Time == 0 {
				t.Errorf("got %s %v", out.Verdict, out.Failure)
			}
		})
		for _, e := range s.Events {
			if e.Event == flow.StepDone && e.Step == "flash" && e.Message != want {
				t.Errorf("it says %q, want %q", e.Message, want)
			}
		}
	}
}

// What holds secrets of the device never passes through the loader in RAM: the ROM
// writes it, and nothing else.
func TestRAMGetsNoSecretsButTheKey(t *testing.T) {
	s, _ := newIdentityBench(t, 0, "esp_secure_cert")
	s.Job.Flash.Loader = job.LoaderRAM
	sectors := 0
	for _, r := range s.Job.Regions {
		if r.PerDevice {
			sectors += (r.Size + 0xfff) / 0x1000
		}
	}
	chip := flowtest.NewChip(t, simFor(s.Job, station.VirtualMAC(7)))
	port, err := chip.Open()
	if err != nil {
		t.Fatal(err)
	}
	out := s.Runner().Device(t.Context(), "1", "sim://1", esploader.New(port, esploader.Options{LeastRAM: 1}))
	m := chip.Meter()
	if out.Verdict != record.Pass || m.Code.Time == 0 || m.FlashBlocks == 0 || m.FlashBlocks > sectors {
		t.Errorf("%s %v; %d blocks through the ROM, want at most %d and some; code %+v", out.Verdict, out.Failure, m.FlashBlocks, sectors, m.Code)
	}
}
