package replica

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"path/filepath"
	"slices"
	"time"

	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/record"
)

// times tell which part of a log a time is in. Clocks run backwards at times, so that
// entries are not in the order of their times; but all entries before a block are
// older than a time if the newest of them is. For each full block of entries it holds
// the newest time up to its end, and the oldest in it.
type times struct {
	Origin string  `json:"origin"`
	Newest []int64 `json:"newest"` // milliseconds since 1970
	Oldest []int64 `json:"oldest"`

	n              uint64 // entries so far
	newest, oldest int64  // of the entries behind the last full block; newest of all
	saved          int    // blocks in the file
}

const (
	timesFile  = "times"
	timesEvery = 4 // blocks, after which the file is written again: who opens it reads the entries behind
)

// timesBlock is how many entries a block has. A variable for tests.
var timesBlock uint64 = 1024

func (t *times) add(e record.Entry) {
	at := e.Time.UnixMilli()
	if t.n%timesBlock == 0 || at < t.oldest {
		t.oldest = at
	}
	if t.n == 0 || at > t.newest {
		t.newest = at
	}
	if t.n++; t.n%timesBlock == 0 {
		t.Newest, t.Oldest = append(t.Newest, t.newest), append(t.Oldest, t.oldest)
	}
}

// save writes the file where that is worth it: what it lacks is read from the log.
func (t *times) save(dir, origin string) error {
	if len(t.Newest)-t.saved < timesEvery {
		return nil
	}
	t.Origin = origin
	data, err := json.Marshal(t)
	if err == nil {
		err = keyfile.Replace(filepath.Join(dir, timesFile), 0o640, data)
	}
	if err == nil {
		t.saved = len(t.Newest)
	}
	return err
}

// readTimes are those of a ledger: the file's, and what it lacks from the log.
func readTimes(dir string, l *ledger.Ledger) (*times, error) {
	size, _, err := l.Head()
	if err != nil {
		return nil, err
	}
	data, err := keyfile.Read(filepath.Join(dir, timesFile), keyfile.SideFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	t := new(times)
	if json.Unmarshal(data, t) != nil || !t.of(l.Origin(), size) {
		*t = times{}
	}
	if t.saved = len(t.Newest); t.saved > 0 {
		t.n, t.newest = uint64(t.saved)*timesBlock, t.Newest[t.saved-1]
	}
	for e, err := range l.Entries(t.n) {
		if err != nil {
			return nil, err
		}
		t.add(e)
	}
	return t, nil
}

// of tells whether they can be those of a ledger.
func (t *times) of(origin string, size uint64) bool {
	return t.Origin == origin && len(t.Newest) == len(t.Oldest) && uint64(len(t.Newest))*timesBlock <= size
}

// within is from which entry on a ledger has entries at or after from, and before which
// one it has all that are before to; a zero time is none. It may be a block too many.
func (t *times) within(from, to time.Time) (first, end uint64) {
	if !from.IsZero() {
		at, _ := slices.BinarySearch(t.Newest, from.UnixMilli()) // they only grow
		first = uint64(at) * timesBlock
	}
	oldest, end := t.Oldest, t.n
	if t.n%timesBlock > 0 {
		oldest = append(slices.Clip(oldest), t.oldest)
	}
	for i := len(oldest) - 1; i >= 0 && !to.IsZero() && oldest[i] >= to.UnixMilli(); i-- {
		end = uint64(i) * timesBlock
	}
	return min(first, end), end
}

// Within is which part of a bench's ledger holds all entries of a time, from <= time <
// to; of others it may hold some. A zero time is none.
func (s *Set) Within(bench string, from, to time.Time) (first, end uint64) {
	r := s.of(bench)
	if r == nil {
		return 0, 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.book == nil {
		return 0, 0
	}
	if r.timed() != nil {
		return 0, math.MaxUint64 // who reads all of it finds out why
	}
	return r.times.within(from, to)
}

// timed reads the times when they are first asked for. The caller holds mu.
func (r *Replica) timed() (err error) {
	if r.times == nil {
		r.times, err = readTimes(r.dir, r.book)
	}
	return err
}

// Since yields the entries of a bench at or after a time, in the order of its log.
func (s *Set) Since(bench string, from time.Time) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		l := s.Ledger(bench)
		if l == nil {
			return
		}
		first, _ := s.Within(bench, from, time.Time{})
		for e, err := range l.Entries(first) {
			if err != nil {
				err = fmt.Errorf("replica of %s: %w", bench, err)
			}
			if (err != nil || !e.Time.Before(from)) && !yield(e, err) {
				return
			}
		}
	}
}
