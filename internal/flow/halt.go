package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"station/internal/record"
)

// A fault of the station halts the line: no device is started until the fault
// is over, and those that were begun go on.

// retryHealth is how often a halted line asks whether it can go on.
const retryHealth = time.Second

// untilRestart are faults of the station that cannot pass while the program runs.
var untilRestart = map[Code]bool{"E-PANIC": true, "E-QUOTA": true, "E-BATCH": true, "E-HSM-SOFTWARE": true, "E-SERIAL": true}

// halt lets no device be started any more, and has somebody look after it.
func (l *Line) halt(ctx context.Context, f *Failure) {
	l.mu.Lock()
	first := l.halted == nil
	if first {
		l.halted = f
		l.change()
	}
	l.mu.Unlock()
	if !first {
		return
	}
	l.tell(LineHalted, f)
	_ = l.remark(record.LineHalted, f) // where the ledger is at fault it cannot be told there
	l.healing.Go(func() { l.heal(ctx, f) })
}

// hear halts the line for the faults that are told.
func (l *Line) hear(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-l.Faults:
			l.halt(ctx, f)
		}
	}
}

// heal asks until the station is well again.
func (l *Line) heal(ctx context.Context, f *Failure) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryHealth):
		}
		err := l.well(ctx, f)
		if ctx.Err() != nil {
			return
		}
		if now := FailureFrom(err); err != nil && now.Code != f.Code {
			f = now // one fault is over and shows another
			l.setHalted(f)
			l.tell(LineHalted, f)
		}
		if err == nil {
			l.setHalted(nil)
			l.tell(LineResumed, f)
			return
		}
	}
}

// well reports whether a device could be made now. The entry that says so is
// the proof that the ledger takes one.
func (l *Line) well(ctx context.Context, f *Failure) error {
	if untilRestart[f.Code] {
		return f
	}
	if stop := l.gate.stopped(); stop != nil {
		return stop
	}
	if l.Healthy != nil {
		if err := l.Healthy(ctx); err != nil {
			return err
		}
	}
	return l.remark(record.LineResumed, f)
}

func (l *Line) setHalted(f *Failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.halted = f
	l.change()
}

func (l *Line) tell(event string, f *Failure) {
	e, kind := l.event(event), f.Kind()
	e.Code, e.Message, e.Action, e.Detail = f.Code, kind.Sentence, kind.Action, f.Err.Error()
	var alike *alikeError
	if errors.As(f.Err, &alike) {
		e.Cause = alike.code
	}
	if event == LineResumed {
		e.Message, e.Action, e.Detail = "The line goes on.", "", ""
	}
	l.Emit(e)
}

// remark is an entry of the ledger about the line.
func (l *Line) remark(kind record.Kind, f *Failure) error {
	_, err := l.Ledger.Append(record.Entry{Kind: kind, Operator: l.Operator, Simulated: l.Simulated, Job: l.Job.Name, Revision: l.Job.Revision, JobHash: l.Job.Digest(),
		Batch: l.Batch, Code: f.Code, Message: f.Err.Error()})
	if err != nil {
		return Fail("E-LEDGER", fmt.Errorf("ledger: %s: %w", kind, err))
	}
	return nil
}
