package ledger

import (
	"fmt"
	"iter"

	"station/internal/chip"
)

// Stored is what the indexes say of a device, for Told to hold against the log.
type Stored struct {
	mac  chip.MAC
	json []byte // of record.Device, without its images
	last uint64 // index of the device's last entry
}

// storedAtOnce bounds the memory of whoever works on several lots of devices at
// the same time.
const storedAtOnce = 128

// Devices yields what is stored of all devices, in the order of their MACs, some
// devices at a time and nothing of it held against the log yet.
func (t *Told) Devices() iter.Seq2[[]Stored, error] {
	return func(yield func([]Stored, error) bool) {
		from := ""
		for {
			list, next, err := t.l.stored(from)
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
			if copy(d.mac[:], next) != len(next) || len(next) != len(d.mac) {
				return corrupt("key %x is no MAC", next)
			}
			if d.last, err = lastOf(payload); err != nil {
				return err
			}
			d.json = payload[deviceHead:]
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
