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

// place is one slot at work.
type place struct {
	Slot
	line    *Line
	told    Code     // what is wrong with the port, once it has been told
	unlucky chip.MAC // the last device, if it met a fault of the station
}

// work brings one device after the other to a verdict. looking ends with ctx,
// or before it when no more devices are wanted.
func (p *place) work(ctx, looking context.Context) {
	for p.line.await(looking) {
		loader, err := p.Next(looking, p.removed)
		if err != nil {
			if errors.Is(err, io.EOF) || looking.Err() != nil || !p.noDevice(looking, err) {
				return
			}
			continue
		}
		p.told = ""
		if !p.begin(looking, loader) {
			continue
		}
		out := p.line.Device(ctx, p.Name, p.Port, loader)
		p.judge(looking, out)
		p.line.end(out)
		if p.line.Once {
			return
		}
		p.line.awaitAck(looking, p.Name)
	}
}

// begin takes the right to work on the device behind the loader. A line that
// was halted or paused while the slot waited for the device lets go of it: by
// the time the line goes on another one may be there.
func (p *place) begin(looking context.Context, loader Loader) bool {
	for !p.line.begin() {
		if p.Again != nil || !p.line.await(looking) {
			loader.Close()
			p.again()
			return false
		}
	}
	return true
}

// judge draws the line's conclusions from a verdict. A device that met a fault
// of the station need not be put back: it is tried once more when the line
// goes on.
func (p *place) judge(looking context.Context, out Outcome) {
	if alike := p.line.gate.settle(out); alike != nil {
		p.line.halt(looking, alike)
	}
	was := p.unlucky
	p.unlucky = chip.MAC{}
	switch {
	case out.Verdict == record.Station:
		p.line.halt(looking, out.Failure)
		if p.unlucky = out.MAC; out.MAC != was {
			p.again()
		}
	case out.Verdict != record.Pass && p.line.NeedAck:
		p.line.holdForAck(p.Name)
	}
}

func (p *place) again() {
	if p.Again != nil {
		p.Again()
	}
}

func (p *place) removed() {
	p.line.Emit(Event{Time: p.line.now(), Event: DeviceRemoved, Slot: p.Name, Port: p.Port})
}

// noDevice tells of a port that cannot be used, once. It reports whether the
// slot shall try it again.
func (p *place) noDevice(looking context.Context, err error) bool {
	f := PortFailure(err)
	if f.Code != p.told {
		p.told = f.Code
		kind := f.Kind()
		p.line.Emit(Event{Time: p.line.now(), Event: DeviceFailed, Slot: p.Name, Port: p.Port, Step: Procedure(p.line.Job)[0].ID, Verdict: kind.Verdict,
			Code: f.Code, Message: kind.Sentence, Action: kind.Action, Detail: f.Err.Error()})
		p.line.add(kind.Verdict)
	}
	if p.line.Once {
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
