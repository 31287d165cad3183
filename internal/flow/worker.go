package flow

import (
	"context"
	"errors"
	"io"
	"time"

	"station/internal/chip"
	"station/internal/record"
)

// retryPort is how often a slot tries a port that cannot be used.
const retryPort = time.Second

// worker brings the devices of one slot to their verdicts.
type worker struct {
	Slot
	line     *Line
	reported Code     // what is wrong with the port, once an event said so
	unlucky  chip.MAC // the last device, if it met a fault of the station
}

// work brings one device after the other to a verdict. looking ends with ctx,
// or before it when no more devices are wanted. It ends a moment after ctx, in
// which no device may be begun.
func (w *worker) work(ctx, looking context.Context) {
	for w.line.await(looking) && ctx.Err() == nil {
		loader, err := w.Next(looking, w.removed)
		if err != nil {
			if errors.Is(err, io.EOF) || looking.Err() != nil || !w.noDevice(looking, err) {
				return
			}
			continue
		}
		w.reported = ""
		if !w.begin(looking, loader) {
			continue
		}
		out := w.line.Device(ctx, w.Name, w.Port, loader)
		w.judge(looking, out)
		w.line.end(out)
		if w.line.Once {
			return
		}
		w.line.awaitAck(looking, w.Name)
	}
}

// begin takes the right to work on the device behind the loader. A line that
// was halted or paused while the slot waited for the device lets go of it: by
// the time the line goes on another one may be there.
func (w *worker) begin(looking context.Context, loader Loader) bool {
	for !w.line.begin() {
		if w.Again != nil || !w.line.await(looking) {
			loader.Close()
			w.again()
			return false
		}
	}
	return true
}

// judge draws the line's conclusions from a verdict. A device that met a fault
// of the station need not be put back: it is tried once more when the line
// goes on.
func (w *worker) judge(looking context.Context, out Outcome) {
	if alike := w.line.gate.settle(out); alike != nil {
		w.line.halt(looking, alike)
	}
	was := w.unlucky
	w.unlucky = chip.MAC{}
	switch {
	case out.Verdict == record.Station:
		w.line.halt(looking, out.Failure)
		if w.unlucky = out.MAC; out.MAC != was {
			w.again()
		}
	case out.Verdict != record.Pass && w.line.NeedAck:
		w.line.holdForAck(w.Name)
	}
}

func (w *worker) again() {
	if w.Again != nil {
		w.Again()
	}
}

func (w *worker) removed() {
	w.line.Emit(Event{Time: w.line.now(), Event: DeviceRemoved, Slot: w.Name, Port: w.Port})
}

// noDevice tells of a port that cannot be used, once. It reports whether the
// slot shall try it again.
func (w *worker) noDevice(looking context.Context, err error) bool {
	f := PortFailure(err)
	if f.Code != w.reported {
		w.reported = f.Code
		kind := f.Kind()
		w.line.Emit(Event{Time: w.line.now(), Event: DeviceFailed, Slot: w.Name, Port: w.Port, Step: Procedure(w.line.Job)[0].ID, Verdict: kind.Verdict,
			Code: f.Code, Message: kind.Sentence, Action: kind.Action, Detail: f.Err.Error()})
		w.line.add(kind.Verdict)
	}
	if w.line.Once {
		return false
	}
	select {
	case <-looking.Done():
		return false
	case <-time.After(retryPort):
		return true
	}
}

// PortFailure turns an error of opening a port into a Failure: no device has
// been asked yet.
func PortFailure(err error) *Failure {
	f := FailureFrom(err)
	if f.Code == "E-UNKNOWN" {
		f = &Failure{"E-PORT", f.Err}
	}
	return f
}
