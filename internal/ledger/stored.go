package ledger

import (
	"fmt"
	"iter"

	"station/internal/chip"
)

// Stored is a device as it is stored, for whoever reads a great many and wants
// a few fields of each: decoding is most of the work of Devices.
type Stored struct {
	MAC     chip.MAC
	Device  []byte // JSON of record.Device, without its images
	Last    uint64 // index of the device's last entry
	Flashed uint64 // index of the entry that verified its images; 0 for none

	// The bytes of these two entries, which Told.Hold adds.
	LastLine, FlashedLine []byte
}

// storedAtOnce bounds the memory of whoever works on several lots of devices at
// the same time.
const storedAtOnce = 256

// StoredDevices yields what Devices does, not decoded, some devices at a time.
func (l *Ledger) StoredDevices() iter.Seq2[[]Stored, error] {
	return func(yield func([]Stored, error) bool) {
		from := ""
		for {
			list, next, err := l.stored(from)
			if err != nil {
				err = fmt.Errorf("devices: %w", err)
			}
			if len(list) == 0 && err == nil || !yield(list, err) || err != nil {
				return
			}
			if from = next; from == "" {
				return
			}
		}
	}
}

// stored returns some devices from a key on, and where to go on.
func (l *Ledger) stored(from string) (list []Stored, next string, err error) {
	err = l.project(func(s *snapshot) error {
		list, next = nil, ""
		recent, err := s.recentDevices()
		if err != nil {
			return err
		}
		for it, err := range s.items(inDevices, from) {
			if err != nil {
				return err
			}
			if next = string(it.Key); len(list) == storedAtOnce {
				return nil
			}
			payload, err := unseal(inDevices, next, it.Value)
			if err == nil {
				payload, err = s.current(payload, recent[next])
			}
			if err != nil {
				return err
			}
			var d Stored
			if copy(d.MAC[:], next) != len(next) || len(next) != len(d.MAC) {
				return corrupt("key %x is no MAC", next)
			}
			if d.Last, err = lastOf(payload); err != nil {
				return err
			}
			if d.Flashed, err = flashedBy(payload); err != nil {
				return err
			}
			d.Device = payload[deviceHead:]
			list = append(list, d)
		}
		next = ""
		return nil
	})
	return list, next, err
}

// current is the payload that a projection would have if it were not behind.
func (s *snapshot) current(payload []byte, behind tail) ([]byte, error) {
	if behind.last == 0 {
		return payload, nil
	}
	d, err := openDevice(payload)
	if err == nil {
		err = applyTail(s, &d, behind)
	}
	if err != nil {
		return nil, err
	}
	return devicePayload(d)
}

// LinesAt returns the stored bytes of some entries, each held against its leaf.
func (l *Ledger) LinesAt(indexes ...uint64) (list [][]byte, err error) {
	err = l.view(func(s *snapshot) error {
		list = make([][]byte, len(indexes))
		for i, n := range indexes {
			if list[i], err = entryAt(s, n); err != nil {
				return fmt.Errorf("entry %d: %w", n, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}
