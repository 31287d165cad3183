package flow_test

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"sync"
	"time"

	"station/internal/ledger"
)

// Of a device that is interrupted at one command and of one that is interrupted at
// the next often the same is left: what it holds, and what the ledger says of it.
// Nothing else is there when they are put back, so they go the same way from there,
// and one of them is followed.

// ways are how devices ended, by the states in which they were put back.
type ways struct {
	blank []byte // a ledger of no device
	seed  maphash.Seed
	mu    sync.Mutex
	ends  map[string]string
}

// newWays gives each device a ledger of its own from here on.
func (l *lab) newWays() error {
	book, err := l.openLedger("blank.db")
	if err != nil {
		return err
	}
	if err := book.Close(); err != nil {
		return err
	}
	b, err := os.ReadFile(book.Path())
	l.alike = &ways{blank: b, seed: maphash.MakeSeed(), ends: map[string]string{}}
	return err
}

// knownEnd is how another device ended that was put back in the same state, "" if
// there was none. What is still wrong with a device is not in its state.
func (tr *trial) knownEnd() string {
	w := tr.lab.alike
	if w == nil || tr.product.lasting || tr.expect != "" {
		return ""
	}
	state := tr.state()
	tr.states = append(tr.states, state)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ends[state]
}

// remember keeps the end of a device with which nothing was wrong.
func (tr *trial) remember(end string) {
	if len(tr.wrong) > 0 || len(tr.states) == 0 {
		return
	}
	w := tr.lab.alike
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range tr.states {
		w.ends[s] = end
	}
}

// state is all of the device that outlasts its power, all that the ledger knows of
// it but for the time, and how it is reset.
func (tr *trial) state() string {
	d, _, err := tr.ledger.Device(tr.mac)
	if err != nil {
		tr.fault("ledger: %w", err)
	}
	d.Seen, d.Updated = time.Time{}, time.Time{}
	known, err := json.Marshal(d)
	if err != nil {
		tr.fault("%w", err)
	}
	return fmt.Sprintf("%s %s %x %x %s", tr.product.name, tr.options.Reset, tr.chip.Fuses(), maphash.Bytes(tr.lab.alike.seed, tr.chip.Flash()), known)
}

// ownLedger is a new one for one device.
func (l *lab) ownLedger(n int) *ledger.Ledger {
	name := fmt.Sprint(n, ".db")
	if err := os.WriteFile(filepath.Join(l.dir, name), l.alike.blank, 0o600); err != nil {
		panic(err)
	}
	own, err := l.openLedger(name)
	if err != nil {
		panic(err)
	}
	return own
}

// close ends the device, and checks and removes its ledger if that is its own.
func (tr *trial) close() {
	tr.chip.Close()
	if tr.ledger == tr.lab.ledger {
		return
	}
	if err := closeLedger(tr.ledger); err != nil {
		tr.fault("%w", err)
	}
	os.Remove(tr.ledger.Path())
}
