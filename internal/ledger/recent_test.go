package ledger

import (
	"bytes"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"

	"station/internal/chip"
	"station/internal/record"
)

// Devices whose projection is behind read like all others, from a reader beside
// the writer and from a writer that remembers nothing.
func TestRecentDevices(t *testing.T) {
	l := start(t, bench)
	r := rand.New(rand.NewPCG(1, 2))
	folded := map[chip.MAC]*record.Device{}
	work := map[int][]record.Entry{}
	most := 0
	for step := range 700 {
		n := r.IntN(maxRecent + 12)
		if len(work[n]) == 0 {
			work[n] = run(n)
			for range r.IntN(2 * maxTail) { // longer than a visit's entries
				work[n] = append([]record.Entry{{Kind: record.KeyImported, MAC: mac(n)}}, work[n]...)
			}
		}
		e := add(t, l, work[n][0])[0]
		work[n] = work[n][1:]
		if folded[e.MAC] == nil {
			folded[e.MAC] = new(record.Device)
		}
		folded[e.MAC].Apply(e)
		if d, _, err := l.Device(e.MAC); err != nil || !reflect.DeepEqual(&d, folded[e.MAC]) {
			t.Fatalf("entry %d: got %+v, %v, want %+v", e.Index, d, err, folded[e.MAC])
		}
		if step%100 > 0 {
			continue
		}
		s, err := l.read.newest()
		if err != nil {
			t.Fatal(err)
		}
		recent, err := s.recentDevices()
		if err != nil || len(recent) > maxRecent {
			t.Fatalf("%d recent devices, %v", len(recent), err)
		}
		for mac, b := range recent {
			if b.count > maxTail {
				t.Errorf("%x is %d entries behind", mac, b.count)
			}
		}
		most = max(most, len(recent))
		sameDevices(t, l, folded)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = reopen(t, l.Path(), bench)
		if step%200 == 0 {
			mustBeWhole(t, l.Path())
		}
	}
	if most < maxRecent {
		t.Errorf("only %d devices were recent", most)
	}
	mustBeWhole(t, l.Path())
	if err := l.Rebuild(); err != nil {
		t.Fatal(err)
	}
	sameDevices(t, l, folded)
	mustBeWhole(t, l.Path())
}

// sameDevices compares all three ways to read devices.
func sameDevices(t *testing.T, l *Ledger, want map[chip.MAC]*record.Device) {
	t.Helper()
	n := 0
	for d, err := range l.Devices() {
		if err != nil || !reflect.DeepEqual(&d, want[d.MAC]) {
			t.Fatalf("got %+v, %v, want %+v", d, err, want[d.MAC])
		}
		n++
	}
	for d, entries := range allTold(t, l) {
		if !reflect.DeepEqual(d, want[d.MAC]) || entries[len(entries)-1].Index != d.Last {
			t.Fatalf("got %+v, want %+v", d, want[d.MAC])
		}
		n++
	}
	if n != 2*len(want) {
		t.Errorf("got %d devices, want two times %d", n, len(want))
	}
}

// An entry in the middle of a visit costs no more pages than the entry alone.
func TestAppendTouchesFewPages(t *testing.T) {
	l := start(t, bench)
	for n := range 600 { // so many that the entries have a branch
		if _, err := l.AppendAll(run(n)); err != nil {
			t.Fatal(err)
		}
	}
	const (
		path   = 2 // branch and leaf of the entries
		split  = 1 // a leaf is full
		common = 3 // the file's root, free list and header
		keys   = 3 // branch and leaf of the key's owner, which may be split
	)
	visit := run(1000)
	add(t, l, visit[0])
	for _, e := range visit[1 : len(visit)-1] {
		before := content(t, l.Path())
		add(t, l, e)
		want := path + split + common
		if len(indexed(&e)) > 0 {
			want += keys
		}
		if n := changed(before, content(t, l.Path())); n < path || n > want {
			t.Errorf("%s: wrote %d pages, want at most %d", e.Kind, n, want)
		}
	}
	before := content(t, l.Path())
	add(t, l, visit[len(visit)-1])
	if n := changed(before, content(t, l.Path())); n <= path+common {
		t.Errorf("%d pages: the projection was not written when the visit ended", n)
	}
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// changed counts the pages that differ.
func changed(a, b []byte) (n int) {
	for at := 0; at < len(b); at += pageSize {
		if at+pageSize > len(a) || !bytes.Equal(a[at:at+pageSize], b[at:at+pageSize]) {
			if !bytes.Equal(b[at:at+pageSize], make([]byte, pageSize)) { // room to grow
				n++
			}
		}
	}
	return n
}

// The history of a device in work has the entries that its projection does not know yet.
func TestHistoryOfADeviceInWork(t *testing.T) {
	l := start(t, bench)
	for n, e := range run(1)[:5] {
		add(t, l, e)
		list, err := l.History(mac(1))
		if err != nil || len(list) != n+1 || list[n].Kind != e.Kind {
			t.Errorf("after %d entries: got %d, %v", n+1, len(list), err)
		}
	}
}
