package record

import (
	"encoding/json"
	"fmt"
	"slices"

	"station/internal/chip"
)

// Moved: a device that another bench began is this one's from here on. About is a Move:
// all that the other bench's ledger has of it, so that this ledger alone tells the device.
const Moved Kind = "device.moved"

// Move is the About of Moved.
type Move struct {
	From string `json:"from"` // the bench that had it
	// Proof is a proof of the device (ledger.Proof) under a checkpoint that the site has
	// signed: the other ledger's entries, byte for byte.
	Proof json.RawMessage `json:"proof"`
}

// moveProof is what a device is folded from. Package ledger checks the rest.
type moveProof struct {
	MAC     chip.MAC `json:"mac"`
	Entries []struct {
		Entry json.RawMessage `json:"entry"`
	} `json:"entries"`
}

// Brought are the entries of the other bench in an entry of kind Moved, oldest first.
func (e *Entry) Brought() (m Move, list []Entry, err error) {
	if m, err = ReadAbout[Move](*e); err != nil {
		return m, nil, err
	}
	var p moveProof
	if err := json.Unmarshal(m.Proof, &p); err != nil {
		return m, nil, fmt.Errorf("%s: %w", e.Kind, err)
	}
	for _, in := range p.Entries {
		one, err := Decode(in.Entry)
		if err == nil && one.MAC != e.MAC {
			err = fmt.Errorf("entry %d is about %s", one.Index, one.MAC)
		}
		if err != nil {
			return m, nil, fmt.Errorf("%s from %s: %w", e.Kind, m.From, err)
		}
		list = append(list, one)
	}
	return m, list, nil
}

// Whole are the entries of a device with those that it brought from other benches,
// each before the entry that it moved with.
func Whole(entries []Entry) (list []Entry) {
	for i := range entries {
		if entries[i].Kind == Moved {
			if _, brought, err := entries[i].Brought(); err == nil {
				list = append(list, Whole(brought)...)
			}
		}
		list = append(list, entries[i])
	}
	return list
}

// moved makes the device what the other bench's ledger says of it. What this ledger
// counts by itself stays: its own entries and visits, and what the site has told it.
// What cannot be read changes nothing: the ledger lets no such entry in.
func (d *Device) moved(e *Entry) {
	_, list, err := e.Brought()
	if err != nil {
		return
	}
	own := *d
	*d = Device{}
	d.Fold(list)
	d.First, d.Last, d.Seen, d.Updated, d.Runs, d.Visited = own.First, own.Last, own.Seen, own.Updated, own.Runs, own.Visited
	d.Conflict, d.Conflicted = own.Conflict, own.Conflicted
	d.Simulated, d.Moves = d.Simulated || own.Simulated, max(d.Moves, own.Moves)+1
	d.Images, d.Flashed = nil, 0 // which this bench has not verified
	if e.Batch != "" {
		d.Batch = e.Batch
	}
}

// Holders are the benches that had the device before the entry of kind Moved, and how
// many entries each had when it gave the device away, as sizeOf tells of a proof.
func (e *Entry) Holders(sizeOf func(proof json.RawMessage) (uint64, error)) (map[string]uint64, error) {
	m, list, err := e.Brought()
	if err != nil {
		return nil, err
	}
	size, err := sizeOf(m.Proof)
	if err != nil {
		return nil, err
	}
	had := map[string]uint64{m.From: size}
	for i := range list {
		if list[i].Kind != Moved {
			continue
		}
		before, err := list[i].Holders(sizeOf)
		if err != nil {
			return nil, err
		}
		for bench, n := range before {
			had[bench] = max(had[bench], n)
		}
	}
	return had, nil
}

// GoesOn tells whether the entry is one by which a bench goes on making its device.
func (e *Entry) GoesOn() bool {
	return slices.Contains([]Kind{BurnIntended, Sealed}, e.Kind)
}
