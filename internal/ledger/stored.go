package ledger

import (
	"fmt"
	"iter"
)

// Stored is a device as it is stored, for whoever reads a great many and wants
// a few fields of each: decoding is most of the work of Devices.
type Stored struct {
	Device []byte // JSON of record.Device, without its images
	Images []byte // the entry that verified them; nil for none
	Last   []byte // the device's last entry
}

// StoredDevices yields what Devices does, not decoded.
func (l *Ledger) StoredDevices() iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		from := ""
		for {
			list, next, err := l.stored(from)
			for _, d := range list {
				if !yield(d, nil) {
					return
				}
			}
			if err != nil {
				yield(Stored{}, fmt.Errorf("devices: %w", err))
			}
			if from = next; from == "" || err != nil {
				return
			}
		}
	}
}

// stored returns some devices from a key on, and where to go on.
func (l *Ledger) stored(from string) (list []Stored, next string, err error) {
	err = l.project(func(s *snapshot) error {
		list, next = nil, ""
		for it, err := range s.items(inDevices, from) {
			if err != nil {
				return err
			}
			if next = string(it.Key); len(list) == scanned {
				return nil
			}
			f, err := s.find(inDevices, next, it.Value)
			if err != nil {
				return err
			}
			last, err := lastOf(f.payload)
			if err != nil {
				return err
			}
			d := Stored{Device: f.payload[deviceHead:], Images: f.images}
			if d.Last, err = entryAt(s, last); err != nil {
				return err
			}
			list = append(list, d)
		}
		next = ""
		return nil
	})
	return list, next, err
}
