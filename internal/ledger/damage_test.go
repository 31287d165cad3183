package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/chip"
	"station/internal/racetest"
	"station/internal/record"
)

// damageable is a closed ledger with everything in it: 40 entries.
func damageable(t testing.TB) (path string, size uint64) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "ledger.db")
	o := bench
	o.Now = clock()
	l, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	add(t, l, record.Entry{Kind: record.PlanApproved, Plan: "sha256:1", Operator: "anna"}, record.Entry{Kind: record.BatchOpened, Operator: "anna", Batch: "2026-W47", Quota: 9},
		record.Entry{Kind: record.KeyImported, Token: "4711", Keys: []record.Key{{ID: "master:m:01"}}})
	for n := range 3 {
		if _, err := l.Reserve(record.Entry{MAC: mac(n), Batch: "2026-W47", Undeclared: true}); err != nil {
			t.Fatal(err)
		}
		add(t, l, run(n)[:10]...)
	}
	add(t, l, record.Entry{Kind: record.KeyAssigned, MAC: mac(7), Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: "fleet", Policy: shared}}})
	sign(t, l, newKey(t))
	add(t, l, run(0)[10:]...)
	if size, _, err = l.Head(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	mustBeWhole(t, path)
	return path, size
}

func copyOf(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy.db")
	write(t, to, string(b[:snapshotOf(t, path).Size()])) // without the room to grow
	return to
}

func check(path string) []Fault { return checkAs(path, nil) }

// checkLog is what is wrong with the log itself.
func checkLog(path string) []Fault { return checkAs(path, &Audit{Log: true}) }

func checkAs(path string, a *Audit) (list []Fault) {
	for f := range Check(path, a) {
		list = append(list, f)
	}
	return list
}

func named(list []Fault, entry int64) bool {
	for _, f := range list {
		if f.Entry == entry {
			return true
		}
	}
	return false
}

// put writes an entry's bytes with hashes that agree with them, as somebody
// would who can compute.
func (t *txn) forge(n uint64, raw string) error {
	old, _ := t.get(inEntries, number(n))
	value := bytes.Clone(old[:hashCount(n)*tlog.HashSize])
	leaf := tlog.RecordHash([]byte(raw))
	copy(value, leaf[:])
	return t.bucket(inEntries).Put([]byte(number(n)), append(value, raw...))
}

func (t *txn) raw(n uint64) string {
	value, _ := t.get(inEntries, number(n))
	raw, _, _ := unpack(t, n, value[hashCount(n)*tlog.HashSize:], nil)
	return string(raw)
}

// Changing, dropping, reordering or cutting any entry is found, and the entry
// is named.
func TestEveryEntry(t *testing.T) {
	path, size := damageable(t)
	swap := func(tx *txn, a, b uint64) error {
		x, y := tx.raw(a), tx.raw(b)
		return errors.Join(tx.forge(a, y), tx.forge(b, x))
	}
	var cases racetest.Sample
	for n := range size {
		if cases.Out(8) {
			continue
		}
		for name, change := range map[string]func(*txn) error{
			"dropped": func(tx *txn) error { return tx.bucket(inEntries).Delete([]byte(number(n))) },
			"emptied": func(tx *txn) error { return tx.bucket(inEntries).Put([]byte(number(n)), nil) },
			"changed": func(tx *txn) error {
				value, _ := tx.get(inEntries, number(n))
				raw := strings.Replace(tx.raw(n), `"v":3`, `"v":4`, 1)
				stored, err := pack(tx, n, []byte(raw))
				hashes := value[:hashCount(n)*tlog.HashSize]
				return errors.Join(err, tx.bucket(inEntries).Put([]byte(number(n)), slices.Concat(hashes, stored)))
			},
			"forged": func(tx *txn) error {
				return tx.forge(n, strings.Replace(tx.raw(n), `"time":"2026`, `"time":"2025`, 1))
			},
			"reformatted": func(tx *txn) error { return tx.forge(n, strings.Replace(tx.raw(n), ":", ": ", 1)) },
			"swapped":     func(tx *txn) error { return swap(tx, n, (n+1)%size) },
			"moved": func(tx *txn) error {
				value, _ := tx.get(inEntries, number(n))
				return errors.Join(tx.bucket(inEntries).Put([]byte(number(n+1000)), bytes.Clone(value)), tx.bucket(inEntries).Delete([]byte(number(n))))
			},
		} {
			bad := copyOf(t, path)
			tamper(t, bad, change)
			list := check(bad)
			last := n == size-1 && name == "dropped" // then nothing is missing before any other
			// An even leaf with its own hash is first missed in the hash over two.
			ok := named(list, int64(n)) || name == "forged" && named(list, int64(n+1))
			if len(list) == 0 || !last && !ok {
				t.Errorf("entry %d %s: got %v", n, name, list)
			}
			if len(checkLog(bad)) == 0 {
				t.Errorf("entry %d %s: indexes would be made from this log", n, name)
			}
		}
	}
}

// Entries that break a promise, with everything computed anew as if the program
// itself had written them: a forger with the file in hand, and all the time.
func TestBrokenPromises(t *testing.T) {
	for name, e := range map[string]record.Entry{
		"a second key":        {Kind: record.KeyAssigned, MAC: mac(1), Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: "other", Policy: "derived"}}},
		"a key of two uses":   {Kind: record.KeyAssigned, MAC: mac(1), Keys: []record.Key{{Purpose: chip.HMAC, ID: key(1), Policy: "derived"}}},
		"another's key":       {Kind: record.KeyAssigned, MAC: mac(2), Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: key(1), Policy: "derived"}}},
		"simulated":           {Kind: record.DeviceSeen, MAC: mac(1), Simulated: true},
		"created again":       {Kind: record.LedgerCreated},
		"a number left out":   {Kind: record.NumberTaken, MAC: mac(1), Batch: "b", Number: 7},
		"a number too many":   {Kind: record.NumberTaken, MAC: mac(1), Batch: "full", Number: 2, Quota: 1},
		"another's number":    {Kind: record.NumberTaken, MAC: mac(1), Batch: "leased", Number: 1, About: record.AboutOf(record.Numbered{Site: 6})},
		"numbers out of turn": {Kind: record.NumbersLeased, Batch: "leased", About: record.AboutOf(record.Lease{Turn: 1, Numbers: record.Numbers{First: 5, Count: 2}})},
		"a clock that lies":   {Kind: record.DeviceSeen, MAC: mac(1), ClockBack: 5},
		"a chain that lies":   {Kind: record.DeviceSeen, MAC: mac(1), Prev: 3},
		"a key of no meaning": {Kind: record.LedgerKey, Public: []byte("key")},
	} {
		l := start(t, bench)
		add(t, l, run(1)...)
		if _, err := l.Reserve(record.Entry{MAC: mac(2), Batch: "full", Undeclared: true}); err != nil {
			t.Fatal(err)
		}
		add(t, l, record.Entry{Kind: record.NumbersLeased, Batch: "leased", About: record.AboutOf(record.Lease{Turn: 1, Numbers: record.Numbers{First: 5, Count: 2}})})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		bad := copyOf(t, l.Path())
		tamper(t, bad, func(tx *txn) error { return tx.slip(e) })
		list := check(bad)
		if ok := named(list, 15) || name == "another's key" && named(list, 3); !ok {
			t.Errorf("%s: got %v", name, list)
		}
		if list := checkLog(bad); !named(list, 15) {
			t.Errorf("%s: in the log alone %v", name, list)
		}
	}
}

// slip adds an entry as add does, but asks no questions.
func (t *txn) slip(e record.Entry) error {
	d, err := t.device(e.MAC)
	if err != nil {
		return err
	}
	lie := e
	t.stamp(&e, d)
	if lie.ClockBack > 0 {
		e.ClockBack = lie.ClockBack
	}
	if lie.Prev > 0 {
		e.Prev = lie.Prev
	}
	raw, e, err := encode(e)
	if err != nil {
		return err
	}
	return errors.Join(t.putEntry(raw), t.project(e, d), t.flush())
}

// A flipped bit anywhere in the file is found, or means nothing: all keys and
// values of the ledger are as before.
func TestEveryByteOfTheFile(t *testing.T) {
	path, _ := damageable(t)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := &readers{f: f}
	s, err := r.newest()
	if err != nil {
		t.Fatal(err)
	}
	want, err := contents(s)
	if err != nil {
		t.Fatal(err)
	}
	found, end := 0, s.Size()
	for at := int64(0); at < end; at += 193 {
		flip(t, f, at)
		if list := check(path); len(list) > 0 {
			found++
		} else if s, err := r.newest(); err != nil {
			t.Errorf("byte %d: %v", at, err)
		} else if got, err := contents(s); err != nil || !same(got, want) {
			t.Errorf("byte %d of page %d is not found: %v", at%pageSize, at/pageSize, err)
		}
		flip(t, f, at)
	}
	if found < 120 {
		t.Errorf("only %d of %d were found", found, end/193)
	}
}

func flip(t testing.TB, f *os.File, at int64) {
	t.Helper()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << (at % 8)
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// Writing to a damaged ledger is an error or works; it never takes the process
// with it.
func TestWritingToADamagedFile(t *testing.T) {
	path, _ := damageable(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole = whole[:snapshotOf(t, path).Size()]
	bad := filepath.Join(t.TempDir(), "bad.db")
	refused := 0
	// Where pages keep their structure a changed bit does the most.
	for at := 0; at < len(whole); at += 5 {
		if at%pageSize > 80 {
			at += pageSize - at%pageSize - 5
			continue
		}
		whole[at] ^= 1 << (at % 8)
		_ = os.Remove(bad)
		write(t, bad, string(whole))
		whole[at] ^= 1 << (at % 8)
		l, err := Open(bad, bench)
		if err == nil {
			l.w.db.NoSync, l.w.db.NoGrowSync = true, true
			for _, e := range run(1)[8:] {
				if _, err = l.Append(e); err != nil {
					break
				}
			}
			err = errors.Join(err, l.Close())
		}
		if err != nil {
			refused++
		}
	}
	if refused < 40 {
		t.Errorf("only %d were refused", refused)
	}
}

// A file that was cut says so: to the station, which does not open it, and to
// verify, which names the entries that are lost.
func TestCutTail(t *testing.T) {
	l := start(t, bench)
	l.w.db.NoSync = true // the file is cut later, and by us
	for n := range 400 {
		if _, err := l.AppendAll(run(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := snapshotOf(t, l.Path())
	lost := 0
	for cut := int64(1); cut < s.Size()/2; cut *= 3 {
		bad := copyOf(t, l.Path())
		if err := os.Truncate(bad, s.Size()-cut); err != nil {
			t.Fatal(err)
		}
		for _, o := range []Options{bench, {ReadOnly: true}} {
			if _, err := Open(bad, o); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%d bytes cut: got %v, want ErrCorrupt", cut, err)
			}
		}
		list := check(bad)
		if !strings.Contains(fmt.Sprint(list), fmt.Sprintf("%d bytes are missing", cut)) {
			t.Errorf("%d bytes cut: got %v", cut, list)
		}
		for _, f := range list {
			if f.Entry >= 0 && strings.Contains(f.Text, "lost") {
				lost++
				break
			}
		}
	}
	if lost < 3 {
		t.Errorf("only %d cuts name a lost entry", lost)
	}
}

func snapshotOf(t testing.TB, path string) *snapshot {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	s, err := (&readers{f: f}).newest()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
