package station

import (
	"context"
	"sync"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/release"
)

// FieldLedger is the ledger for a server beside the line: it reads all the
// time, and opens it as a guest for each entry that it writes, so that a line
// can start whenever it wants.
type FieldLedger struct {
	read    *ledger.Ledger
	options ledger.Options
	turn    sync.Mutex // of those that write: a burst waits here, not at the file, where waiting has an end

	mu      sync.Mutex
	commit  uint64 // of which the devices are
	devices map[chip.MAC]fieldDevice
}

// fieldDevice is what the ledger knows of a device.
type fieldDevice struct {
	record.Device
	found   bool
	updates []record.Entry // offers and results
}

// fieldDevices is how many are kept: those that download something just now, with
// several requests each. All others are in the ledger.
const fieldDevices = 256

// OpenFieldLedger opens the ledger at path, whichever kind it is.
func OpenFieldLedger(path, station, software string) (*FieldLedger, error) {
	read, err := ledger.Open(path, ledger.Options{ReadOnly: true})
	if err != nil {
		return nil, LedgerFailure(err)
	}
	return &FieldLedger{read: read, options: ledger.Options{Simulated: read.Simulated(), Station: station, Software: software}}, nil
}

// Device is what the ledger knows of a MAC. It is read, and held against the log,
// once for each change of the ledger.
func (l *FieldLedger) Device(mac chip.MAC) (record.Device, bool, error) {
	d, err := l.device(mac)
	return d.Device, d.found, err
}

// Updates are what a device was offered and how that ended, the oldest first.
func (l *FieldLedger) Updates(mac chip.MAC) ([]record.Entry, error) {
	d, err := l.device(mac)
	return d.updates, err
}

func (l *FieldLedger) device(mac chip.MAC) (d fieldDevice, err error) {
	commit, err := l.read.Commit()
	if err != nil {
		return d, LedgerFailure(err)
	}
	if d, ok := l.known(commit, mac); ok {
		return d, nil
	}
	if d.Device, d.found, err = l.read.Device(mac); err != nil {
		return fieldDevice{}, err
	}
	history, err := l.read.History(mac)
	if err != nil {
		return fieldDevice{}, err
	}
	for _, e := range history {
		if e.Kind == record.UpdateOffered || e.Kind == record.UpdateResult {
			d.updates = append(d.updates, e)
		}
	}
	l.keep(commit, mac, d)
	return d, nil
}

func (l *FieldLedger) known(commit uint64, mac chip.MAC) (d fieldDevice, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.commit == commit {
		d, ok = l.devices[mac]
	}
	return d, ok
}

// keep keeps a device as it was at a commit, or later: then it is read once more than need be.
func (l *FieldLedger) keep(commit uint64, mac chip.MAC, d fieldDevice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.commit != commit || len(l.devices) >= fieldDevices {
		l.commit, l.devices = commit, map[chip.MAC]fieldDevice{}
	}
	l.devices[mac] = d
}

// Append writes one entry; it is on disk then. A server that is about to end
// still writes what a device has told it.
func (l *FieldLedger) Append(e record.Entry) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	book, err := ledger.OpenGuest(context.Background(), l.read.Path(), l.options)
	if err != nil {
		return LedgerFailure(err)
	}
	defer book.Close()
	e.Simulated = l.options.Simulated
	_, err = book.Append(e)
	return err
}

// Simulated tells whether the ledger is one of virtual devices.
func (l *FieldLedger) Simulated() bool { return l.options.Simulated }

// Fields are what all entries of a kind are about, the oldest first.
func (l *FieldLedger) Fields(kind record.Kind) (list []record.Field, err error) {
	for e, err := range l.read.Entries(0) {
		if err != nil {
			return nil, LedgerFailure(err)
		}
		if e.Kind != kind {
			continue
		}
		f, err := e.Field()
		if err != nil {
			return nil, LedgerFailure(err)
		}
		list = append(list, f)
	}
	return list, nil
}

// Highest is the device of a product that has the highest secure version on record: of what the
// line wrote, or of what the device took since. Virtual ones count among their own kind.
func (l *FieldLedger) Highest(product string) (highest release.Device, err error) {
	took, err := l.took(product)
	if err != nil {
		return highest, err
	}
	for d, err := range l.read.Devices() {
		if err != nil {
			return highest, LedgerFailure(err)
		}
		if d.Job != product || !d.Sealed || d.Simulated && !l.Simulated() {
			continue
		}
		v := release.Of(d)
		if v.SecureVersion = max(v.SecureVersion, took[d.MAC]); v.SecureVersion > highest.SecureVersion {
			highest = v
		}
	}
	return highest, nil
}

// took are the highest secure versions that devices of a product told to have taken.
func (l *FieldLedger) took(product string) (map[chip.MAC]uint32, error) {
	took := map[chip.MAC]uint32{}
	for e, err := range l.read.Entries(0) {
		if err != nil {
			return nil, LedgerFailure(err)
		}
		if e.Kind != record.UpdateResult {
			continue
		}
		f, err := e.Field()
		if err != nil {
			return nil, LedgerFailure(err)
		}
		if f.Product == product && f.State == "success" {
			took[e.MAC] = max(took[e.MAC], f.SecureVersion)
		}
	}
	return took, nil
}

// Close ends the reading.
func (l *FieldLedger) Close() error { return l.read.Close() }
