package site

import (
	"station/internal/chip"
)

// Sought asks for what another bench knows of a device.
type Sought struct {
	MAC       chip.MAC `json:"mac"`
	Simulated bool     `json:"simulated,omitempty"`
}

// Known is what another bench knows of a device, with the proof that its ledger says so.
type Known struct {
	Bench string `json:"bench"`
	Proof []byte `json:"proof"` // ledger.Proof, under a checkpoint that the site signed
}
