package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"station/internal/esp32"
	"station/internal/ledger"
	"station/internal/record"
)

// ErrNoBatch means that the ledger knows no batch of that name.
var ErrNoBatch = errors.New("no such batch")

// Balance is the account of a batch, counted anew from the log. Everything
// that was begun must have come to an end, and every number, key and device
// must be accounted for.
type Balance struct {
	Batch   string    `json:"batch"`
	Job     string    `json:"job,omitempty"`
	JobHash string    `json:"jobDigest,omitempty"`
	Opened  time.Time `json:"opened,omitzero"`
	Closed  time.Time `json:"closed,omitzero"`
	First   uint64    `json:"first"` // index of the batch's first and last entry
	Last    uint64    `json:"last"`

	Ordered     int `json:"ordered"` // 0: the batch has no quota
	Numbers     int `json:"numbers"` // reserved, each before its key was made
	Keys        int `json:"keys"`    // made under those numbers
	Skipped     int `json:"skipped"` // numbers whose key was never made
	Started     int `json:"started"` // devices
	Passed      int `json:"passed"`  // of them
	Scrapped    int `json:"scrapped"`
	Quarantined int `json:"quarantined"`
	Unfinished  int `json:"unfinished"`
	Moved       int `json:"moved"` // started here, continued in another batch

	SkippedNumbers []int    `json:"skippedNumbers,omitempty"`
	Differences    []string `json:"differences,omitempty"` // what does not balance; none: it does
}

// Balanced tells whether everything is accounted for.
func (b *Balance) Balanced() bool { return len(b.Differences) == 0 }

// batchFold counts one batch.
type batchFold struct {
	Balance
	found   bool
	macs    []esp32.MAC
	seen    map[esp32.MAC]bool
	numbers map[int]esp32.MAC
	keyed   map[esp32.MAC]bool
}

// BalanceOf counts a batch in the first size entries of the ledger, and tells of
// each that it has read, if told is not nil. Error:
// ErrNoBatch.
func BalanceOf(l *ledger.Ledger, size uint64, batch string, told func(entries, total uint64)) (*Balance, error) {
	b, err := balance(l, size, batch, told)
	if err != nil {
		return nil, fmt.Errorf("batch %s: %w", batch, err)
	}
	return b, nil
}

func balance(l *ledger.Ledger, size uint64, batch string, told func(entries, total uint64)) (*Balance, error) {
	f := &batchFold{Balance: Balance{Batch: batch}, seen: map[esp32.MAC]bool{}, numbers: map[int]esp32.MAC{}, keyed: map[esp32.MAC]bool{}}
	name, err := json.Marshal(batch)
	if err != nil {
		return nil, err
	}
	lot, _, err := l.Lot("batch:" + batch)
	if err != nil {
		return nil, err
	}
	index := lot.First
	for raw, err := range l.Lines(index) {
		if err != nil {
			return nil, err
		}
		if index++; index > size {
			break
		}
		if told != nil {
			told(index, size)
		}
		if !bytes.Contains(raw, name) {
			continue
		}
		var e record.Entry
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, err
		}
		if e.Batch == batch {
			f.add(&e)
		}
	}
	if !f.found {
		return nil, ErrNoBatch
	}
	if err := f.devices(l, size); err != nil {
		return nil, err
	}
	f.settle()
	if err := f.compare(l, size); err != nil {
		return nil, err
	}
	return &f.Balance, nil
}

func (f *batchFold) add(e *record.Entry) {
	if !f.found {
		f.found, f.First = true, e.Index
	}
	f.Last = e.Index
	switch e.Kind {
	case record.BatchOpened:
		f.Opened, f.Ordered, f.Job, f.JobHash = e.Time, e.Quota, e.Job, e.JobHash
	case record.BatchClosed:
		f.Closed = e.Time
	case record.NumberTaken:
		if _, twice := f.numbers[e.Number]; twice {
			f.differ("number %d was given twice", e.Number)
		}
		f.numbers[e.Number] = e.MAC
	case record.KeyAssigned:
		if !f.keyed[e.MAC] { // once more for another revision of the job, or with an escrow
			f.Keys++
		}
		f.keyed[e.MAC] = true
	}
	if !e.MAC.IsZero() && !f.seen[e.MAC] {
		f.seen[e.MAC] = true
		f.macs = append(f.macs, e.MAC)
	}
}

func (f *batchFold) differ(format string, args ...any) {
	f.Differences = append(f.Differences, fmt.Sprintf(format, args...))
}

// devices asks what became of each device.
func (f *batchFold) devices(l *ledger.Ledger, size uint64) error {
	var unfinished []string
	for _, mac := range f.macs {
		d, _, err := l.Device(mac)
		if err == nil && d.Last >= size {
			v := &device{l: l, json: fmt.Appendf(nil, `{"mac":%q}`, mac), lastIndex: d.Last}
			d, err = v.before(size)
		}
		if err != nil {
			return err
		}
		if d.Batch != f.Batch {
			f.Moved++
			continue
		}
		f.Started++
		switch verdict, _ := d.State(); verdict {
		case record.Pass:
			f.Passed++
		case record.Scrap:
			f.Scrapped++
		case record.Quarantine:
			f.Quarantined++
		default:
			f.Unfinished++
			unfinished = append(unfinished, mac.String())
		}
	}
	if f.Unfinished > 0 {
		f.differ("%d devices were started and have no end: %s", f.Unfinished, some(unfinished))
	}
	return nil
}

// settle holds the sums against each other.
func (f *batchFold) settle() {
	f.Numbers = len(f.numbers)
	for n, mac := range f.numbers {
		if !f.keyed[mac] {
			f.SkippedNumbers = append(f.SkippedNumbers, n)
		}
	}
	slices.Sort(f.SkippedNumbers)
	f.Skipped = len(f.SkippedNumbers)
	var gaps []string
	for n := 1; n <= f.Numbers; n++ {
		if _, ok := f.numbers[n]; !ok {
			gaps = append(gaps, fmt.Sprint(n))
		}
	}
	if len(gaps) > 0 {
		f.differ("numbers were never given: %s", some(gaps))
	}
	if n := f.Keys + f.Skipped - f.Numbers; n != 0 {
		f.differ("%d keys and %d skipped numbers are not %d numbers", f.Keys, f.Skipped, f.Numbers)
	}
	switch n := f.Ordered - f.Passed; {
	case f.Ordered == 0:
	case n > 0:
		f.differ("%d of %d ordered devices are missing", n, f.Ordered)
	case n < 0:
		f.differ("%d devices more than the %d ordered passed", -n, f.Ordered)
	}
	if f.Ordered > 0 && f.Numbers > f.Ordered {
		f.differ("%d numbers were taken of %d", f.Numbers, f.Ordered)
	}
}

// compare holds the count against the ledger's own sums, which it keeps from
// entry to entry.
func (f *batchFold) compare(l *ledger.Ledger, size uint64) error {
	if now, _, err := l.Head(); err != nil || now != size {
		return err // its sums are newer
	}
	lot, _, err := l.Lot("batch:" + f.Batch)
	if err != nil {
		return err
	}
	have := [...]int{lot.Quota, lot.Reserved, lot.Devices, lot.Passed, lot.Scrapped, lot.Quarantined}
	if want := [...]int{f.Ordered, f.Numbers, f.Started, f.Passed, f.Scrapped, f.Quarantined}; have != want {
		f.differ("the ledger's own sums are others (%v, counted %v): run station ledger verify", have, want)
	}
	return nil
}

// some names a few and counts the rest.
func some(list []string) string {
	const few = 5
	if len(list) <= few {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:few], ", "), len(list)-few)
}

// Lines are the account for people, name and value.
func (b *Balance) Lines() [][2]string {
	number := func(n int) string { return fmt.Sprint(n) }
	ordered := "no quota"
	if b.Ordered > 0 {
		ordered = number(b.Ordered)
	}
	skipped := number(b.Skipped)
	if b.Skipped > 0 {
		skipped += ": " + ranges(b.SkippedNumbers)
	}
	lines := [][2]string{
		{"batch", b.Batch}, {"job", b.Job}, {"job digest", b.JobHash},
		{"opened", timeText(b.Opened)}, {"closed", timeText(b.Closed)},
		{"entries", fmt.Sprintf("%d to %d", b.First, b.Last)},
		{"ordered", ordered}, {"numbers", number(b.Numbers)}, {"keys made", number(b.Keys)}, {"skipped", skipped},
		{"started", number(b.Started)}, {"passed", number(b.Passed)}, {"scrapped", number(b.Scrapped)},
		{"quarantined", number(b.Quarantined)}, {"unfinished", number(b.Unfinished)}, {"moved", number(b.Moved)},
	}
	for _, d := range b.Differences {
		lines = append(lines, [2]string{"DIFFERENCE", d})
	}
	if b.Balanced() {
		lines = append(lines, [2]string{"balanced", "yes"})
	} else {
		lines = append(lines, [2]string{"balanced", "NO"})
	}
	return lines
}

// ranges reads "3, 7-9".
func ranges(list []int) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		part := fmt.Sprint(list[i])
		if j > i {
			part += fmt.Sprintf("-%d", list[j])
		}
		parts, i = append(parts, part), j+1
	}
	return strings.Join(parts, ", ")
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return "no"
	}
	return t.UTC().Format(time.RFC3339)
}
