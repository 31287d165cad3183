package flow_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/ledger"
	"station/internal/port"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/station"
)

// onToken is a visit while the token does what the faults say.
func onToken(list ...string) provocation {
	return func(t *testing.T) (code flow.Code) {
		cfg, faults := hsmtest.Faulty(t, hsmtest.Known(t, hsmtest.Token(t), flowtest.Master, hsmtest.Master))
		token := hsmtest.Open(t, cfg)
		job := flowtest.SmallProduct(t)
		synctest.Test(t, func(t *testing.T) {
			s := newShift(t, token, job)
			faults.Set(list...)
			wire, err := flowtest.NewChip(t, sim.Options{FlashSize: 1 << 20}).Open()
			if err != nil {
				t.Fatal(err)
			}
			code = flowtest.CodeOf(s.Line.Device(t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{})))
		})
		return code
	}
}

// noPIN opens a token whose PIN file anybody may read.
func noPIN(t *testing.T) flow.Code {
	cfg := hsmtest.Token(t)
	if err := os.Chmod(strings.TrimPrefix(cfg.URI.PINSource, "file:"), 0o644); err != nil {
		t.Fatal(err)
	}
	token, err := hsm.Open(cfg)
	if err == nil {
		token.Close()
		return "it was opened"
	}
	return flow.FailureFrom(station.TokenFailure(err)).Code
}

// twoTokens opens a token by what it has in common with the one beside it.
func twoTokens(t *testing.T) flow.Code {
	cfg := hsmtest.Token(t)
	other := exec.Command("softhsm2-util", "--init-token", "--free", "--label", cfg.URI.Token, "--so-pin", "12345678", "--pin", "1234")
	if out, err := other.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cfg.URI.Serial = ""
	token, err := hsm.Open(cfg)
	if err == nil {
		token.Close()
		return "it was opened"
	}
	return flow.FailureFrom(station.TokenFailure(err)).Code
}

func readOnlyLedger(t *testing.T) flow.Code {
	s := newSmallBench(t)
	book, err := ledger.Open(s.Ledger.Path(), ledger.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	r := s.Runner()
	r.Ledger = book
	wire, err := flowtest.NewChip(t, sim.Options{}).Open()
	if err != nil {
		t.Fatal(err)
	}
	return flowtest.CodeOf(r.Device(t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{})))
}

func openLedgerFile(t *testing.T, path string) {
	book, err := ledger.Open(path, ledger.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { book.Close() })
}

func onLedgerFile(spoil func(t *testing.T, path string)) provocation {
	return func(t *testing.T) flow.Code {
		path := filepath.Join(t.TempDir(), "ledger.db")
		if err := ledger.Create(path, record.Entry{}); err != nil {
			t.Fatal(err)
		}
		spoil(t, path)
		_, err := ledger.Open(path, ledger.Options{})
		return flow.FailureFrom(station.LedgerFailure(err)).Code
	}
}

// onPort is a line of one slot at that port.
func onPort(path func(t *testing.T) string) provocation {
	return func(t *testing.T) flow.Code {
		token := hsmtest.Open(t, hsmtest.Known(t, hsmtest.Token(t), flowtest.Master, hsmtest.Master))
		s := newShift(t, token, flowtest.SmallProduct(t), station.RealSlot{Name: "1", Port: path(t), Reset: "manual", Once: true}.Slot())
		s.Line.Once = true
		s.Line.Run(t.Context())
		return s.Code(flow.DeviceFailed)
	}
}

// heldPort is a port that is open elsewhere.
func heldPort(t *testing.T) string {
	pty, err := flowtest.NewChip(t, sim.Options{NoLines: true, InLoader: true}).ServePTY(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	held, err := port.Host.Open(pty.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Close() })
	return pty.Path
}

func quotaUsedUp(t *testing.T) flow.Code {
	s := newSmallBench(t, "[key]", "[quota]\ndevices = 1\n\n[key]")
	s.Visit(flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(0)}))
	return flowtest.CodeOf(s.Visit(flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(1)})))
}

func batchClosed(t *testing.T) flow.Code {
	s := newSmallBench(t)
	for _, kind := range []record.Kind{record.BatchOpened, record.BatchClosed} {
		if _, err := s.Ledger.Append(record.Entry{Kind: kind, Batch: "b", Operator: "eve", Message: "test", Simulated: true}); err != nil {
			t.Fatal(err)
		}
	}
	wire, err := flowtest.NewChip(t, sim.Options{}).Open()
	if err != nil {
		t.Fatal(err)
	}
	r := s.Runner()
	r.Batch = "b"
	return flowtest.CodeOf(r.Device(t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{})))
}

// alike puts devices into a line that never start.
func alike(t *testing.T) (code flow.Code) {
	token := hsmtest.Open(t, hsmtest.Known(t, hsmtest.Token(t), flowtest.Master, hsmtest.Master))
	job := flowtest.SmallProduct(t)
	synctest.Test(t, func(t *testing.T) {
		var chips []*sim.Chip
		for n := range flow.AlikeFailures + 1 {
			chips = append(chips, flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(n), FlashSize: 1 << 20, Faults: faults(sim.Fault{Kind: sim.MuteApp, Times: -1})}))
		}
		s := newShift(t, token, job, newTray(chips...).slot("1"))
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		s.Line.Run(ctx)
		code = s.Code(flow.LineHalted)
	})
	return code
}

func panics(t *testing.T) flow.Code {
	s := newSmallBench(t)
	r := s.Runner()
	broken := false
	r.Now = func() time.Time {
		if broken {
			broken = false
			panic("the clock is broken")
		}
		return time.Now()
	}
	r.Emit = func(e flow.Event) { broken = e.Event == flow.StepDone && e.Step == "admit" }
	wire, err := flowtest.NewChip(t, sim.Options{}).Open()
	if err != nil {
		t.Fatal(err)
	}
	return flowtest.CodeOf(r.Device(t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{})))
}

func labelMissing(t *testing.T) (code flow.Code) {
	l := station.Labels{Print: func(chip.MAC) error {
		_, err := os.OpenFile(filepath.Join(t.TempDir(), "no", "printer"), os.O_WRONLY, 0)
		return err
	}}
	emit := l.Watch(func(e flow.Event) {
		if e.Event == flow.LabelFailed {
			code = e.Code
		}
	})
	emit(flow.Event{Event: flow.DevicePassed, Slot: "1", MAC: station.VirtualMAC(1)})
	emit(flow.Event{Event: flow.LineDone})
	return code
}
