package flow_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/esploader"
	"station/internal/flow/flowtest"
	"station/internal/job"
	"station/internal/racetest"
	"station/internal/sim"
)

// realistic is the example job with images that compress as firmware does.
func realistic(t testing.TB, pairs ...string) string {
	t.Helper()
	path := flowtest.EditCopy(t, filepath.Dir(flowtest.ExampleJob), pairs...)
	made := t.TempDir()
	if out, err := exec.Command("go", "run", "../../fixtures/gen", "-dir", made, "-like", "code").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"build/bootloader/bootloader.bin", "build/station-example.bin", "build/ota_0.bin"} {
		b, err := os.ReadFile(filepath.Join(made, "example", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(filepath.Dir(path), name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// modelled are the seconds of a device of a job, at a rate, by a loader.
type modelled struct {
	cost
	seconds float64
}

// modelOf seals one device on a clock that stands still while the machine computes.
func (s *bench) modelOf(t testing.TB, baud int, loader job.FlashLoader) (m modelled) {
	t.Helper()
	j := *s.Job
	j.Flash.Baud, j.Flash.Loader = baud, loader
	s.Job = &j
	s.OpenLedger()
	synctest.Test(t.(*testing.T), func(t *testing.T) {
		chip, err := sim.New(sim.Options{Real: true})
		if err != nil {
			t.Fatal(err)
		}
		defer chip.Close()
		steps := s.visitOf(t, chip, esploader.Options{})
		m.cost = steps[len(steps)-1]
		if loader == job.LoaderRAM && (m.Code.Time == 0 || m.FlashBlocks != 0) {
			t.Errorf("the loader in RAM did not write all: %d blocks through the ROM, %v %v", m.FlashBlocks, m.Code, chip.CodeFault())
		}
	})
	for _, at := range m.Model() {
		if at.Baud == baud {
			m.seconds = at.Total
		}
	}
	return m
}

// stubSeconds is the model of the usual way with a stub: cipher text in blocks of
// 16 KiB, each answered before the next, programmed while it is on the wire.
func (s *bench) stubSeconds(baud int, rom modelled) float64 {
	const block, stubOverhead = 16 << 10, 10 * time.Millisecond // an adapter's turn-around, and taking the block in
	t := sim.DefaultTimes
	wire := float64(s.stored()) * 1.008 * 10 / float64(baud) // with its escapes
	blocks := float64(s.stored()/block + len(s.Job.Regions))
	images := rom.Model()
	beside := 0.0 // what is not the images: as in the ROM path, without its blocks and pages
	for _, at := range images {
		if at.Baud == baud {
			beside = at.Total - at.Wire - at.Flash - (time.Duration(rom.FlashBlocks) * t.BlockOverhead).Seconds()
		}
	}
	return wire + blocks*stubOverhead.Seconds() + beside
}

// compressed is how many bytes the images take, each a deflate stream.
func (s *bench) compressed(t *testing.T) int {
	var b bytes.Buffer
	for _, r := range s.Job.Regions {
		w, err := flate.NewWriter(&b, flate.BestCompression)
		if err == nil {
			w.Write(r.Data)
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.Len()
}

// Against the ROM's way, modelled in the same run: images that compress as
// firmware does, and images that do not compress at all.
func TestRAMIsFaster(t *testing.T) {
	code, err := os.Stat("../esploader/ramloader.bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, job  string
		baud       int
		most, stub float64 // parts of the ROM's time, of the stub's
	}{
		{"like firmware", realistic(t), 921600, 0.55, 0.7},
		{"like firmware", realistic(t), 2_000_000, 0.5, 0.7},
		{"incompressible", flowtest.ExampleJob, 921600, 0.85, 1},
	} {
		if racetest.Enabled && c.baud != 2_000_000 {
			continue // one is a sample
		}
		t.Run(fmt.Sprint(c.name, " ", c.baud), func(t *testing.T) {
			s := newBench(t, c.job)
			rom := s.modelOf(t, c.baud, "rom")
			ram := s.modelOf(t, c.baud, job.LoaderRAM)
			stub := s.stubSeconds(c.baud, rom)
			t.Logf("rom %.2f s, ram %.2f s (%.3f), stub %.2f s (%.3f); code: %+v", rom.seconds, ram.seconds, ram.seconds/rom.seconds, stub, ram.seconds/stub, ram.Code)
			if part := ram.seconds / rom.seconds; part > c.most {
				t.Errorf("%.3f of the ROM's time, want at most %.2f", part, c.most)
			}
			if sent, least := ram.Code.BytesIn+int(code.Size())-ram.escapes, s.compressed(t); float64(sent) > 1.02*float64(least) {
				t.Errorf("the loader and what it was sent are %d bytes without escapes, the images take %d compressed", sent, least)
			}
			if part := ram.seconds / stub; part > c.stub {
				t.Errorf("%.3f of a stub's time, want at most %.2f", part, c.stub)
			}
		})
	}
}
