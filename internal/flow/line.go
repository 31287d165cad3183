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
	// io.EOF when there will be none any more, and calls removed when the
	// device that was there before has left.
	Next func(ctx context.Context, removed func()) (Loader, error)
	// Again makes the device that is there the next one; nil where the slot
	// cannot do that.
	Again func()
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
	// NeedAck holds a slot whose device did not pass until Ack.
	NeedAck bool

	mu      sync.Mutex
	begun   int
	counts  Counts
	halted  bool
	paused  bool
	changed chan struct{}            // closed when paused or acks change
	acks    map[string]chan struct{} // slots that wait for Ack
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
		l.awaitAck(ctx, s.Name)
	}
}

// visit brings one device of the slot to a verdict. It reports whether the
// slot goes on.
func (l *Line) visit(ctx context.Context, s Slot) bool {
	loader, err := s.Next(ctx, func() {
		l.Emit(Event{Time: l.now(), Event: DeviceRemoved, Slot: s.Name, Port: s.Port})
	})
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
	if l.NeedAck && out.Verdict != record.Pass {
		if l.acks == nil {
			l.acks = map[string]chan struct{}{}
		}
		l.acks[s.Name] = make(chan struct{})
	}
	return true
}

// noDevice is the verdict of a slot whose port cannot be opened.
func (l *Line) noDevice(s Slot, err error) Outcome {
	f := FailureFrom(err)
	if f.Code == "E-UNKNOWN" {
		f = &Failure{"E-PORT", err}
	}
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
		halted, paused := l.halted, l.paused
		if !full && !halted && !paused {
			l.begun++
		}
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		switch {
		case full:
			return false
		case paused:
			select {
			case <-ctx.Done():
			case <-changed:
			}
		case halted:
			l.recover(ctx)
		default:
			return true
		}
	}
	return false
}

// Pause starts no new device while on; devices that were begun go on.
func (l *Line) Pause(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = on
	if l.changed != nil {
		close(l.changed)
	}
	l.changed = make(chan struct{})
}

// Ack says that a person has seen the failure in a slot.
func (l *Line) Ack(slot string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wait := l.acks[slot]; wait != nil {
		close(wait)
		delete(l.acks, slot)
	}
}

func (l *Line) awaitAck(ctx context.Context, slot string) {
	l.mu.Lock()
	wait := l.acks[slot]
	l.mu.Unlock()
	if wait == nil {
		return
	}
	select {
	case <-ctx.Done():
	case <-wait:
	}
}

// Retry tries the device that is in the slot once more.
func (l *Line) Retry(slot string) {
	l.Ack(slot)
	for _, s := range l.Slots {
		if s.Name == slot && s.Again != nil {
			s.Again()
		}
	}
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
