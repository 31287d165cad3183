package flow_test

import (
	"testing"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow/flowtest"
	"station/internal/racetest"
	"station/internal/sim"
)

// What a disturbed burn is called follows from what was read back: E-FUSE-WIRE
// only where this visit has changed no fuse.
func TestADisturbedBurnIsCalledWhatItIs(t *testing.T) {
	p := products(t)["release and lock"]
	seen, cases := map[string]int{}, racetest.Sample(0)
	inLab(t, func(l *lab) {
		ref, err := l.undisturbed(p)
		if err != nil {
			t.Fatal(err)
		}
		for n, c := range ref.sent {
			if c.op == writeReg && !cases.Out(6) {
				const value = 61 // the low byte of one, in the fourth of the registers of a frame
				tr := l.trial(p, sim.Fault{Kind: sim.ChangeByte, At: n + 1, Times: -1, Byte: value, XOR: 0x10})
				out := tr.visit()
				if out.Failure == nil {
					tr.finish()
					continue
				}
				code := string(out.Failure.Code)
				seen[code]++
				if code == "E-FUSE-WIRE" && tr.chip.Fuses() != tr.factory {
					t.Errorf("from command %d on: %v, and fuses were changed", n, out.Failure)
				}
				if code == "E-FUSE-PART" && tr.chip.Fuses() == tr.factory {
					t.Errorf("from command %d on: %v, and no fuse was changed", n, out.Failure)
				}
				tr.finish()
				for _, w := range tr.wrong {
					t.Errorf("from command %d on: %v", n, w)
				}
			}
		}
	})
	if seen["E-FUSE-WIRE"] == 0 || seen["E-FUSE-PART"] == 0 {
		t.Errorf("not both were seen: %v", seen)
	}
}

// A station that was killed in mid-burn, and a fixture that does not reset the
// chip: its read registers tell of the fuses as they were before.
func TestFusesOfAChipThatNobodyReset(t *testing.T) {
	s := newBench(t, flowtest.ExampleJob)
	device := flowtest.NewChip(t, sim.Options{NoLines: true, InLoader: true})
	l := openLoader(t, device, esploader.Options{Reset: esploader.ResetManual})
	if err := l.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	const conf, cmd, clk, dac, key = 0x3ff5_a0fc, 0x3ff5_a104, 0x3ff5_a0f8, 0x3ff5_a118, 0x3ff5_a098
	if err := l.WriteReg(t.Context(), chip.Set(clk, 0xffa0), chip.Set(dac, 80), chip.Set(key, 0x1234),
		chip.Set(conf, 0x5a5a), chip.Set(cmd, 2)); err != nil {
		t.Fatal(err)
	}
	l.Close() // killed
	out := s.Runner().Device(t.Context(), "1", "sim://1", openLoader(t, device, esploader.Options{Reset: esploader.ResetManual}))
	if how(out) != "QUARANTINE E-FOREIGN-KEY" {
		t.Errorf("got %s %v", how(out), out.Failure)
	}
}

func openLoader(t *testing.T, chip *sim.Chip, o esploader.Options) *esploader.Loader {
	t.Helper()
	p, err := chip.Open()
	if err != nil {
		t.Fatal(err)
	}
	return esploader.New(p, o)
}
