package main

import (
	"context"
	"errors"
	"fmt"

	"station/internal/flow"
	"station/internal/job"
	"station/internal/keyfile"
	"station/internal/plain"
	"station/internal/record"
	"station/internal/station"
)

// works is a run on its way to a line, with a screen or without.
type works struct {
	*runFlags
	file   *station.File
	job    *job.Job
	slots  []flow.Slot
	opened *station.Station // nil until the token's PIN is known
	log    func(flow.Event)
	ended  func() error // of the log
	// verdicts are for the file of --junit; nil without it.
	verdicts *junit
	// reread tells how far the rereading of the ledger is, where the screen asks.
	reread func(done, total uint64)
}

// line is the line, once the station is open.
func (w *works) line() *flow.Line {
	if w.opened == nil {
		return nil
	}
	return w.opened.Line
}

// Close gives everything back, the log last: what is closed before it may have
// something to say.
func (w *works) Close() {
	if w.opened != nil {
		w.opened.Close()
	}
	if w.ended != nil {
		_ = w.ended()
	}
}

// loadFiles reads job and station file and finds the slots.
func (w *works) loadFiles() (err error) {
	if w.job, err = job.Load(w.runFlags.job, w.tokenKey); err != nil {
		return err
	}
	if err := w.job.TabledFault(); err != nil {
		return err
	}
	if w.file, err = station.LoadFile(w.station); err != nil {
		return err
	}
	if !w.hasScreen() && w.operator == "" {
		if err := w.file.May(station.Operator, "somebody without a name"); err != nil {
			return fmt.Errorf("run: %w; add --operator", err)
		}
	}
	if err := w.checkLog(); err != nil {
		return err
	}
	if w.junit.path != "" {
		if err := keyfile.Check(w.junit.path, w.junit.overwrite); err != nil {
			return fmt.Errorf("--junit: %w", err)
		}
	}
	if w.slots, err = w.slotsAt(w.job, w.file); err != nil {
		return err
	}
	if err := (printer{w.file.Label}).check(); err != nil {
		warning(err.Error() + "; the line runs, and its labels have to be printed later")
	}
	for _, text := range w.job.Warnings {
		warning(w.job.Path + ": " + text)
	}
	return nil
}

// setup is what the station is opened with.
func (w *works) setup(ask station.AskPIN) station.Setup {
	return station.Setup{File: w.file, Job: w.job, Slots: w.slots, Software: version(), Batch: w.batch, Operator: w.operator, Approver: w.approver,
		Once: w.once, Count: w.count, GoOn: w.goOn, PIN: ask, Tell: func(text string) { plain.Fprintf(stderr, "station: %s\n", text) }, OfSite: w.ofSite}
}

// ofSite tells of the site while the line runs; the screen shows it by itself.
func (w *works) ofSite(text string) {
	if !w.hasScreen() {
		plain.Fprintf(stderr, "station: %s\n", text)
	}
}

// batchTakes refuses a batch that does not take the job, before a PIN is asked for.
func (w *works) batchTakes() error {
	var failure *flow.Failure
	err := w.setup(nil).CheckBatch()
	if err == nil || errors.As(err, &failure) {
		return err
	}
	return fmt.Errorf("run: %w", err)
}

// open opens station and log.
func (w *works) open(ctx context.Context, ask station.AskPIN) (err error) {
	var failure *flow.Failure
	setup := w.setup(ask)
	bar := newProgress("rereading the ledger", "entries")
	if setup.Progress = bar.tell; w.reread != nil {
		setup.Progress = w.reread
	}
	w.opened, err = station.Open(ctx, setup)
	bar.end()
	switch {
	case errors.As(err, &failure):
		return stationFault(err)
	case errors.Is(err, station.ErrOtherJob), errors.Is(err, record.ErrBatch):
		return fmt.Errorf("run: %w", err)
	case err != nil:
		return err
	}
	if w.log, w.ended, err = w.openLog(); err != nil { // the PIN may be asked for again
		w.opened.Close()
		w.opened = nil
		return err
	}
	w.log = tee(w.log, w.opened.Site.Tell)
	if w.junit.path != "" {
		w.verdicts = &junit{name: plain.Line(w.job.Title())}
		w.log = tee(w.log, w.verdicts.add)
	}
	return nil
}

// reported writes the file of --junit when the line has ended, however that was.
func (w *works) reported(ended error) error {
	if w.verdicts == nil {
		return ended
	}
	if err := w.junit.write(w.verdicts.write); err != nil {
		return errors.Join(ended, stationFault(fmt.Errorf("--junit: %w", err)))
	}
	return ended
}

// scanned takes the serial number of --serial for the next device; without a
// screen nobody can scan another one.
func (w *works) scanned() error {
	switch {
	case w.serial != "" && w.line().Serials == nil:
		return errors.New("run: --serial: the job demands no serial numbers; leave it out or write [serial] into the job")
	case w.line().Serials == nil:
		return nil
	case w.serial == "":
		w.line().Serials = nil
		return nil
	}
	return w.line().Serials.Scan("", w.serial)
}

// approveAs approves the job's burn plan with a digest, or with "" finds that
// somebody has before.
func (w *works) approveAs(digest string) error {
	w.line().Operator, w.line().Approver = w.operator, w.approver
	err := w.line().Approve(digest)
	if err != nil && !errors.Is(err, flow.ErrNotApproved) {
		return stationFault(err)
	}
	return err
}
