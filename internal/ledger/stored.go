package ledger

import (
	"fmt"
	"iter"

	"station/internal/chip"
)

// Stored is what the indexes say of some devices, for Told to hold against the log.
type Stored struct {
	list []stored
	text []byte // of which the JSON of each is a part
}

type stored struct {
	mac  chip.MAC
	json []byte // of record.Device, without its images
	last uint64 // index of the device's last entry
}

// Len is how many devices it has.
func (s *Stored) Len() int { return len(s.list) }

// storedAtOnce bounds the memory of whoever works on several lots of devices at
// the same time.
const storedAtOnce = 128

// Devices yields what is stored of all devices, in the order of their MACs, some
// devices at a time and nothing of it held against the log yet.
func (t *Told) Devices() iter.Seq2[*Stored, error] {
	return func(yield func(*Stored, error) bool) {
		from := ""
		for {
			some := t.stored.Get().(*Stored)
			next, err := some.read(t.l, from)
			if err != nil {
				err = fmt.Errorf("devices: %w", err)
			}
			if some.Len() == 0 && err == nil || !yield(some, err) || err != nil {
				return
			}
			if from = next; from == "" {
				return
			}
		}
	}
}

// read reads some devices from a key on, and says where to go on.
func (d *Stored) read(l *Ledger, from string) (next string, err error) {
	err = l.project(func(s *snapshot) error {
		d.list, d.text, next = d.list[:0], d.text[:0], ""
		recent, err := s.recentDevices()
		if err != nil {
			return err
		}
		for it, err := range s.each(inDevices, from) {
			if err != nil {
				return err
			}
			if next = string(it.Key); d.Len() == storedAtOnce {
				return nil
			}
			if err := d.add(s, next, it.Value, recent[next]); err != nil {
				return err
			}
		}
		next = ""
		return nil
	})
	return next, err
}

// add adds the device of a key.
func (d *Stored) add(s *snapshot, key string, value []byte, behind tail) error {
	payload, err := unseal(inDevices, key, value)
	if err == nil {
		payload, err = s.current(payload, behind)
	}
	if err != nil {
		return err
	}
	var one stored
	if copy(one.mac[:], key) != len(key) || len(key) != len(one.mac) {
		return corrupt("key %x is no MAC", key)
	}
	if one.last, err = lastOf(payload); err != nil {
		return err
	}
	from := len(d.text)
	d.text = append(d.text, payload[deviceHead:]...)
	one.json = d.text[from:]
	d.list = append(d.list, one)
	return nil
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
