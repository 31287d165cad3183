package ledger

import (
	"encoding/json"
	"fmt"
	"iter"

	"station/internal/record"
)

// scanned is how much one look at the file takes: looks are short, so that a
// slow consumer makes no writer keep old pages.
const scanned = 256

// Lines yields the stored bytes of every entry from an index on, as far as the
// log went when the iteration began. Each is held against its leaf before.
func (l *Ledger) Lines(from uint64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		end, _, err := l.Head()
		for from < end && err == nil {
			var list [][]byte
			list, err = l.lines(from, min(end, from+scanned))
			for _, raw := range list {
				if !yield(raw, nil) {
					return
				}
			}
			from += uint64(len(list))
		}
		if err != nil {
			yield(nil, fmt.Errorf("entry %d: %w", from, err))
		}
	}
}

// lines returns the entries [from, to), or those before the first bad one.
func (l *Ledger) lines(from, to uint64) (list [][]byte, err error) {
	err = l.view(func(s *snapshot) error {
		list = nil
		for it, err := range s.items(inEntries, number(from)) {
			n := from + uint64(len(list))
			if n == to {
				return nil
			}
			if err != nil {
				return err
			}
			if string(it.Key) != number(n) {
				return corrupt("entry %d is missing", n)
			}
			raw, err := whole(n, it.Value)
			if err != nil {
				return err
			}
			list = append(list, raw)
		}
		return nil
	})
	return list, err
}

// Entries yields every entry from an index on, as far as the log went when the
// iteration began. The first error ends it. An entry of a newer version has
// only the fields that this version knows.
func (l *Ledger) Entries(from uint64) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		for raw, err := range l.Lines(from) {
			var e record.Entry
			if err == nil {
				e, err = decode(raw)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Devices yields every device, in the order of the MACs. Each is as of the
// moment when it is read.
func (l *Ledger) Devices() iter.Seq2[record.Device, error] {
	return func(yield func(record.Device, error) bool) {
		for p, err := range l.payloads(inDevices) {
			var d record.Device
			if err == nil {
				d, err = p.device()
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// Lots yields the sums of every batch and job, in the order of their names.
func (l *Ledger) Lots() iter.Seq2[record.Lot, error] {
	return func(yield func(record.Lot, error) bool) {
		for p, err := range l.payloads(inLots) {
			var lot record.Lot
			if err == nil {
				err = json.Unmarshal(p.payload, &lot)
			}
			if !yield(lot, err) || err != nil {
				return
			}
		}
	}
}

// found is one key of a projection.
type found struct {
	payload []byte
	images  []byte // of a device: the entry that verified them, if any
}

func (f found) device() (record.Device, error) {
	d, err := openDevice(f.payload)
	if err == nil && f.images != nil {
		err = setImages(&d, f.images)
	}
	return d, err
}

// payloads yields a projection, a few keys at a time.
func (l *Ledger) payloads(bucket string) iter.Seq2[found, error] {
	return func(yield func(found, error) bool) {
		from := ""
		for {
			list, next, err := l.some(bucket, from)
			for _, f := range list {
				if !yield(f, nil) {
					return
				}
			}
			if err != nil {
				yield(found{}, fmt.Errorf("%s: %w", bucket, err))
			}
			if from = next; from == "" || err != nil {
				return
			}
		}
	}
}

// some returns what a projection holds from a key on, and where to go on.
func (l *Ledger) some(bucket, from string) (list []found, next string, err error) {
	err = l.project(func(s *snapshot) error {
		list, next = nil, ""
		for it, err := range s.items(bucket, from) {
			if err != nil {
				return err
			}
			if next = string(it.Key); len(list) == scanned {
				return nil
			}
			f, err := s.find(bucket, next, it.Value)
			if err != nil {
				return err
			}
			list = append(list, f)
		}
		next = ""
		return nil
	})
	return list, next, err
}

func (s *snapshot) find(bucket, key string, value []byte) (f found, err error) {
	if f.payload, err = unseal(bucket, key, value); err != nil || bucket != inDevices {
		return f, err
	}
	n, err := flashedBy(f.payload)
	if err == nil && n > 0 {
		f.images, err = entryAt(s, n)
	}
	return f, err
}
