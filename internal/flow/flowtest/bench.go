// Package flowtest sets up a station for tests: the procedure of package flow with
// a real token, a real ledger and virtual chips.
package flowtest

import (
	"context"
	"encoding/binary"
	"path/filepath"
	"sync"
	"testing"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/job"
	"station/internal/ledger"
	"station/internal/sim"
)

// Keys are keys out of a token, and whether a job's are there.
type Keys interface {
	flow.Keys
	Ready(ctx context.Context, j *job.Job) error
}

// KeysOf joins a token to package flow, as station.Keys does. It is given by the
// tests: those of package station cannot import what imports station.
type KeysOf func(*hsm.Token) Keys

// Bench is a station with a real token and a real ledger.
type Bench struct {
	T      testing.TB
	KeysOf KeysOf
	Job    *job.Job
	Token  *hsm.Token
	Ledger *ledger.Ledger

	mu     sync.Mutex
	Events []flow.Event // of its runners; to be read when they have ended
}

// New is a bench for a job.
func New(t testing.TB, keysOf KeysOf, jobPath string) *Bench {
	t.Helper()
	job, err := job.Load(jobPath)
	if err != nil {
		t.Fatal(err)
	}
	cfg := hsmtest.Known(t, hsmtest.Token(t), Master, hsmtest.Master)
	s := &Bench{T: t, KeysOf: keysOf, Job: job, Token: hsmtest.Open(t, cfg)}
	s.OpenLedger()
	return s
}

// NewSmall is a bench for the small product, which waits a second for a boot.
func NewSmall(t testing.TB, keysOf KeysOf, pairs ...string) *Bench {
	t.Helper()
	return New(t, keysOf, EditCopy(t, SmallProductDir, append(pairs, `timeout = "10s"`, `timeout = "1s"`)...))
}

// OpenLedger gives the bench a new ledger, which is checked when the test ends.
func (s *Bench) OpenLedger() {
	s.T.Helper()
	s.Ledger = newLedger(s.T)
}

func newLedger(t testing.TB) *ledger.Ledger {
	t.Helper()
	book, err := ledger.Open(filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Create: true, Simulated: true, Station: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for f := range book.Check(nil) {
			t.Errorf("ledger: %v", f)
		}
		if err := book.Close(); err != nil {
			t.Error(err)
		}
	})
	return book
}

// Runner runs the procedure at the bench; its events are noted.
func (s *Bench) Runner() *flow.Runner {
	return &flow.Runner{Job: s.Job, Keys: s.KeysOf(s.Token), Ledger: s.Ledger, Station: "test", Simulated: true, Emit: func(e flow.Event) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.Events = append(s.Events, e)
	}}
}

// Visit puts the chip into the slot once.
func (s *Bench) Visit(chip *sim.Chip) flow.Outcome {
	s.T.Helper()
	wire, err := chip.Open()
	if err != nil {
		s.T.Fatal(err)
	}
	return s.Runner().Device(s.T.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{}))
}

// Under gives the bench another job: the small product, edited by pairs.
func (s *Bench) Under(t *testing.T, pairs ...string) {
	t.Helper()
	job, err := job.Load(EditCopy(t, SmallProductDir, pairs...))
	if err != nil {
		t.Fatal(err)
	}
	s.Job = job
}

// NewChip is a virtual chip. One with a MAC of the factory passes for a real one.
func NewChip(t *testing.T, o sim.Options) *sim.Chip {
	t.Helper()
	o.Real = o.Real || o.State == "" && !realMAC(o).Local()
	chip, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chip.Close() })
	return chip
}

// realMAC is the MAC that the chip will have: one of the factory's makes it a
// real one, as far as a station can see.
func realMAC(o sim.Options) chip.MAC {
	if o.Words == nil {
		w := sim.FactoryWords(o)
		o.Words = &w
	}
	e := &chip.Known(o.Chip).Efuse
	mac, _ := e.Field("MAC")
	lo := mac.Word // word with the low part
	for _, b := range e.Blocks[:mac.Block] {
		lo += b.Words
	}
	m := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, uint16(o.Words[lo+1])), o.Words[lo])
	return chip.MAC(m)
}
