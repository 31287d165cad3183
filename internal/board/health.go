package board

import "station/internal/record"

// Health is the state of what a line depends on.
type Health struct {
	Token, Ledger, Disk Part
	Site                Part   // no words where the bench belongs to none
	Head                string // of the ledger: size and root hash
}

// Part is the state of one thing that a line depends on. Words are short: "ok", "41 GB", "away".
type Part struct {
	OK    bool
	Words string
}

// Detail is what an engineer wants to see of one device.
type Detail struct {
	Entries []string            // of the ledger, one line each
	Fuses   []record.FuseChange // as first seen and as read last
	Boot    string              // the console of the last start
}
