package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"

	"station/internal/chip"
	"station/internal/record"
)

// Agrees tells whether what the indexes say of a device is what the log says:
// all of its entries folded anew, and none behind the last one that the indexes
// know. It costs the device's history and a look at the entries since. Against
// a log that was rewritten as a whole, only Check with what was kept elsewhere
// helps.
func (l *Ledger) Agrees(mac chip.MAC) error {
	end, _, err := l.Head() // what a running line appends from here on is not asked for
	var last uint64
	if err == nil {
		last, err = l.agreesUpTo(mac)
	}
	if err == nil {
		err = l.silentSince(mac, last+1, end)
	}
	if err != nil {
		return fmt.Errorf("device %s: %w", mac, err)
	}
	return nil
}

// agreesUpTo folds the entries up to the last one that the indexes know.
func (l *Ledger) agreesUpTo(mac chip.MAC) (last uint64, err error) {
	err = l.project(func(s *snapshot) error {
		last = 0
		known, found, err := bareDevice(s, mac)
		if err != nil || !found {
			return err
		}
		last = known.Last
		return s.asItsEntries(known)
	})
	return last, err
}

// asItsEntries checks that a device is what its entries tell, up to the last one that
// its projection knows.
func (s *snapshot) asItsEntries(known record.Device) error {
	var want record.Device
	list, err := chain(s, known.MAC, known.Last, 0)
	for _, e := range list {
		want.Apply(e)
	}
	if err == nil && !sameDevice(known, want) {
		err = corrupt(notTold)
	}
	return err
}

// sameDevice compares what is stored of two devices.
func sameDevice(a, b record.Device) bool {
	x, errA := devicePayload(a)
	y, errB := devicePayload(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

// silentSince looks for entries of the device among [n, end).
func (l *Ledger) silentSince(mac chip.MAC, n, end uint64) error {
	name, err := json.Marshal(mac)
	if err != nil {
		return err
	}
	for raw, err := range l.Lines(n) {
		if err != nil {
			return err
		}
		if n == end {
			break
		}
		if bytes.Contains(raw, name) {
			if e, err := decode(raw); err != nil || e.MAC == mac {
				return corrupt("the indexes do not know its entry %d", n)
			}
		}
		n++
	}
	return nil
}
