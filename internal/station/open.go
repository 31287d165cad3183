package station

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
)

// Setup is what a station is opened with.
type Setup struct {
	File     *File
	Job      *job.Job
	Slots    []flow.Slot
	Software string // of this program, for the ledger

	Batch, Operator, Approver string
	Once                      bool // one device at each slot
	Count                     int  // stop after so many devices; 0 is no limit
	GoOn                      bool // lets a line go on that stopped because devices failed alike

	PIN  AskPIN
	Tell func(text string) // what is not as it should be, and does not stop the line
	// OfSite hears of the site while the line runs.
	OfSite func(text string)
	// Progress, if not nil, is told how far the rereading of the ledger has come.
	Progress func(done, total uint64)
}

// AskPIN asks a person for the token's PIN; nil where there is nobody.
type AskPIN func(question string) (*secret.Bytes, error)

// Station is a real station opened: all that its line works with.
type Station struct {
	Token  *hsm.Token
	Ledger *ledger.Ledger
	Line   *flow.Line
	Site   *Site // nil where the bench belongs to none

	close []func() error
}

// Open logs in to the token and finds the job's keys there, opens the ledger
// and makes the line. What it has opened is closed again where it fails.
func Open(ctx context.Context, o Setup) (s *Station, err error) {
	s = &Station{}
	defer func() {
		if err != nil {
			s.Close()
			s = nil
		}
	}()
	if s.Token, err = OpenToken(o.File.TokenURI(), o.File, o.PIN); err != nil {
		return s, err
	}
	s.close = append(s.close, s.Token.Close)
	virtualOnly := o.File.VirtualOnly(s.Token.Info())
	if virtualOnly != nil {
		o.Tell("warning: " + virtualOnly.Error())
	}
	keys := Keys{Token: s.Token}
	if err := keys.Ready(ctx, o.Job); err != nil {
		return s, err
	}
	undeclared, past, err := s.openLedger(o)
	if err != nil {
		return s, err
	}
	if err := s.openSite(ctx, o); err != nil {
		return s, err
	}
	entries, err := s.signed(ctx, o)
	if err != nil {
		return s, err
	}
	if s.Site.asks() {
		entries = claims{entries, s.Site}
	}
	rates := OpenRates(o.File.Ledger)
	if rates.Warning != "" {
		o.Tell("warning: " + rates.Warning)
	}
	s.Line = &flow.Line{
		Runner: flow.Runner{Job: o.Job, Keys: keys, Ledger: entries, Station: o.File.ID, Operator: o.Operator,
			Batch: o.Batch, Undeclared: undeclared, Simulated: s.Ledger.Simulated(),
			Approver: o.Approver, TwoPeople: o.File.WantsTwo(Approval), MayApprove: o.File.mayApprove, Rates: rates.At, VirtualOnly: virtualOnly},
		Slots: o.Slots, Once: o.Once, Count: o.Count,
		Healthy: func(ctx context.Context) error { return errors.Join(keys.Ready(ctx, o.Job), s.Site.Healthy()) },
		Alike:   o.File.Line.AlikeLimit(), Past: past, Resume: o.GoOn,
	}
	if s.Site != nil {
		s.Line.Faults, s.Line.Numbered = s.Site.Faults, s.Site.offline == OfflineLease
	}
	s.Line.Serials = flow.NewSerials(o.Job, s.Ledger.SerialOwner)
	return s, nil
}

// openLedger opens the ledger, of the same kind as the token, rereads it, which is
// of use because nobody else writes from here on, and opens its door for other
// commands.
func (s *Station) openLedger(o Setup) (undeclared bool, past []flow.Outcome, err error) {
	s.Ledger, err = ledger.Open(o.File.Ledger, ledger.Options{Create: true, Station: o.File.ID, Software: o.Software, Simulated: s.Token.Info().Throwaway()})
	if err != nil {
		return false, nil, LedgerFailure(err)
	}
	s.close = append(s.close, s.Ledger.Close)
	if size, _, err := s.Ledger.Head(); err != nil || size > longReread {
		o.Tell(fmt.Sprintf("rereading the %d entries of the ledger", size))
	}
	if past, err = Reread(s.Ledger, o.File.ID, o.Job, o.Progress); err != nil {
		return false, nil, LedgerFailure(err)
	}
	if undeclared, err = o.batchIn(s.Ledger); err != nil {
		return false, nil, err
	}
	if err := s.Ledger.OpenDoor(); err != nil {
		o.Tell(fmt.Sprintf("warning: while this line runs no other command can write into the ledger: %v", err))
	}
	return undeclared, past, nil
}

// openSite begins to tell the site, if there is one, what stands in the ledger. A
// bench that the site refused makes nothing until that is explained, also where the
// site cannot be reached.
func (s *Station) openSite(ctx context.Context, o Setup) (err error) {
	s.Site, err = OpenSite(o.File, s.Ledger, o.OfSite)
	if errors.Is(err, ErrNoSite) {
		return nil
	}
	if err != nil {
		return err
	}
	s.close = append(s.close, s.Site.Close)
	if err := s.Site.Refused(); err != nil {
		return err
	}
	s.Site.numbers.lot(record.Entry{Batch: o.Batch, Job: o.Job.Name, Quota: o.Job.Quota.Devices, Simulated: s.Ledger.Simulated()})
	s.Site.Start()
	if !s.Site.asks() {
		return nil
	}
	select { // its first device needs its word, or its numbers
	case <-s.Site.word:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// longReread is how many entries take some seconds.
const longReread = 500_000

// signed is the ledger as the line writes it: its head is signed now and then,
// where the token has a key for that.
func (s *Station) signed(ctx context.Context, o Setup) (flow.Ledger, error) {
	key, err := s.Token.Signer(ctx, hsm.Signer.Label())
	switch {
	case errors.Is(err, hsm.ErrNoKey):
		o.Tell("the token has no key to sign the ledger with; station hsm init --policy none makes one")
		return s.Ledger, nil
	case err != nil:
		return nil, TokenFailure(err)
	}
	signed := &Signed{Ledger: s.Ledger, Key: key, Every: CheckpointEvery}
	s.close = append(s.close, func() error {
		err := signed.Finish()
		if err != nil {
			o.Tell(fmt.Sprintf("the ledger's head could not be signed: %v", err))
		}
		return err
	})
	return signed, nil
}

// Close gives everything back, the newest first.
func (s *Station) Close() {
	for i := len(s.close) - 1; i >= 0; i-- {
		_ = s.close[i]()
	}
	s.close = nil
}
