package station

import (
	"context"
	"errors"
	"fmt"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/hsm"
	"station/internal/job"
	"station/internal/ledger"
)

// nobody is a MAC that no device has: that of a broadcast.
var nobody = chip.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Ready reports whether the token can make keys for the job's devices: it makes
// one of each for nobody and throws it away. That it is there and logged in says too
// little: the job's key may be missing, or no longer alone of its label, or be
// open for more than its work.
func (k Keys) Ready(ctx context.Context, job *job.Job) error {
	for _, want := range job.Keys() {
		key, err := k.DeviceKey(ctx, flow.KeyRequest{Chip: job.ChipName(), MAC: nobody, Purpose: want.Purpose, Size: 32,
			Policy: want.Policy, Label: want.Label, PRF: want.PRF})
		key.Secret.Destroy()
		if err != nil && !errors.Is(err, hsm.ErrSize) { // a shared key for chips of coding scheme 3/4
			return err
		}
	}
	return k.readyForIdentity(ctx, job)
}

// readyForIdentity makes what a device is known by for nobody, and finds the CA.
func (k Keys) readyForIdentity(ctx context.Context, job *job.Job) error {
	want := job.Identity
	if want == nil {
		return nil
	}
	key, err := k.DeviceKey(ctx, flow.KeyRequest{Chip: job.ChipName(), MAC: nobody, Purpose: chip.DeviceID, Size: 32, Policy: want.Key().Policy, Label: want.Label, PRF: want.PRF})
	key.Secret.Destroy()
	if err == nil && want.Certificate != nil {
		_, err = k.Issuer(ctx, want.Certificate)
	}
	return err
}

// LedgerFailure gives an error of opening the ledger its failure code.
func LedgerFailure(err error) error {
	switch {
	case errors.Is(err, ledger.ErrLocked):
		return flow.Fail("E-LEDGER-LOCKED", err)
	case errors.Is(err, ledger.ErrForeign):
		return flow.Fail("E-LEDGER-DAMAGED", err)
	case errors.Is(err, ledger.ErrCorrupt):
		return flow.Fail("E-LEDGER-DAMAGED", fmt.Errorf("%w; \"station ledger verify\" lists the faults, \"station ledger recover\" mends a damaged header, or indexes that are not what the log says", err))
	}
	return flow.Fail("E-LEDGER", err)
}
