package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/sim"
)

// shift is one run of the line: a job, a batch, and chips that wait.
type shift struct {
	*soak
	goods *goods
	batch string
	works *works

	mu      sync.Mutex
	waiting []*turn
	all     []*turn
	inSlot  map[string]*turn
	stop    context.CancelFunc
	done    chan struct{}
}

// turn is a visit with its chip.
type turn struct {
	visit
	piece *piece
	flaws []sim.Fault
	chip  *sim.Chip // while it is in the slot
	event *flow.Event
}

const soakSlots = 6

func (s *soak) shift() {
	s.shifts++
	sh := &shift{soak: s, goods: s.goods[s.IntN(len(s.goods))], inSlot: map[string]*turn{}}
	sh.batch = s.someBatch(sh.goods)
	for range 4 + s.IntN(12) {
		sh.bring()
	}
	err := sh.open()
	var verdicts map[string]int
	if err != nil {
		sh.works.Close()
	} else {
		synctest.Test(s.t, func(t *testing.T) { err = sh.work(t) })
		verdicts = sh.verdicts()
	}
	s.follow()
	want := exit(verdicts, len(sh.all))
	if b := s.model.batches[sh.batch]; verdicts == nil && sh.batch != "" {
		want = 2
		s.model.must(b == nil || b.frozen != nil || b.digest != "" && b.digest != sh.goods.digest, "no run in batch %q: %v", sh.batch, err)
	}
	s.model.must(exitCode(err) == want, "exit code %d (%v), want %d: %v, %d wanted", exitCode(err), err, want, verdicts, len(sh.all))
	s.exits[fmt.Sprint(exitCode(err))]++
	for _, v := range sh.all {
		if v.event != nil {
			s.model.ended(&v.visit, string(v.event.Verdict), string(v.event.Code), v.event.Already)
			s.visits++
			s.ends[string(v.event.Verdict)+" "+string(v.event.Code)]++
		}
	}
	s.compare()
	if os.Getenv("SOAK_DUMP") != "" && len(s.model.faults) > 0 {
		s.t.Log(s.do(always(0), "ledger", "export", "--table", "entries"))
	}
	for _, f := range s.model.faults {
		s.t.Errorf("shift %d: %s", s.shifts, f)
	}
	s.model.faults, s.model.open = nil, nil
	clear(s.queue)
}

// open is what run does before its first device.
func (sh *shift) open() error {
	r := &runFlags{options: &options{station: filepath.Join(sh.dir, "station.toml")}, job: sh.goods.path, batch: sh.batch,
		operator: "anna", approve: sh.goods.plan, headless: true, count: len(sh.all)}
	for n := range soakSlots {
		r.ports = append(r.ports, fmt.Sprintf("socket://127.0.0.1:%d", n+1))
	}
	r.goOn = sh.model.worst(sh.goods.digest, "") >= sh.model.limit && sh.IntN(3) > 0
	if r.goOn {
		delete(sh.model.alike, sh.goods.digest)
	}
	sh.works = &works{runFlags: r}
	ctx := context.Background()
	if err := sh.works.loadFiles(); err != nil {
		return err
	}
	if err := sh.works.batchTakes(); err != nil {
		return err
	}
	if err := sh.works.open(ctx, nil); err != nil {
		return err
	}
	return sh.works.approveAs(r.approve)
}

// work is the line, and the people beside it.
func (sh *shift) work(t *testing.T) error {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	sh.stop, sh.done = stop, make(chan struct{})
	line := sh.works.line()
	line.Emit = sh.hear
	for i := range line.Slots {
		slot := &line.Slots[i]
		slot.Next = func(ctx context.Context, _ func()) (flow.Loader, error) { return sh.next(slot.Name) }
		slot.Again = nil
	}
	var people sync.WaitGroup
	people.Go(sh.people)
	counts := line.Run(ctx)
	close(sh.done)
	people.Wait()
	for _, v := range sh.all {
		if v.chip != nil {
			v.chip.Close()
		}
	}
	sh.works.Close()
	return lineExit(counts)
}

// next puts the next chip into a slot.
func (sh *shift) next(slot string) (flow.Loader, error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.inSlot, slot)
	if len(sh.waiting) == 0 {
		return nil, io.EOF
	}
	v := sh.waiting[0]
	sh.waiting = sh.waiting[1:]
	for _, other := range sh.inSlot {
		if other.mac == v.mac {
			v.overlapped, other.overlapped = true, true
		}
	}
	v.slot = slot
	sh.inSlot[slot] = v
	sh.queue[slot] = append(sh.queue[slot], &v.visit)
	sh.model.open = append(sh.model.open, &v.visit)
	return v.plug()
}

func (v *turn) plug() (flow.Loader, error) {
	words := v.piece.words
	c, err := sim.New(sim.Options{Words: &words, Flash: v.piece.flash(), FlashSize: v.piece.size, Real: true, Faults: v.flaws})
	if err != nil {
		return nil, err
	}
	wire, err := c.Open()
	if err != nil {
		return nil, err
	}
	v.chip = c
	v.before = words
	return &plugged{esploader.New(wire, esploader.Options{}), v}, nil
}

// plugged is a chip that is looked at when it is taken out.
type plugged struct {
	*esploader.Loader
	v *turn
}

func (p *plugged) Close() error {
	err := p.Loader.Close()
	c, v := p.v.chip, p.v
	m := c.Meter()
	v.written = m.PagesProgrammed+m.SectorsErased+m.FuseBurns > 0
	v.after = c.Fuses()
	v.piece.keep(v.after, c.Flash())
	return err
}

// hear keeps verdicts, and stops a line that only a person can let go on.
func (sh *shift) hear(e flow.Event) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	switch {
	case e.Event == flow.LineHalted:
		for _, v := range sh.all {
			v.halted = v.halted || e.Code == "E-ALIKE"
		}
		sh.halt()
	case e.Verdict != "":
		sh.inSlot[e.Slot].event = &e
	}
}

// halt stops the line. Those who are in the slots may be stopped anywhere.
func (sh *shift) halt() {
	for _, v := range sh.inSlot {
		v.trouble()
	}
	sh.stop()
}

// trouble says that anything may happen to the chip. What became of it is not
// known from outside, so none of its MAC may come again as another one.
func (v *turn) trouble() {
	v.troubled, v.piece.quiet = true, false
}

func (sh *shift) verdicts() map[string]int {
	sums := map[string]int{}
	for _, v := range sh.all {
		if v.event != nil {
			sums[string(v.event.Verdict)]++
		}
	}
	return sums
}
