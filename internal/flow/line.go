package flow

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"station/internal/record"
)

// Slot is one place of the fixture.
type Slot struct {
	Name, Port string
	// Next waits for a device in the slot and opens its port. It returns
	// io.EOF when there will be none any more.
	Next func(ctx context.Context) (Loader, error)
}

// Line runs the procedure in several slots at once.
type Line struct {
	Runner
	Slots []Slot
	Once  bool // one device for each slot
	Count int  // devices in all; 0 is no limit
	// Healthy asks whether the station can start a device; nil is yes. After a
	// STATION verdict no device is started until it answers nil.
	Healthy func(ctx context.Context) error

	mu     sync.Mutex
	begun  int
	counts Counts
	halted bool
}

// retryHealth is how often a halted line asks whether it can go on.
const retryHealth = time.Second

// Run works until every slot is done, the count is reached or ctx ends. A
// device that has been begun is always brought to a verdict.
func (l *Line) Run(ctx context.Context) Counts {
	emit := l.Emit
	var emitMu sync.Mutex
	l.Emit = func(e Event) { // one event at a time, in order
		emitMu.Lock()
		defer emitMu.Unlock()
		if emit != nil {
			emit(e)
		}
	}
	ready := l.event(LineReady)
	for _, s := range l.Slots {
		ready.Slots = append(ready.Slots, s.Name)
	}
	l.Emit(ready)
	var wg sync.WaitGroup
	for _, s := range l.Slots {
		wg.Go(func() { l.slot(ctx, s) })
	}
	wg.Wait()
	counts := l.Counts()
	done := l.event(LineDone)
	done.Counts = &counts
	l.Emit(done)
	return counts
}

func (l *Line) event(name string) Event {
	return Event{Time: l.now(), Event: name, Job: l.Job.Name, Revision: l.Job.Revision, Batch: l.Batch,
		Station: l.Station, Operator: l.Operator, Simulated: l.Simulated}
}

// Counts are the results so far.
func (l *Line) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

func (l *Line) slot(ctx context.Context, s Slot) {
	for l.take(ctx) {
		if !l.visit(ctx, s) || l.Once {
			return
		}
	}
}

// visit brings one device of the slot to a verdict. It reports whether the
// slot goes on.
func (l *Line) visit(ctx context.Context, s Slot) bool {
	loader, err := s.Next(ctx)
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		if loader != nil {
			loader.Close()
		}
		l.giveBack()
		return false
	}
	var out Outcome
	if err != nil {
		out = l.noDevice(s, err)
	} else {
		out = l.Device(ctx, s.Name, s.Port, loader)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.add(out.Verdict, out.Already)
	l.halted = l.halted || out.Verdict == record.Station
	return true
}

// noDevice is the verdict of a slot whose port cannot be opened.
func (l *Line) noDevice(s Slot, err error) Outcome {
	f := FailureFrom(err)
	kind := f.Kind()
	l.Emit(Event{Time: l.now(), Event: DeviceFailed, Slot: s.Name, Port: s.Port, Step: "connect", Verdict: kind.Verdict,
		Code: string(f.Code), Message: kind.Sentence, Action: kind.Action, Detail: f.Err.Error()})
	return Outcome{Verdict: kind.Verdict, Failure: f}
}

// take asks for the right to start a device: the count is not reached, and the
// station is well or well again.
func (l *Line) take(ctx context.Context) bool {
	for ctx.Err() == nil {
		l.mu.Lock()
		full := l.Count > 0 && l.begun >= l.Count
		halted := l.halted
		if !full && !halted {
			l.begun++
		}
		l.mu.Unlock()
		if full {
			return false
		}
		if !halted {
			return true
		}
		l.recover(ctx)
	}
	return false
}

func (l *Line) giveBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun--
}

// recover clears a halt when the station is well again, and waits where it is not.
func (l *Line) recover(ctx context.Context) {
	if l.Healthy == nil || l.Healthy(ctx) == nil {
		l.mu.Lock()
		l.halted = false
		l.mu.Unlock()
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(retryHealth):
	}
}
