package report

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// Bench is one ledger that a report tells of; of a site there are many.
type Bench struct {
	Name string // of the bench; "" is a ledger by itself
	*Head
	// Within says which entries hold all of a time; nil is all of them.
	Within func(from, to time.Time) (first, end uint64)
}

// scanned is what a report reads of a bench.
type scanned struct {
	Bench
	until  uint64 // where in its log the report's time ends
	closed uint64 // index behind the entry that closed the report's batch
	visits []*record.Visit
	err    error
	site   []*scanned // all of them
}

// visitor is a device that had a visit in the report's time, at these benches.
type visitor struct {
	mac chip.MAC
	at  []*scanned
}

// longest is more than any visit takes: what was written longer before the
// report's time belongs to none of its visits.
const longest = 24 * time.Hour

// scan folds the visits that ended in the report's time. It returns their devices in
// the order of their first visit.
func (r *Report) scan(benches []Bench) (Stats, []visitor, error) {
	stats := newStatsFold()
	var macs []visitor
	index := map[chip.MAC]int{}
	count := func(s *scanned, v *record.Visit) {
		stats.add(v)
		i, known := index[v.MAC]
		if !known {
			i, macs = len(macs), append(macs, visitor{mac: v.MAC})
			index[v.MAC] = i
		}
		if !slices.Contains(macs[i].at, s) {
			macs[i].at = append(macs[i].at, s)
		}
	}
	all := make([]*scanned, len(benches))
	for i, b := range benches {
		all[i] = &scanned{Bench: b, closed: math.MaxUint64, site: all}
	}
	if len(all) == 1 {
		all[0].err = r.read(all[0], func(v *record.Visit) { count(all[0], v) })
	} else {
		r.readAll(all)
	}
	type ended struct {
		*scanned
		v *record.Visit
	}
	var visits []ended
	for _, s := range all {
		if s.err != nil {
			return Stats{}, nil, s.err
		}
		for _, v := range s.visits {
			visits = append(visits, ended{s, v})
		}
	}
	slices.SortStableFunc(visits, func(a, b ended) int { return a.v.End.Compare(b.v.End) })
	for _, v := range visits {
		count(v.scanned, v.v)
	}
	return stats.end(r.Zone), macs, nil
}

// readAll reads as many benches at the same time as there are processors.
func (r *Report) readAll(all []*scanned) {
	var wg sync.WaitGroup
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	var telling sync.Mutex
	quiet := *r
	if quiet.Progress = nil; r.Progress != nil {
		quiet.Progress = func(n, total uint64) { telling.Lock(); defer telling.Unlock(); r.Progress(n, total) }
	}
	for _, s := range all {
		free <- struct{}{}
		wg.Go(func() {
			s.err = quiet.read(s, func(v *record.Visit) { s.visits = append(s.visits, v) })
			<-free
		})
	}
	wg.Wait()
}

// read folds the visits of one bench.
func (r *Report) read(s *scanned, each func(*record.Visit)) error {
	simulated := r.virtual(s.Ledger)
	var visits record.Visits
	count := func(ended []*record.Visit) {
		for _, v := range ended {
			if r.Filter.in(v.End) {
				each(v)
			}
		}
	}
	early := r.Filter
	if early.To = (time.Time{}); !early.From.IsZero() {
		early.From = early.From.Add(-longest)
	}
	index, end, enough := uint64(0), s.Size, s.Size // behind enough are only the ends of visits that have begun
	if s.Within != nil {
		late := r.Filter.To
		if !late.IsZero() {
			late = late.Add(longest) // visits that had begun have their end there
		}
		index, end = s.Within(early.From, late)
		_, enough = s.Within(early.From, r.Filter.To)
		end = min(end, s.Size)
		s.until = index
	}
	if r.Filter.Batch != "" {
		lot, found, err := s.Ledger.Lot(record.BatchLot(r.Filter.Batch, simulated))
		if err != nil || !found && s.Name != "" {
			return err
		}
		index = max(index, lot.First)
		s.until = index
	}
	for e, err := range ledger.Scan(s.Ledger, index, visitEntry) {
		if err != nil {
			return err
		}
		if oldest, open := visits.Oldest(); index >= enough && (!open || oldest >= enough) {
			break
		}
		if index++; index > end {
			break
		}
		if r.Progress != nil {
			r.Progress(index, s.Size)
		}
		if r.Filter.To.IsZero() || e.Time.Before(r.Filter.To) {
			s.until = index
		}
		if !early.in(e.Time) {
			continue
		}
		if e.Kind == record.BatchClosed && e.Batch == r.Filter.Batch {
			s.closed = index
		}
		if e.Simulated != simulated { // which is a virtual chip among real ones, or a real one among virtual ones
			continue
		}
		if (r.Filter.Batch == "" || e.Batch == r.Filter.Batch) && (r.Filter.Job == "" || e.Job == r.Filter.Job) {
			count(visits.Add(&e))
		}
	}
	count(visits.End())
	return nil
}

// visitEntry reads of an entry what visits are made of.
func visitEntry(raw []byte) (e record.Entry, err error) {
	r := visitReaders.Get().(*record.Reader)
	defer visitReaders.Put(r)
	err = r.Decode(raw, &e, record.Without{Remarks: true, Fuses: true, Images: true})
	return e, err
}

// visitReaders are apart from those of rows, which use their memory again.
var visitReaders = sync.Pool{New: func() any { return new(record.Reader) }}

// history is all that the bench has of a device whose device it is.
type history struct {
	of      *scanned
	entries []record.Entry
	err     error
}

// histories are the histories of some devices, in the order of the devices.
func histories(list []visitor) []history {
	out := make([]history, len(list))
	var wg sync.WaitGroup
	n := runtime.GOMAXPROCS(0)
	for part := range n {
		wg.Go(func() {
			for i := part; i < len(list); i += n {
				out[i] = list[i].history()
			}
		})
	}
	wg.Wait()
	return out
}

// history is a device's history at the bench whose device it is. One that has a key where it was in the
// report's time is of no other bench, unless it was at several.
func (v visitor) history() (h history) {
	h.of = v.at[0]
	if h.entries, h.err = h.of.Ledger.History(v.mac); h.err != nil || len(h.of.site) == 1 || len(v.at) == 1 && keyed(h.entries) {
		return h
	}
	var eldest record.Device
	for _, s := range h.of.site {
		d, known, err := s.Ledger.Device(v.mac)
		if err != nil {
			return history{err: err}
		}
		if known && (eldest.MAC.IsZero() || d.Elder(eldest) < 0) {
			h.of, eldest = s, d
		}
	}
	h.entries, h.err = h.of.Ledger.History(v.mac)
	return h
}

// keyed tells whether the device was given a key.
func keyed(entries []record.Entry) bool {
	return slices.ContainsFunc(entries, func(e record.Entry) bool { return e.Kind == record.KeyAssigned || e.Kind == record.Moved })
}
