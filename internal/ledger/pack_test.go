package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"

	"station/internal/record"
)

func TestDictionaryOf(t *testing.T) {
	for n, want := range map[uint64]uint64{0: 0, 31: 0, 32: 32, 63: 32, 64: 64, 4095: 2048, 4096: 4096, 8191: 4096, 8192: 8192, 12_000_001: 11_997_184} {
		if got := dictionaryOf(n); got != want {
			t.Errorf("entry %d: got %d, want %d", n, got, want)
		}
	}
}

// Every entry of a full ledger reads back as it was written, from the writer's
// process and from another, and takes less than a third of its bytes.
func TestEntriesArePacked(t *testing.T) {
	l := start(t, bench)
	var want []string
	l.w.db.NoSync = true // speed: nothing here is about power
	for n := range 400 { // across a dictionary of each kind of number
		stored, err := l.AppendAll(run(n))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range stored {
			raw, _, err := encode(e)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, string(raw))
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	plain, kept := 0, 0
	s := snapshotOf(t, l.Path())
	for it, err := range s.items(inEntries, "") {
		if err != nil {
			t.Fatal(err)
		}
		n := fromNumber(it.Key)
		_, stored, err := split(n, it.Value)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := whole(s, n, it.Value, nil)
		if err != nil || n > 0 && string(raw) != want[n-1] {
			t.Fatalf("entry %d: got %s, %v", n, raw, err)
		}
		if n >= firstDictionary {
			plain, kept = plain+len(raw), kept+len(stored)
		}
	}
	if kept*3 > plain {
		t.Errorf("%d bytes of entries take %d", plain, kept)
	}
	for fault := range Check(l.Path(), nil) {
		t.Error(fault)
	}
}

// What is no packed entry is damage, told as such; it makes no program of ours
// panic or take memory by its word.
func TestUnpackDamage(t *testing.T) {
	r := oneDictionary{s2.MakeDictManual([]byte(strings.Repeat(`{"v":2,"kind":"device.seen"}`, 40)), 0)}
	good, err := pack(r, 40, []byte(`{"v":2,"kind":"device.seen","x":1}`))
	if err != nil || good[0] != packed {
		t.Fatalf("got %q, %v", good, err)
	}
	if raw, _, err := unpack(r, 40, good, nil); err != nil || string(raw) != `{"v":2,"kind":"device.seen","x":1}` {
		t.Fatalf("got %q, %v", raw, err)
	}
	for name, stored := range map[string][]byte{
		"nothing more": {packed},
		"a huge size":  append([]byte{packed}, bytes.Repeat([]byte{0xff}, 9)...),
		"over 1 MiB":   {packed, 0x81, 0x80, 0x40, 0},
		"cut":          good[:len(good)-1],
	} {
		if raw, _, err := unpack(r, 40, stored, nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %d bytes, %v", name, len(raw), err)
		}
	}
	if _, _, err := unpack(oneDictionary{}, 40, good, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("without a dictionary: got %v", err)
	}
}

func FuzzUnpack(f *testing.F) {
	r := oneDictionary{s2.MakeDictManual([]byte(strings.Repeat(`{"v":2,"kind":"device.seen"}`, 40)), 0)}
	f.Add([]byte{packed, 3, 8, 'a', 'b', 'c'})
	f.Fuzz(func(t *testing.T, stored []byte) {
		if len(stored) == 0 {
			return
		}
		raw, _, err := unpack(r, 40, stored, nil)
		if err == nil && len(raw) > largestEntry && stored[0] == packed {
			t.Errorf("%d bytes", len(raw))
		}
	})
}

// A dictionary that was damaged is told, at the entries that it takes with it.
func TestDamagedDictionary(t *testing.T) {
	path, size := damageable(t)
	bad := copyOf(t, path)
	tamper(t, bad, func(tx *txn) error {
		b := tx.bucket(inDictionaries)
		value := bytes.Clone(b.Get([]byte(number(32))))
		value[len(value)/2] ^= 1
		return b.Put([]byte(number(32)), value)
	})
	list := check(bad)
	for n := int64(32); n < int64(size); n++ {
		if !named(list, n) {
			t.Errorf("entry %d is not named in %v", n, list)
		}
	}
	if text := fmt.Sprint(list); !strings.Contains(text, "dictionaries") {
		t.Errorf("the cause is not told: %s", text)
	}
}

// An older version's ledger goes on: its entries stay plain, new ones are packed.
func TestPackAfterPlain(t *testing.T) {
	l := start(t, bench)
	for n := range 20 {
		if _, err := l.AppendAll(run(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	tamper(t, l.Path(), func(tx *txn) error {
		for n := range tx.size {
			if err := tx.forge(n, tx.raw(n)); err != nil {
				return err
			}
		}
		return errors.Join(tx.tx.DeleteBucket([]byte(inDictionaries)), tx.setState(stateProjection, projection-1))
	})
	l = reopen(t, l.Path(), bench)
	stored := add(t, l, run(30)...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := snapshotOf(t, l.Path())
	for n, want := range map[uint64]bool{100: false, stored[0].Index: true} {
		value, err := s.get(inEntries, number(n))
		if err != nil {
			t.Fatal(err)
		}
		if _, b, err := split(n, value); err != nil || (b[0] == packed) != want {
			t.Errorf("entry %d: packed %v, want %v", n, b[0] == packed, want)
		}
	}
	for fault := range Check(l.Path(), nil) {
		t.Error(fault)
	}
	if e, err := reopen(t, l.Path(), bench).Entry(stored[3].Index); err != nil || e.Kind != record.FlashVerified {
		t.Errorf("got %+v, %v", e, err)
	}
}

// oneDictionary is a reader with one dictionary and nothing else.
type oneDictionary struct{ *s2.Dict }

func (oneDictionary) get(string, string) ([]byte, error) { return nil, nil }

func (o oneDictionary) dictionary(uint64) (*s2.Dict, error) { return o.Dict, nil }

// Dictionaries that were used lately take no more memory than they may.
func TestDictionariesTakeLittleMemory(t *testing.T) {
	var d dictionaries
	text := []byte(strings.Repeat("x", 10<<10))
	held := heldDictionary{s2.MakeDictManual(text, 0), len(text)}
	fill := func() {
		for n := range uint64(2000) {
			d.keep(n, held)
			d.keep(n, held)
		}
	}
	if fill(); d.size > dictionariesMax || d.size != len(d.held)*len(text) || len(d.held) < 40 {
		t.Errorf("%d bytes in %d", d.size, len(d.held))
	}
	d.widen()
	if fill(); d.size > dictionariesAll || len(d.held) < 700 {
		t.Errorf("read in another order: %d bytes in %d", d.size, len(d.held))
	}
}
