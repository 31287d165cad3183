package main

import (
	"context"
	"errors"
	"fmt"

	"station/internal/flow"
	"station/internal/hsm"
	"station/internal/job"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/secret"
	"station/internal/station"
)

// works is what a run opens on its way to a line, with a screen or without.
type works struct {
	*runFlags
	file   *station.File
	job    *job.Job
	slots  []flow.Slot
	token  *hsm.Token
	ledger *ledger.Ledger
	line   *flow.Line
	log    func(flow.Event)
	close  []func() error

	undeclared bool // nobody opened the batch
}

// Close gives everything back, the newest first.
func (w *works) Close() {
	for i := len(w.close) - 1; i >= 0; i-- {
		_ = w.close[i]()
	}
}

// loadFiles reads job and station file and finds the slots.
func (w *works) loadFiles() (err error) {
	if w.job, err = job.Load(w.runFlags.job); err != nil {
		return err
	}
	if w.file, err = station.LoadFile(w.station); err != nil {
		return err
	}
	if err := w.checkLog(); err != nil {
		return err
	}
	if w.slots, err = w.slotsAt(w.job, w.file); err != nil {
		return err
	}
	if err := (printer{w.file.Label}).check(); err != nil {
		warning(err.Error() + "; the line runs, and its labels have to be printed later")
	}
	for _, warning := range w.job.Warnings {
		fmt.Fprintf(stderr, "station: warning: %s: %s\n", w.job.Path, warning)
	}
	return nil
}

// batchTakes refuses a batch that does not take the job, before a PIN is asked
// for. A ledger that cannot be read is left to whoever opens it.
func (w *works) batchTakes() error {
	if w.batch == "" {
		return nil
	}
	if err := record.CheckBatch(w.batch); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	book, err := ledger.Open(w.file.Ledger, ledger.Options{ReadOnly: true})
	if err != nil {
		return nil
	}
	defer book.Close()
	return w.batchIn(book)
}

// batchIn asks the ledger whether the batch takes the job.
func (w *works) batchIn(book *ledger.Ledger) error {
	if w.batch == "" {
		return nil
	}
	undeclared, err := station.BatchTakes(book, w.batch, w.job)
	switch {
	case errors.Is(err, station.ErrOtherJob), errors.Is(err, record.ErrBatch):
		return fmt.Errorf("run: %w", err)
	case err != nil:
		return station.LedgerFailure(err)
	case undeclared && !w.file.Batch.Undeclared:
		return fmt.Errorf("run: %w: nobody opened %s; is it mistyped? Open it with \"station batch open %s --devices N --operator NAME\", or write undeclared = true under [batch] into %s",
			record.ErrBatch, w.batch, w.batch, w.file.Path)
	case undeclared:
		warning(fmt.Sprintf("nobody opened the batch %s: it has no quota and takes devices of every job", w.batch))
	}
	w.undeclared = undeclared
	return nil
}

// open logs in to the token and finds the job's key there, opens ledger and
// log, and makes the line.
func (w *works) open(ctx context.Context, ask func(string) (*secret.Bytes, error)) (err error) {
	if w.token, err = openToken(w.file.TokenURI(), w.file, ask); err != nil {
		return err
	}
	w.close = append(w.close, w.token.Close)
	keys := station.Keys{Token: w.token}
	ready := func(ctx context.Context) error { return keys.Ready(ctx, w.job) }
	if err := ready(ctx); err != nil {
		return stationFault(err)
	}
	simulated := w.token.Info().Throwaway()
	w.ledger, err = ledger.Open(w.file.Ledger, ledger.Options{Create: true, Station: w.file.ID, Software: version(), Simulated: simulated})
	if err != nil {
		return station.LedgerFailure(err)
	}
	w.close = append(w.close, w.ledger.Close)
	if err := w.batchIn(w.ledger); err != nil {
		return err
	}
	if err := w.ledger.OpenDoor(); err != nil {
		warning(fmt.Sprintf("while this line runs no other command can write into the ledger: %v", err))
	}
	var book flow.Ledger = w.ledger
	key, err := w.token.Signer(ctx, hsm.Signer.Label())
	switch {
	case err == nil:
		signed := &station.Signed{Ledger: w.ledger, Key: key, Every: station.CheckpointEvery}
		book = signed
		w.close = append(w.close, func() error {
			err := signed.Finish()
			if err != nil {
				fmt.Fprintf(stderr, "station: the ledger's head could not be signed: %v\n", err)
			}
			return err
		})
	case errors.Is(err, hsm.ErrNoKey):
		fmt.Fprintln(stderr, "station: the token has no key to sign the ledger with; station hsm init --policy none makes one")
	default:
		return station.TokenFailure(err)
	}
	log, closeLog, err := w.openLog()
	if err != nil {
		return err
	}
	w.log = log
	w.close = append([]func() error{closeLog}, w.close...) // the last: what is closed before it may have something to say
	past, err := station.Past(w.ledger, w.file.ID, w.job)
	if err != nil {
		return station.LedgerFailure(err)
	}
	rates := station.OpenRates(w.file.Ledger)
	if rates.Warning != "" {
		warning(rates.Warning)
	}
	w.line = &flow.Line{
		Runner: flow.Runner{Job: w.job, Keys: keys, Ledger: book, Station: w.file.ID, Operator: w.operator,
			Batch: w.batch, Undeclared: w.undeclared, Software: version(), Simulated: simulated,
			Approver: w.approver, TwoPeople: w.file.Approval.TwoPeople,
			Speed: rates.Speed},
		Slots: w.slots, Once: w.once, Count: w.count,
		Healthy: ready, Alike: w.file.Line.AlikeLimit(), Past: past, Resume: w.goOn,
	}
	w.line.Serials = flow.NewSerials(w.job, w.ledger.SerialOwner)
	return nil
}

// scanned takes the serial number of --serial for the next device; without a
// screen nobody can scan another one.
func (w *works) scanned() error {
	switch {
	case w.serial != "" && w.line.Serials == nil:
		return errors.New("run: --serial: the job demands no serial numbers; leave it out or write [serial] into the job")
	case w.line.Serials == nil:
		return nil
	case w.serial == "":
		w.line.Serials = nil
		return nil
	}
	return w.line.Serials.Scan("", w.serial)
}

// approveAs approves the job's burn plan with a digest, or with "" finds that
// somebody has before.
func (w *works) approveAs(digest string) error {
	w.line.Operator, w.line.Approver = w.operator, w.approver
	err := w.line.Approve(digest)
	if err != nil && !errors.Is(err, flow.ErrNotApproved) {
		return stationFault(err)
	}
	return err
}
