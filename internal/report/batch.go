package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
)

// ErrNoBatch means that the ledger knows no batch of that name.
var ErrNoBatch = errors.New("no such batch")

// Balance is the account of a batch, counted anew from the log: as it is now, or
// for a closed batch as it was when it was closed. Everything that was begun must
// have come to an end, and every number, key and device must be accounted for.
// Whoever changes how it is counted gives certificates a new format.
type Balance struct {
	Batch   string    `json:"batch"`
	Job     string    `json:"job,omitempty"`
	JobHash string    `json:"jobDigest,omitempty"`
	Opened  time.Time `json:"opened,omitzero"`
	Closed  time.Time `json:"closed,omitzero"`
	First   uint64    `json:"first"` // index of the batch's first and last entry
	Last    uint64    `json:"last"`

	Ordered     int `json:"ordered"`           // 0: the batch has no quota
	Numbers     int `json:"numbers"`           // reserved, each before its key was made
	Keys        int `json:"keys"`              // of devices with those numbers
	Skipped     int `json:"skipped"`           // numbers whose key was never made
	Refused     int `json:"refused,omitempty"` // devices that were let go before they had a key
	Started     int `json:"started"`           // devices with a key
	Joined      int `json:"joined,omitempty"`  // of them, begun in another batch
	Passed      int `json:"passed"`            // of those started
	Scrapped    int `json:"scrapped"`
	Quarantined int `json:"quarantined"`
	Unfinished  int `json:"unfinished"`
	Moved       int `json:"moved"` // started here, continued in another batch

	SkippedNumbers []int    `json:"skippedNumbers,omitempty"`
	Differences    []string `json:"differences,omitempty"` // what does not balance; none: it does

	Amended []Amendment `json:"amended,omitempty"` // of the quota, in their order
	// Since is what happened to its devices since it was closed. The account does
	// not know of it.
	Since []string `json:"since,omitempty"`
}

// Amendment is a change of a batch's quota.
type Amendment struct {
	Time     time.Time `json:"time"`
	From     int       `json:"from"` // 0 is no limit
	To       int       `json:"to"`
	Operator string    `json:"operator"`
	Reason   string    `json:"reason"`
}

// Balanced tells whether everything is accounted for.
func (b *Balance) Balanced() bool { return len(b.Differences) == 0 }

// batchFold counts one batch.
type batchFold struct {
	Balance
	found   bool
	leases  int    // blocks of numbers that the site gave
	most    int    // the greatest quota there was; meaningless once there was none
	free    bool   // there was no quota at some time
	end     uint64 // how many entries count: those up to the closing
	macs    []chip.MAC
	seen    map[chip.MAC]bool
	numbers map[int]chip.MAC
	keyed   map[chip.MAC]bool
	brought map[chip.MAC]bool           // they came from another bench, with a number of its
	started map[chip.MAC]record.Verdict // what became of those that are counted
	whole   []string                    // differences that speak of all devices of the batch, at whichever bench
}

// BalanceOf counts a batch in the first size entries of the ledger, and tells of
// each that it has read, if progress is not nil. Error:
// ErrNoBatch.
func BalanceOf(l *ledger.Ledger, size uint64, batch string, progress func(entries, total uint64)) (*Balance, error) {
	b, err := balance(l, size, batch, progress)
	if err != nil {
		return nil, fmt.Errorf("batch %s: %w", batch, err)
	}
	return b, nil
}

func balance(l *ledger.Ledger, size uint64, batch string, progress func(entries, total uint64)) (*Balance, error) {
	f, err := countBatch(l, size, batch, progress)
	if err != nil {
		return nil, err
	}
	return &f.Balance, nil
}

func countBatch(l *ledger.Ledger, size uint64, batch string, progress func(entries, total uint64)) (*batchFold, error) {
	f := &batchFold{Balance: Balance{Batch: batch}, seen: map[chip.MAC]bool{}, numbers: map[int]chip.MAC{}, keyed: map[chip.MAC]bool{}, brought: map[chip.MAC]bool{}, started: map[chip.MAC]record.Verdict{}}
	name, err := json.Marshal(batch)
	if err != nil {
		return nil, err
	}
	lot, _, err := l.Lot(record.BatchLot(batch, l.Simulated()))
	if err != nil {
		return nil, err
	}
	index := lot.First
	for raw, err := range l.Lines(index) {
		if err != nil {
			return nil, err
		}
		if index++; index > size || f.end > 0 {
			break
		}
		if progress != nil {
			progress(index, size)
		}
		if !bytes.Contains(raw, name) {
			continue
		}
		e, err := record.Decode(raw)
		if err != nil {
			return nil, err
		}
		if e.Batch == batch && e.Simulated == l.Simulated() {
			f.add(&e)
		}
	}
	if !f.found {
		return nil, ErrNoBatch
	}
	if f.end == 0 {
		f.end = size
	}
	if err := f.devices(l); err != nil {
		return nil, err
	}
	f.settle()
	if err := f.later(l, size); err != nil {
		return nil, err
	}
	if err := f.compare(l, size); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *batchFold) add(e *record.Entry) {
	if !f.found {
		f.found, f.First = true, e.Index
	}
	f.Last = e.Index
	switch e.Kind {
	case record.BatchOpened:
		f.Opened, f.Job, f.JobHash = e.Time, e.Job, e.JobHash
		f.order(e.Quota)
	case record.BatchAmended:
		f.Amended = append(f.Amended, Amendment{e.Time, f.Ordered, e.Quota, e.Operator, e.Message})
		f.order(e.Quota)
	case record.BatchClosed:
		f.Closed, f.end = e.Time, e.Index+1
	case record.NumberTaken:
		if _, twice := f.numbers[e.Number]; twice {
			f.differ("number %d was given twice", e.Number)
		}
		f.numbers[e.Number] = e.MAC
	case record.NumbersLeased:
		f.leases++
	case record.KeyAssigned:
		f.keyed[e.MAC] = true
	case record.Moved:
		f.brought[e.MAC] = true
	}
	if !e.MAC.IsZero() && !f.seen[e.MAC] {
		f.seen[e.MAC] = true
		f.macs = append(f.macs, e.MAC)
	}
}

func (f *batchFold) differ(format string, args ...any) {
	f.Differences = append(f.Differences, fmt.Sprintf(format, args...))
}

// differWhole is differ for what is so only where no other bench makes the batch too.
func (f *batchFold) differWhole(format string, args ...any) {
	f.differ(format, args...)
	f.whole = append(f.whole, f.Differences[len(f.Differences)-1])
}

func (f *batchFold) order(quota int) {
	f.Ordered, f.most, f.free = quota, max(f.most, quota), f.free || quota == 0
}

// at is a device as it was before an index.
func at(l *ledger.Ledger, mac chip.MAC, size uint64) (record.Device, error) {
	d, _, err := l.Device(mac)
	if err != nil || d.Last < size {
		return d, err
	}
	var then record.Device
	entries, err := l.History(mac)
	for _, e := range entries {
		if e.Index < size {
			then.Apply(e)
		}
	}
	return then, err
}

// devices asks what became of each device.
func (f *batchFold) devices(l *ledger.Ledger) error {
	var unfinished []string
	for _, mac := range f.macs {
		d, err := at(l, mac, f.end)
		if err != nil {
			return err
		}
		if d.InLot() != record.BatchLot(f.Batch, l.Simulated()) {
			if f.keyed[mac] { // a device of another batch that only visited is not counted
				f.Moved++
			}
			continue
		}
		if len(d.Keys) == 0 {
			f.Refused++
			continue
		}
		f.Started++
		if !f.keyed[mac] {
			f.Joined++
			f.keyed[mac] = true
		}
		verdict, _ := d.State()
		f.started[mac] = verdict
		count := f.of(verdict)
		if *count++; count == &f.Unfinished {
			unfinished = append(unfinished, mac.String())
		}
	}
	if f.Unfinished > 0 {
		f.differWhole("%s started that had no end: %s", plain.Count(f.Unfinished, "device"), some(unfinished))
	}
	return nil
}

// of is the count of devices with a verdict.
func (b *Balance) of(v record.Verdict) *int {
	switch v {
	case record.Pass:
		return &b.Passed
	case record.Scrap:
		return &b.Scrapped
	case record.Quarantine:
		return &b.Quarantined
	}
	return &b.Unfinished
}

// later tells what happened to the devices of a closed batch since.
func (f *batchFold) later(l *ledger.Ledger, size uint64) error {
	if f.Closed.IsZero() {
		return nil
	}
	name := record.BatchLot(f.Batch, l.Simulated())
	for _, mac := range f.macs {
		then, err := at(l, mac, f.end)
		if err != nil {
			return err
		}
		now, err := at(l, mac, size)
		if err != nil {
			return err
		}
		was, _ := then.State()
		is, code := now.State()
		if then.InLot() != name || was == is && then.InLot() == now.InLot() {
			continue
		}
		text := fmt.Sprintf("%s was %s and is %s", mac, was, strings.TrimSpace(string(is)+" "+string(code)))
		if now.InLot() != name {
			text += ", counted in " + now.InLot()
		}
		f.Since = append(f.Since, text)
	}
	return nil
}

// settle holds the sums against each other.
func (f *batchFold) settle() {
	f.Numbers, f.Keys = len(f.numbers), len(f.keyed)
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
	if n := f.Keys + f.Skipped - f.Numbers - f.elsewhere(); n != 0 {
		f.differ("%d keys and %d skipped numbers are not %d numbers", f.Keys, f.Skipped, f.Numbers)
	}
	switch n := f.Ordered - f.Passed; {
	case f.Ordered == 0:
	case n > 0:
		f.differWhole("%d of %d ordered devices are missing", n, f.Ordered)
	case n < 0:
		f.differWhole("%s passed, %d more than ordered", plain.Count(f.Passed, "device"), -n)
	}
	if f.most > 0 && !f.free && f.Numbers > f.most {
		f.differ("%d numbers were taken of %d", f.Numbers, f.most)
	}
}

// elsewhere is how many devices have their number of the batch from another bench.
func (f *batchFold) elsewhere() (n int) {
	own := map[chip.MAC]bool{}
	for _, mac := range f.numbers {
		own[mac] = true
	}
	for mac := range f.brought {
		if f.keyed[mac] && !own[mac] {
			n++
		}
	}
	return n
}

// compare holds the count against the ledger's own sums, which it keeps from
// entry to entry.
func (f *batchFold) compare(l *ledger.Ledger, size uint64) error {
	if now, _, err := l.Head(); err != nil || now != size && f.Closed.IsZero() {
		return err // its sums are newer
	}
	lot, _, err := l.Lot(record.BatchLot(f.Batch, l.Simulated()))
	if err != nil {
		return err
	}
	have := [...]int{lot.Quota, lot.Reserved, lot.Refused, lot.Devices, lot.Passed, lot.Scrapped, lot.Quarantined}
	if want := [...]int{f.Ordered, f.Numbers, f.Refused, f.Started, f.Passed, f.Scrapped, f.Quarantined}; have != want {
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
		{"refused", number(b.Refused)}, {"started", number(b.Started)}, {"joined", number(b.Joined)}, {"passed", number(b.Passed)}, {"scrapped", number(b.Scrapped)},
		{"quarantined", number(b.Quarantined)}, {"unfinished", number(b.Unfinished)}, {"moved", number(b.Moved)},
	}
	for _, a := range b.Amended {
		lines = append(lines, [2]string{"amended", fmt.Sprintf("%s: %d to %d by %s: %s", timeText(a.Time), a.From, a.To, a.Operator, a.Reason)})
	}
	for _, d := range b.Differences {
		lines = append(lines, [2]string{"DIFFERENCE", d})
	}
	if b.Balanced() {
		lines = append(lines, [2]string{"balanced", "yes"})
	} else {
		lines = append(lines, [2]string{"balanced", "NO"})
	}
	for _, text := range b.Since {
		lines = append(lines, [2]string{"SINCE", text})
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
