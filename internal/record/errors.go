package record

import "errors"

// What the ledger refuses because of what it already holds. The flow turns
// these into verdicts; anything else that an append returns is the station's
// own fault (disk, lock, damage).
var (
	// ErrKeyTaken: the key ID already belongs to another MAC, and its policy is not shared.
	ErrKeyTaken = errors.New("the key belongs to another device")
	// ErrKeyBound: the MAC already has another key. A device has one key for ever.
	ErrKeyBound = errors.New("the device already has another key")
	// ErrSerialTaken: the serial number belongs to another MAC, or the MAC has another one.
	ErrSerialTaken = errors.New("the serial number is taken")
	// ErrMixed: a simulated entry for a real ledger, or a real one for a simulated ledger.
	ErrMixed = errors.New("simulated and real entries are never mixed")
	// ErrQuota: the lot already has as many devices as it may have.
	ErrQuota = errors.New("the quota is used up")
	// ErrBatch: the batch is closed, was opened before, or was never opened.
	ErrBatch = errors.New("the batch is not in the right state")
)
