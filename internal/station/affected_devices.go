package station

import (
	"bytes"
	"iter"
	"slices"
	"time"

	"station/internal/record"
)

// device is one device as the bench has it whose device it is, with what another bench that had
// it alone can tell: keys, that it was revoked, and the images that were written there.
type device struct {
	record.Device
	bench   string    // whose device it is
	line    string    // the bench that wrote the images
	revoked time.Time // by whichever bench has it; zero: by none
}

// allDevices yields every device of the books once, in the order of the MACs.
func allDevices(books []Book) iter.Seq2[device, error] {
	return func(yield func(device, error) bool) {
		var at []*devices
		for _, b := range books {
			s := &devices{bench: b.Bench}
			s.pull, s.end = iter.Pull2(b.Ledger.Devices())
			defer s.end()
			if s.step() {
				at = append(at, s)
			}
		}
		for len(at) > 0 {
			first := slices.MinFunc(at, (*devices).compare)
			if first.err != nil {
				yield(device{}, first.err)
				return
			}
			mac := first.now.MAC
			var same []device
			at = slices.DeleteFunc(at, func(s *devices) bool {
				if s.now.MAC != mac {
					return false
				}
				same = append(same, device{s.now, s.bench, s.bench, s.now.Revoked()})
				return !s.step()
			})
			if !yield(joined(same), nil) {
				return
			}
		}
	}
}

// devices holds the next device of a book, or why there is none.
type devices struct {
	bench string
	now   record.Device
	err   error
	pull  func() (record.Device, error, bool)
	end   func()
}

// step goes to the next device, and tells whether there is one, or a fault.
func (s *devices) step() (more bool) {
	s.now, s.err, more = s.pull()
	return more
}

// compare puts faults first, then goes by MAC.
func (s *devices) compare(o *devices) int {
	switch {
	case s.err != nil:
		return -1
	case o.err != nil:
		return 1
	}
	return bytes.Compare(s.now.MAC[:], o.now.MAC[:])
}

// joined is what several benches know of one device.
func joined(list []device) device {
	slices.SortStableFunc(list, func(a, b device) int { return a.Elder(b.Device) })
	d := list[0]
	for _, o := range list[1:] {
		d.Keys = append(slices.Clip(d.Keys), o.Keys...)
		if d.revoked.IsZero() {
			d.revoked = o.revoked
		}
		if len(d.Images) == 0 && len(o.Images) > 0 {
			d.Images, d.Flashed, d.line = o.Images, o.Flashed, o.bench
		}
	}
	return d
}
