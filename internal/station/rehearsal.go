package station

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"station/internal/flow"
	"station/internal/hsm"
	"station/internal/identity"
	"station/internal/job"
	"station/internal/ledger"
	"station/internal/record"
)

// Rehearsal is a station of which nothing is real: a throw-away token, a
// ledger marked as simulated, virtual chips.
type Rehearsal struct {
	Token  *hsm.Token
	Ledger *ledger.Ledger

	ca      *x509.Certificate
	cleanup func() error
}

// OpenRehearsal makes the token in tokenDir, with the keys that the job needs,
// and the ledger at path, into whose entries software goes.
func OpenRehearsal(ctx context.Context, job *job.Job, tokenDir, path, software string) (r *Rehearsal, err error) {
	if err := os.MkdirAll(tokenDir, 0o700); err != nil {
		return nil, fmt.Errorf("rehearsal: %w", err)
	}
	cfg, cleanup, err := hsm.Throwaway(tokenDir)
	if err != nil {
		return nil, TokenFailure(err)
	}
	r = &Rehearsal{cleanup: cleanup}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if r.Token, err = hsm.Open(cfg); err != nil {
		return r, TokenFailure(err)
	}
	if err := r.makeIdentity(ctx, job.Identity); err != nil {
		return r, TokenFailure(err)
	}
	made := map[string]bool{}
	for _, key := range job.Keys() {
		if made[key.Origin()] { // keys for other purposes come of it too
			continue
		}
		made[key.Origin()] = true
		if err := r.makeKey(ctx, key); err != nil {
			return r, TokenFailure(err)
		}
	}
	if r.Ledger, err = ledger.Open(path, ledger.Options{Create: true, Station: rehearsalID, Software: software, Simulated: true}); err == nil {
		_ = r.Ledger.OpenDoor() // for who practises other commands beside it
	}
	return r, err
}

const rehearsalID = "rehearsal"

// makeKey makes what the policy of a key needs.
func (r *Rehearsal) makeKey(ctx context.Context, key job.WantedKey) error {
	policy := hsm.Policy(key.Policy)
	if policy == hsm.Shared {
		_, err := r.Token.NewShared(ctx, key.Label, 32)
		return err
	}
	_, err := r.Token.InitPRF(ctx, policy.Role(), key.Label, hsm.PRF(cmp.Or(key.PRF, string(hsm.HMAC))))
	return err
}

// makeIdentity makes what the identity of devices comes from: a master, and a CA
// of its own in place of the job's, whose key is in the real token.
func (r *Rehearsal) makeIdentity(ctx context.Context, want *job.Identity) error {
	if want == nil {
		return nil
	}
	if err := r.makeKey(ctx, job.WantedKey{Key: want.Key()}); err != nil || want.Certificate == nil {
		return err
	}
	if _, err := r.Token.Init(ctx, hsm.CA, want.Certificate.Label); err != nil {
		return err
	}
	key, err := r.Token.CA(ctx, want.Certificate.Label)
	if err != nil {
		return err
	}
	der, err := identity.SelfSigned("CN=CA of a rehearsal", 0, time.Now(), key)
	if err != nil {
		return err
	}
	r.ca, err = x509.ParseCertificate(der)
	return err
}

// Line is the rehearsal's line. It approves its own plan: nothing real is burned.
func (r *Rehearsal) Line(job *job.Job, fixture *Virtual) (*flow.Line, error) {
	line := &flow.Line{
		Runner: flow.Runner{Job: job, Keys: Keys{Token: r.Token, CA: r.ca}, Ledger: r.Ledger, Station: rehearsalID,
			Operator: rehearsalID, Batch: rehearsalID, Simulated: true, Serials: flow.NewSerials(job, r.Ledger.SerialOwner)},
		Slots: fixture.FlowSlots(),
	}
	if err := r.openBatch(); err != nil {
		return line, err
	}
	return line, line.Approve(job.PlanDigest())
}

// MakeUpSerials lets a line whose job demands serial numbers go on without
// anybody who scans them.
func (r *Rehearsal) MakeUpSerials(line *flow.Line) {
	serials := line.Serials
	if serials == nil {
		return
	}
	n := 0
	serials.MadeUp = func() (string, error) { // one at a time
		for {
			serial, err := madeUp(serials.Pattern, n)
			if err != nil {
				return "", flow.Fail("E-SERIAL", err)
			}
			n++
			if _, taken, err := r.Ledger.SerialOwner(serial); err != nil || !taken {
				return serial, err // a kept ledger knows some already
			}
		}
	}
}

// openBatch opens the batch of rehearsals, once in a ledger that is kept.
func (r *Rehearsal) openBatch() error {
	e := record.Entry{Kind: record.BatchOpened, Batch: rehearsalID, Operator: rehearsalID, Simulated: true}
	lot, _, err := r.Ledger.Lot(e.Lot())
	if err == nil && lot.Opened.IsZero() {
		_, err = r.Ledger.Append(e)
	}
	return err
}

// Close throws the token away and closes the ledger.
func (r *Rehearsal) Close() error {
	var errs []error
	if r.Token != nil {
		errs = append(errs, r.Token.Close())
	}
	if r.Ledger != nil {
		errs = append(errs, r.Ledger.Close())
	}
	return errors.Join(append(errs, r.cleanup())...)
}
