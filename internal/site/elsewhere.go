package site

import (
	"station/internal/chip"
)

// Sought asks for what another bench knows of a device.
type Sought struct {
	MAC       chip.MAC `json:"mac"`
	Simulated bool     `json:"simulated,omitempty"`
	// Moves is how often the device has moved, as the ledger of who asks knows it.
	Moves int `json:"moves,omitempty"`
}

// Known is what another bench knows of a device, with the proof that its ledger says so.
type Known struct {
	Bench string `json:"bench"` // whose device it is
	Proof []byte `json:"proof"` // ledger.Proof, under a checkpoint that the site signed
	// Pending: the device was given to Bench, whose ledger does not have it yet; the proof
	// is that of the bench that had it. Where Bench is who asks, it takes the device by it.
	Pending bool `json:"pending,omitempty"`
	// From is the bench whose ledger the proof is of.
	From string `json:"from,omitempty"`
	// Halted is why the site refuses the ledger of From: no device moves from there.
	Halted string `json:"halted,omitempty"`
}

// Moving asks for a device that another bench has begun. Who has got it may ask again.
type Moving struct {
	MAC       chip.MAC `json:"mac"`
	Simulated bool     `json:"simulated,omitempty"`
	From      string   `json:"from"` // whose it is
	// Size is how many entries the ledger of From had when it was proved what that has of
	// the device: where it has more of it by now, it is not given away.
	Size uint64 `json:"size"`
}
