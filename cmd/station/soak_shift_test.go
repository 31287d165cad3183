package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"station/internal/flow"
)

// shift is one run of the line: a job, a batch, and chips that wait.
type shift struct {
	*soak
	goods   *goods
	batch   string
	works   *works
	resumes bool // after failures alike

	mu       sync.Mutex
	waiting  []*turn
	all      []*turn
	inSlot   map[string]*turn
	stop     context.CancelFunc
	scanning *sync.WaitGroup
	done     chan struct{}
}

const soakSlots = 6

func (s *soak) shift() {
	s.shifts++
	sh := &shift{soak: s, goods: s.goods[s.IntN(len(s.goods))], inSlot: map[string]*turn{}}
	sh.batch = s.someBatch(sh.goods)
	for range 4 + s.IntN(12) {
		sh.bring()
	}
	if !sh.goods.serial && s.IntN(3) == 0 {
		sh.inAProcess()
	} else {
		sh.inHere()
	}
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

// inHere is a line of this process, which ends by itself.
func (sh *shift) inHere() {
	sh.goOn()
	err := sh.open()
	var verdicts map[string]int
	if err != nil {
		sh.works.Close()
	} else {
		synctest.Test(sh.t, func(t *testing.T) { err = sh.work(t) })
		verdicts = sh.verdicts()
	}
	sh.follow()
	sh.exit(exitCode(err), verdicts)
}

// exit holds the code with which the line ended against the model.
func (sh *shift) exit(code int, verdicts map[string]int) {
	want := exit(verdicts, len(sh.all))
	if b := sh.model.batches[sh.batch]; verdicts == nil && sh.batch != "" {
		want = 2
		sh.model.must(b == nil || b.frozen != nil || b.digest != "" && b.digest != sh.goods.digest, "no run in batch %q", sh.batch)
	}
	sh.model.must(code == want, "exit code %d, want %d: %v, %d wanted", code, want, verdicts, len(sh.all))
	sh.exits[fmt.Sprint(code)]++
}

// goOn lets a line go on that devices have stopped, mostly.
func (sh *shift) goOn() {
	sh.resumes = sh.model.worst(sh.goods.digest, "") >= sh.model.limit && sh.IntN(3) > 0
	if sh.resumes {
		delete(sh.model.alike, sh.goods.digest)
	}
}

// open is what run does before its first device.
func (sh *shift) open() error {
	r := &runFlags{options: &options{station: filepath.Join(sh.dir, "station.toml")}, job: sh.goods.path, batch: sh.batch,
		operator: "anna", approve: sh.goods.plan, headless: true, count: len(sh.all)}
	for n := range soakSlots {
		r.ports = append(r.ports, fmt.Sprintf("socket://127.0.0.1:%d", n+1))
	}
	r.goOn = sh.resumes
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
	sh.scanning = &people
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

// hear keeps verdicts, and stops a line that only a person can let go on.
func (sh *shift) hear(e flow.Event) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	switch {
	case e.Event == flow.LineHalted:
		for _, v := range sh.all {
			v.halted = v.halted || e.Code == "E-ALIKE"
		}
		if sh.stop != nil {
			sh.halt()
		}
	case e.Verdict != "":
		sh.inSlot[e.Slot].event = &e
	case e.Event == flow.StepStarted:
		v := sh.inSlot[e.Slot]
		if v.step = e.Step; e.Step == "bind" && sh.scanning != nil {
			sh.scanning.Go(func() { sh.scan(v) })
		}
	}
}

// halt stops the line. Those who are in the slots may be stopped anywhere.
func (sh *shift) halt() {
	for _, v := range sh.inSlot {
		v.trouble()
	}
	sh.stop()
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
