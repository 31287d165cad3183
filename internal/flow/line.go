package flow

import (
	"context"
	"fmt"
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
	// OnHand takes who is told what a person has to do at a slot that cannot reset
	// its device; nil where none can be needed.
	OnHand func(tell func(do Hand, until time.Time))
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
	// Healthy asks whether the station can make a device; nil is yes. After a
	// STATION verdict no device is started until it answers nil.
	Healthy func(ctx context.Context) error
	// Faults may tell of faults of the station that no device meets; each halts the line.
	Faults <-chan *Failure
	// NeedAck holds a slot whose device did not pass, for a reason of its own,
	// until Ack.
	NeedAck bool
	// Alike is how many devices may fail alike after a burn before the line
	// stops, and are burned at a time; 0 is AlikeFailures. Attended says that a person can let it GoOn.
	Alike    int
	Attended bool
	// Past is how devices of this job ended before the program was started; a
	// line that they stopped goes on at once where a person said so with Resume.
	Past   []Outcome
	Resume bool

	mu      sync.Mutex
	begun   int // devices, without those that met a fault of the station
	ended   int // of them, with a verdict
	counts  Counts
	halted  *Failure
	paused  bool
	changed chan struct{}            // closed when any of the above changes
	enough  func()                   // no more devices are wanted
	acks    map[string]chan struct{} // slots that wait for Ack
	healing sync.WaitGroup
}

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
	ready.Target = l.Job.Line.Target
	for _, step := range Procedure(l.Job) {
		ready.Steps = append(ready.Steps, step.ID)
	}
	for _, s := range l.Slots {
		ready.Slots = append(ready.Slots, s.Name)
	}
	l.Emit(ready)
	l.tellUndeclared()
	looking, enough := context.WithCancel(ctx)
	l.openGate(looking)
	l.enough = enough
	l.healing.Go(func() { l.hear(looking) })
	var wg sync.WaitGroup
	for _, s := range l.Slots {
		w := &worker{Slot: s, line: l}
		if s.OnHand != nil {
			s.OnHand(w.hand)
		}
		wg.Go(func() { w.work(ctx, looking) })
	}
	wg.Wait()
	enough()
	l.healing.Wait()
	counts := l.Counts()
	done := l.event(LineDone)
	done.Counts = &counts
	l.tellUndeclared()
	l.Emit(done)
	return counts
}

// tellUndeclared says at both ends of a run that nobody opened its batch.
func (l *Line) tellUndeclared() {
	if !l.Undeclared || l.Batch == "" {
		return
	}
	e := l.event(BatchUndeclared)
	e.Message = fmt.Sprintf("Nobody opened the batch %q: it has no quota and takes devices of every job.", l.Batch)
	e.Action = "If the name is mistyped, stop the line. Otherwise open it with \"station batch open\"."
	l.Emit(e)
}

func (l *Line) event(name string) Event {
	return Event{Time: l.now(), Event: name, Job: l.Job.Name, Revision: l.Job.Revision, Batch: l.Batch,
		Station: l.Station, Operator: l.Operator, Simulated: l.Simulated}
}

// Counts are the results so far.
func (l *Line) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counts
	switch {
	case l.Once:
		c.Missing = len(l.Slots) - c.Done()
	case l.Count > 0:
		c.Missing = l.Count - l.ended
	}
	return c
}

// may reports whether a device may be begun now, and whether one ever will be.
// The caller holds mu.
func (l *Line) may() (now, ever bool) {
	switch {
	case l.Count > 0 && l.ended >= l.Count, l.Once && l.halted != nil:
		return false, false
	case l.halted != nil, l.paused, l.Count > 0 && l.begun >= l.Count:
		return false, true
	}
	return true, true
}

// await waits until a device may be begun; false: never again.
func (l *Line) await(ctx context.Context) bool {
	for {
		l.mu.Lock()
		now, ever := l.may()
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		if ctx.Err() != nil || now || !ever {
			return now && ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// begin takes the right to work on a device.
func (l *Line) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, _ := l.may()
	if now {
		l.begun++
	}
	return now
}

// end counts the verdict of a device that was begun. One that met a fault of
// the station is not one of the devices that were asked for.
func (l *Line) end(out Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Add(out.Verdict, out.Already)
	if out.Verdict == record.Station {
		l.begun--
	} else {
		l.ended++
	}
	if l.Count > 0 && l.ended >= l.Count {
		l.enough()
	}
	l.change()
}

// add counts the verdict of a slot without a device.
func (l *Line) add(v record.Verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Add(v, false)
}

// change wakes everybody who waits for the line. The caller holds mu.
func (l *Line) change() {
	if l.changed != nil {
		close(l.changed)
	}
	l.changed = make(chan struct{})
}

// Pause starts no new device while on; devices that were begun go on.
func (l *Line) Pause(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = on
	l.change()
}

// openGate begins where the last line of this job ended.
func (l *Line) openGate(looking context.Context) {
	l.gate = newGate(l.Alike, l.Attended)
	l.gate.recall(l.Past)
	stop := l.gate.stopped()
	switch {
	case stop == nil:
	case l.Resume && l.remark(record.LineResumed, stop) == nil:
		l.gate.goOn()
	default:
		l.halt(looking, stop)
	}
}

// GoOn lets a line go on that was stopped because devices failed alike. What
// failed before is forgotten.
func (l *Line) GoOn() {
	if l.gate != nil {
		l.gate.goOn()
	}
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

// holdForAck holds the slot until Ack.
func (l *Line) holdForAck(slot string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.acks == nil {
		l.acks = map[string]chan struct{}{}
	}
	l.acks[slot] = make(chan struct{})
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
