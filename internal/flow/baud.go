package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"station/internal/chip"
	"station/internal/job"
)

// BaudRates is what is known of the rates that the adapter in a slot can do. An
// AdapterRates is one.
type BaudRates interface {
	// Pick is the rate to use next: limit or a lower one, but none of not, and
	// why it is not limit.
	Pick(limit int, not ...int) (baud int, why string)
	// Failed: the device could not be spoken to or written at baud, and at a
	// lower rate it could.
	Failed(baud int)
	// Done: so many blocks were written at baud, so many of them more than once.
	Done(baud, blocks, again int)
}

// visitRate is the baud rate of one visit.
type visitRate struct {
	rates    BaudRates
	limit    int // the job's rate
	baud     int // in use; 0: the port's own
	reported int // the rate that the events named last

	left    []int // rates that were given up in this visit,
	doubted []int // and those of them whose fault that may not have been

	sent, again int // blocks, since the rate was last changed

	// What the step in hand has to tell.
	said    string
	retries int
}

// tell is what the end of a step says of the rate.
func (w *visitRate) tell(e *Event) {
	e.Retries, e.Message = w.retries, w.said
	if w.baud != w.reported {
		e.Baud, w.reported = w.baud, w.baud
	}
	w.said, w.retries = "", 0
}

// raise makes the connection as fast as job and adapter allow. A rate at which the
// device does not answer is left for a lower one.
func (s *Session) raise(ctx context.Context) error {
	w := &s.rate
	for {
		baud, why := w.rates.Pick(w.limit, w.left...)
		w.baud = baud
		if w.said == "" && why != "" {
			w.said = fmt.Sprintf("%d baud: %s", baud, why)
		}
		if baud == BaseBaud {
			return nil
		}
		err := s.Chip.SetBaud(ctx, baud)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errors.ErrUnsupported):
			w.baud, w.said = 0, ""
			return nil
		case errors.Is(err, chip.ErrPortGone) || ctx.Err() != nil:
			return err
		}
		again := s.enter(ctx)
		switch {
		case errors.Is(again, chip.ErrNoAnswer), errors.Is(again, chip.ErrDeaf):
			return Fail("E-BAUD", fmt.Errorf("baud rate %d: %w; and at %d: %w", baud, err, BaseBaud, again))
		case again != nil:
			return again
		case baud < BaseBaud: // nothing is below
			return Fail("E-BAUD", fmt.Errorf("baud rate %d: %w", baud, err))
		}
		w.rates.Failed(baud)
		w.left = append(w.left, baud)
		w.said = fmt.Sprintf("%d baud does not work here", baud)
	}
}

// slower brings the device back into its loader after an error on the wire, at
// a lower rate. It reports whether that makes another attempt worth while.
func (s *Session) slower(ctx context.Context, err error) bool {
	w := &s.rate
	if w.baud <= BaseBaud || ctx.Err() != nil || !errors.Is(err, chip.ErrNoAnswer) && !errors.Is(err, chip.ErrRefused) {
		return false
	}
	if s.enter(ctx) != nil {
		return false
	}
	bad := w.baud
	w.left, w.sent, w.again = append(w.left, bad), 0, 0
	w.doubted = append(w.doubted, bad)
	w.said = fmt.Sprintf("slower than %d baud, which made errors here", bad)
	return s.raise(ctx) == nil
}

// wrote counts what a write has cost.
func (w *visitRate) wrote(stats chip.WriteStats) {
	const block = 0x1000
	w.sent += (stats.Sent + block - 1) / block
	w.again += stats.Retries
	w.retries += stats.Retries
}

// disturbed reports that something went wrong in the step in hand.
func (w *visitRate) disturbed() bool { return w.retries > 0 || len(w.doubted) > 0 }

// written ends the writing: now it is known whose fault errors were.
func (w *visitRate) written() {
	for _, baud := range w.doubted {
		w.rates.Failed(baud)
	}
	w.rates.Done(w.baud, w.sent, w.again)
	w.doubted = nil
}

// enter brings the device into its loader and asks who it is. Within a visit it
// must be the same one.
func (s *Session) enter(ctx context.Context) error {
	if err := s.reach(ctx); err != nil {
		return err
	}
	id, err := s.Chip.Identify(ctx)
	if before := s.ID.MAC; before.IsZero() {
		s.ID = id
		if err == nil && s.claim != nil {
			return s.claim()
		}
	} else if err == nil && id.MAC != before {
		return failf("E-PORT-GONE", "the device was changed for another one: %s, now %s", before, id.MAC)
	}
	if err != nil {
		return fmt.Errorf("identify: %w", err)
	}
	return nil
}

// newVisitRate is the rate at which a visit begins; rates may be nil.
func newVisitRate(job *job.Job, rates BaudRates) visitRate {
	if rates == nil {
		rates = &AdapterRates{}
	}
	return visitRate{rates: rates, limit: cmp.Or(job.Flash.Baud, BaseBaud), baud: BaseBaud}
}
