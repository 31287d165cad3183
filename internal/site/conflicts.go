package site

import (
	"time"

	"station/internal/chip"
)

// Notice is what every bench has to know of a device: that it is in a conflict, or is
// in none any more.
type Notice struct {
	ID        string    `json:"id"` // of the conflict
	MAC       chip.MAC  `json:"mac"`
	Simulated bool      `json:"simulated,omitempty"`
	Reason    string    `json:"reason"`
	Found     time.Time `json:"found"`
	// All are the reasons of all conflicts of the device that were ever found, this one among
	// them: none is found twice.
	All []string `json:"all,omitempty"`
	// Settled is who explained it and how; nil while nobody has.
	Settled *Settled `json:"settled,omitempty"`
	// Freed is the bench from which the device was taken, because it comes no more; every
	// ledger is told, also where it heard of no conflict.
	Freed string `json:"freed,omitempty"`
}

// Open tells whether a conflict was found that nobody has explained.
func (n *Notice) Open() bool { return n.ID != "" && n.Settled == nil }

// Settled is a person's word that a conflict is explained.
type Settled struct {
	Time     time.Time `json:"time"`
	Operator string    `json:"operator"`
	Reason   string    `json:"reason"`
}

// Told asks for the notices behind a place; the Answer's Place is where to ask on from.
type Told struct {
	Place uint64 `json:"place"`
	// Read asks the site to look first for conflicts in all that it has of the bench.
	Read bool `json:"read,omitempty"`
	Knows
}

// NoticeKey is where the notice of a device is kept.
func NoticeKey(mac chip.MAC, simulated bool) string {
	n := Name{Kind: NameMAC, Value: mac.String()}
	return n.Key(simulated)
}
