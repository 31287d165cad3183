package ledger

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/chip"
	"station/internal/record"
)

// model is a ledger as a child would write it: everything is worked out anew
// from the list of entries each time that somebody asks.
type model struct {
	entries []record.Entry
}

func (m *model) device(mac chip.MAC) (d record.Device, history []record.Entry) {
	for _, e := range m.entries {
		if e.MAC == mac {
			d.Apply(e)
			history = append(history, e)
		}
	}
	return d, history
}

// refuses tells which error an entry must meet.
func (m *model) refuses(e record.Entry) error {
	d, _ := m.device(e.MAC)
	owners := map[chip.MAC]bool{}
	var policy string
	lot, number := record.Lot{}, 0
	for _, old := range m.entries {
		if old.Kind == record.KeyAssigned && old.FlashKey().ID == e.FlashKey().ID {
			owners[old.MAC], policy = true, old.FlashKey().Policy
		}
		if old.Lot() == e.Lot() {
			lot.Apply(old)
			number = max(number, old.Number)
		}
	}
	limit := lot.Limit(e)
	switch e.Kind {
	case record.KeyAssigned:
		if d.FlashKey().ID != "" && d.FlashKey().ID != e.FlashKey().ID {
			return record.ErrKeyBound
		}
		if len(owners) > 0 && ((policy == shared) != (e.FlashKey().Policy == shared) || policy != shared && !owners[e.MAC]) {
			return record.ErrKeyTaken
		}
	case record.BatchOpened:
		if !lot.Opened.IsZero() {
			return record.ErrBatch
		}
	case record.BatchClosed, record.BatchAmended:
		if lot.Opened.IsZero() || !lot.Closed.IsZero() {
			return record.ErrBatch
		}
		if e.Kind == record.BatchAmended && e.Quota > 0 && e.Quota < m.passed(e.Lot()) {
			return record.ErrQuota
		}
	case record.NumberTaken:
		if !lot.Closed.IsZero() || e.Batch != "" && lot.Opened.IsZero() && !e.Undeclared {
			if m.number(e) == 0 || !lot.Closed.IsZero() {
				return record.ErrBatch
			}
		}
		if m.number(e) > 0 {
			return errUnchanged
		}
		if limit > 0 && number >= limit {
			return record.ErrQuota
		}
	}
	return nil
}

// number is the one that the entry's device has taken of the entry's lot; 0: none.
func (m *model) number(e record.Entry) int {
	for _, old := range m.entries {
		if old.Kind == record.NumberTaken && old.MAC == e.MAC && old.Lot() == e.Lot() {
			return old.Number
		}
	}
	return 0
}

// passed is how many devices of a lot have passed.
func (m *model) passed(lot string) (n int) {
	for i := range 12 {
		if d, _ := m.device(mac(i)); d.FlashKey().ID != "" && d.InLot() == lot && d.Sealed && !d.SetAside {
			n++
		}
	}
	return n
}

// root is the definition of RFC 6962, 2.1, word for word.
func (m *model) root(t *testing.T) tlog.Hash {
	var leaves []tlog.Hash
	for _, e := range m.entries {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, tlog.RecordHash(b))
	}
	var mth func([]tlog.Hash) tlog.Hash
	mth = func(d []tlog.Hash) tlog.Hash {
		if len(d) == 1 {
			return d[0]
		}
		k := 1
		for 2*k < len(d) {
			k *= 2
		}
		return tlog.NodeHash(mth(d[:k]), mth(d[k:]))
	}
	return mth(leaves)
}

func (m *model) random(r *rand.Rand) record.Entry {
	e := record.Entry{MAC: mac(r.IntN(12)), Job: "avior", Operator: "anna", Message: "why", Undeclared: r.IntN(2) == 0, Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: fmt.Sprint("k", r.IntN(14)), Policy: "derived"}},
		Stage: []string{"key", "crypt", "lock"}[r.IntN(3)], Verdict: []record.Verdict{record.Retry, record.Scrap, record.Quarantine}[r.IntN(3)]}
	e.Kind = []record.Kind{record.DeviceSeen, record.Admitted, record.KeyAssigned, record.KeyAssigned, record.FlashVerified, record.BurnIntended,
		record.BurnSettled, record.BootVerified, record.Sealed, record.Failed, record.Released, record.NumberTaken, record.NumberTaken,
		record.BatchOpened, record.BatchAmended, record.BatchClosed}[r.IntN(16)]
	if r.IntN(5) == 0 {
		e.Keys[0].ID, e.Keys[0].Policy = "fleet", shared
	}
	if r.IntN(3) > 0 {
		e.Batch = fmt.Sprint("b", r.IntN(5))
	}
	switch e.Kind {
	case record.FlashVerified:
		e.Images = []record.Image{{Name: "app", Size: r.IntN(1000)}}
	case record.BurnSettled:
		e.Fuses = record.Fuses{{Name: "BLOCK1", State: "hidden"}}
	case record.NumberTaken:
		e.Quota = r.IntN(9)
	case record.BatchOpened, record.BatchAmended, record.BatchClosed:
		e.MAC, e.Batch, e.Quota = chip.MAC{}, fmt.Sprint("b", r.IntN(5)), r.IntN(4)
	}
	return e
}

func ofLot(k record.Kind) bool {
	return k == record.BatchOpened || k == record.BatchAmended || k == record.BatchClosed || k == record.NumberTaken
}

// same compares all that the ledger tells with what the model works out.
func (m *model) same(t *testing.T, l *Ledger) {
	t.Helper()
	size, root, err := l.Head()
	if err != nil || size != uint64(len(m.entries)) || root != m.root(t) {
		t.Fatalf("head: %d of %d entries, %v", size, len(m.entries), err)
	}
	lots := map[string]record.Lot{}
	lot := func(name string, change func(*record.Lot)) {
		v := lots[name]
		v.Name = name
		change(&v)
		lots[name] = v
	}
	first := map[string]uint64{}
	devices := map[chip.MAC]record.Device{}
	for i, e := range slices.Backward(m.entries) { // so that the first one stays
		if ofLot(e.Kind) {
			first[e.Lot()] = uint64(i)
		}
	}
	count := func(name string) {
		for _, d := range devices {
			if d.InLot() == name {
				lot(name, func(v *record.Lot) { v.Count(d, 1) })
			}
		}
	}
	for i, e := range m.entries {
		if e.Kind == record.BatchClosed {
			count(e.Lot()) // for ever
		}
		if ofLot(e.Kind) {
			lot(e.Lot(), func(v *record.Lot) { v.Apply(e) })
		}
		if e.MAC.IsZero() {
			continue
		}
		d := devices[e.MAC]
		d.Apply(e)
		devices[e.MAC] = d
		if n, known := first[d.InLot()]; d.InLot() != "" && (!known || uint64(i) < n) {
			first[d.InLot()] = uint64(i)
		}
	}
	for n := range 12 {
		want, history := m.device(mac(n))
		got, found, err := l.Device(mac(n))
		if err != nil || found != (len(history) > 0) || !reflect.DeepEqual(got, want) {
			t.Fatalf("device %d:\ngot  %+v, %v\nwant %+v", n, got, err, want)
		}
		if list, err := l.History(mac(n)); err != nil || !reflect.DeepEqual(list, history) {
			t.Fatalf("history %d: %d of %d, %v", n, len(list), len(history), err)
		}
	}
	names := map[string]bool{}
	for _, d := range devices {
		names[d.InLot()] = true
	}
	for name := range names {
		if name != "" && lots[name].Closed.IsZero() {
			count(name)
		}
	}
	got := map[string]record.Lot{}
	for v, err := range l.Lots() {
		if err != nil {
			t.Fatal(err)
		}
		if v.First != first[v.Name] {
			t.Fatalf("lot %s: its first entry is %d, not %d", v.Name, first[v.Name], v.First)
		}
		if v.First = 0; v != (record.Lot{Name: v.Name}) { // all its devices went on in another
			got[v.Name] = v
		}
	}
	if !maps.Equal(got, lots) {
		t.Fatalf("lots:\ngot  %+v\nwant %+v", got, lots)
	}
}

// Random work with restarts, rebuilding, copies and signatures in between.
func TestModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	o := bench
	now := time.Now()
	o.Now = func() time.Time { // mostly forwards
		now = now.Add(time.Duration(r.IntN(1000)-100) * time.Millisecond)
		return now
	}
	l, k := start(t, o), newKey(t)
	first, err := l.Entry(0)
	if err != nil {
		t.Fatal(err)
	}
	m := &model{entries: []record.Entry{first}}
	for step := range 500 {
		switch r.IntN(40) {
		case 0:
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = reopen(t, l.Path(), o)
		case 1:
			if err := l.Rebuild(); err != nil {
				t.Fatal(err)
			}
		case 2:
			m.checkpoint(t, l, k)
		case 3:
			copied := filepath.Join(t.TempDir(), "copy.db")
			if err := errors.Join(l.BackupTo(copied), l.Close()); err != nil {
				t.Fatal(err)
			}
			l = reopen(t, copied, o)
		default:
			m.append(t, l, r)
		}
		if step%50 == 49 {
			m.same(t, l)
			mustBeWhole(t, l.Path())
		}
	}
}

func (m *model) append(t *testing.T, l *Ledger, r *rand.Rand) {
	t.Helper()
	e := m.random(r)
	want := m.refuses(e)
	if e.Kind == record.NumberTaken {
		m.reserve(t, l, e, want)
		return
	}
	got, err := l.Append(e)
	if !errors.Is(err, want) || err != nil && want == nil {
		t.Fatalf("%+v: got %v, want %v", e, err, want)
	}
	if err == nil {
		m.entries = append(m.entries, got)
	}
}

func (m *model) reserve(t *testing.T, l *Ledger, e record.Entry, want error) {
	t.Helper()
	n, err := l.Reserve(e)
	switch {
	case errors.Is(want, errUnchanged):
		if n != m.number(e) || err != nil {
			t.Fatalf("kept number: got %d, %v, want %d", n, err, m.number(e))
		}
	case !errors.Is(err, want) || err != nil && want == nil:
		t.Fatalf("%+v: got %v, want %v", e, err, want)
	case err == nil:
		m.last(t, l)
	}
}

// last takes over the entry that the ledger wrote by itself.
func (m *model) last(t *testing.T, l *Ledger) {
	t.Helper()
	e, err := l.Entry(uint64(len(m.entries)))
	if err != nil {
		t.Fatal(err)
	}
	m.entries = append(m.entries, e)
}

func (m *model) checkpoint(t *testing.T, l *Ledger, k crypto.Signer) {
	t.Helper()
	known := slices.ContainsFunc(m.entries, func(e record.Entry) bool { return e.Kind == record.LedgerKey })
	sign(t, l, k)
	if !known {
		m.last(t, l)
	}
}
