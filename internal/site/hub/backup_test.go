package hub

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
	"station/internal/site/replica"
)

var three = chip.MAC{2, 0, 0, 0, 0, 3}

// lease takes numbers of the batch for a bench.
func lease(t *testing.T, s *Server, bench string, turn, before int) (site.Answer, error) {
	t.Helper()
	m, err := s.hub.mirror(t.Context(), bench)
	if err != nil {
		t.Fatal(err)
	}
	return m.leased(t.Context(), site.LeaseWanted{Lot: record.BatchLot("b1", true), Turn: turn, Size: 3, Before: before, Quota: 90})
}

// takes has the bench's ledger say that it got its next numbers.
func (b *shop) takes(s *Server) record.Lease {
	b.t.Helper()
	lot := b.lot()
	a, err := lease(b.t, s, b.name, lot.Leases+1, lot.Reserved)
	if err != nil || a.Lease == nil {
		b.t.Fatalf("numbers of %s: %+v, %v", b.name, a, err)
	}
	b.add(record.Entry{Kind: record.NumbersLeased, Batch: "b1", Job: "lamp", Quota: 90, About: record.AboutOf(*a.Lease)})
	return *a.Lease
}

// settled waits until the site has claimed all names that the ledger gave away.
func (b *shop) settled(s *Server) {
	b.t.Helper()
	size, _, err := b.book.Head()
	if err != nil {
		b.t.Fatal(err)
	}
	for s.hub.mirrors[b.name].state().Settled < size {
		if b.t.Context().Err() != nil {
			b.t.Fatal("the names are not claimed")
		}
	}
}

// notices are the devices that are in conflict, and why.
func notices(t *testing.T, s *Server) (list []string) {
	t.Helper()
	w, err := s.hub.conflicts.WatchAll(t.Context(), jetstream.IgnoreDeletes())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Stop() }()
	for e := range w.Updates() {
		if e == nil {
			break
		}
		n, err := site.Parse[site.Notice](e.Value())
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, n.MAC.String())
	}
	slices.Sort(list)
	return list
}

// whole makes sure that the site has what the benches have: entries, names, and conflicts.
func whole(t *testing.T, f *Folder, s *Server, benches ...*shop) {
	t.Helper()
	for _, b := range benches {
		b.settled(s)
		size, _, _ := b.book.Head()
		if v, err := f.Verify(t.Context(), b.name); err != nil || len(v.Faults) > 0 || v.Size != size || v.Signed != size {
			t.Errorf("%s: %+v, %v, want %d entries", b.name, v, err, size)
		}
		read := s.Mirror(t.Context(), b.name)
		n := uint64(0)
		for raw, err := range b.book.Lines(0) {
			if got, err2 := read(n); err != nil || err2 != nil || !bytes.Equal(got, raw) {
				t.Fatalf("entry %d of %s is %s, want %s: %v, %v", n, b.name, got, raw, err, err2)
			}
			n++
		}
	}
	replicas(t, f, func(set *replica.Set) {
		for _, b := range benches {
			b.same(set)
		}
	})
	taken := new(site.Taken)
	err := s.hub.claim(t.Context(), "bench-9", site.Names{MAC: three.String(), Simulated: true, List: []site.Name{{Kind: site.NameSerial, Value: "SN-1"}}})
	if !errors.As(err, &taken) || taken.Bench != "bench-1" {
		t.Errorf("a name that bench-1 has: %v", err)
	}
	if got, want := notices(t, s), []string{one.String(), two.String()}; !slices.Equal(got, want) {
		t.Errorf("in conflict are %q, want %q", got, want)
	}
}

// ofTwo is a site of two benches that have given one serial number away, and numbers to one of them.
func ofTwo(t *testing.T) (*Folder, *Server, *shop, *shop) {
	f, s := started(t)
	a, b := newShop(t, f, "bench-1"), newShop(t, f, "bench-2")
	a.seal(one, "SN-1")
	a.push(s)
	a.settled(s)
	b.seal(two, "SN-1")
	a.takes(s)
	a.push(s)
	b.push(s)
	b.settled(s)
	return f, s, a, b
}

// A backup that was made while benches sent is the site: it goes on with the passes of then, takes what
// is newer from the benches, and gives out no number that somebody got after the backup.
func TestBackup(t *testing.T) {
	f, s, a, b := ofTwo(t)
	dir := filepath.Join(t.TempDir(), "backup")
	made := make(chan error, 1)
	go func() { made <- f.Backup(t.Context(), dir, func(text string) { t.Log(text) }) }()
	var err error
	for more := true; more; {
		b.add(slices.Repeat([]record.Entry{{Kind: record.DeviceSeen, MAC: three, Run: "busy"}}, 300)...)
		b.push(s)
		select {
		case err = <-made:
			more = false
		default:
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	had := a.takes(s) // after it
	a.push(s)
	s.Close()

	moved, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"witness.key", "ca.key", "server.key", "admin.pass"} {
		if info, err := os.Stat(moved.path(name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if s, err = moved.Start(t.Context(), func(text string) { t.Log(text) }); err != nil {
		t.Fatal(err)
	}
	a.f, b.f = moved, moved
	if _, err := lease(t, s, "bench-2", 1, 1); !errors.Is(err, site.ErrBehind) {
		t.Errorf("numbers before bench-1 has told which it has: %v", err)
	}
	b.push(s)
	if _, err := lease(t, s, "bench-2", 1, 1); !errors.Is(err, site.ErrBehind) {
		t.Errorf("numbers before bench-1 has told which it has: %v", err)
	}
	a.push(s)
	whole(t, moved, s, a, b)
	got := b.takes(s)
	if got.First < had.First+had.Count {
		t.Errorf("numbers %v, and bench-1 has %v", got, had)
	}

	// From the folder of a site that does not run, too.
	a.push(s)
	b.push(s)
	s.Close()
	again := filepath.Join(t.TempDir(), "again")
	if err := moved.Backup(t.Context(), again, func(text string) { t.Log(text) }); err != nil {
		t.Fatal(err)
	}
	f, err = Open(again)
	if err != nil {
		t.Fatal(err)
	}
	replicas(t, f, func(set *replica.Set) { a.same(set); b.same(set) })
	if err := f.Backup(t.Context(), again, func(string) {}); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("into a folder that has something: %v", err)
	}
}

// What is not what came is no backup.
func TestBackupOfDamage(t *testing.T) {
	f, s, a, _ := ofTwo(t)
	defer s.Close()
	m := s.hub.mirrors[a.name]
	m.mu.Lock()
	m.known.Peaks[0][0] ^= 1
	err := m.save()
	m.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "backup")
	if err := f.Backup(t.Context(), dir, func(string) {}); err == nil || !strings.Contains(err.Error(), "bench-1: it is not what came") {
		t.Errorf("got %v", err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("what failed is the folder of a site")
	}
}

// A site of which nothing is left is made anew from the ledgers: entries byte for byte, names, numbers and
// conflicts. Old passes open nothing. What the old key signed is true; the new site signs too. With
// the old key, put into its folder before a bench is added, it is the same witness.
func TestLostSite(t *testing.T) {
	f, s, a, b := ofTwo(t)
	old, err := site.ReadPass(a.pass)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Destroy()
	had, err := a.book.LastCheckpoint()
	if err != nil || !ledger.SignedBy(had, old.Witness) {
		t.Fatal(err)
	}
	s.Close()
	for _, kept := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "site")
		if err := Init(dir, Config{Name: "plant-1", URL: "tls://localhost:4222", Listen: "127.0.0.1:0"}, nil, nil); err != nil {
			t.Fatal(err)
		}
		fresh, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if kept {
			err = errors.Join(os.Remove(fresh.path("witness.key")), os.Rename(f.path("witness.key"), fresh.path("witness.key")), os.Rename(f.path("witness.pem"), fresh.path("witness.pem")))
			if err != nil {
				t.Fatal(err)
			}
		}
		if s, err = fresh.Start(t.Context(), func(text string) { t.Log(text) }); err != nil {
			t.Fatal(err)
		}
		old.URL = "tls://" + s.Address()
		if conn, err := old.Connect(t.Context()); err == nil {
			conn.Close()
			t.Error("an old pass opens the new site")
		}
		a.f, b.f = fresh, fresh
		a.push(s)
		a.settled(s) // the name is its who comes first
		b.push(s)
		whole(t, fresh, s, a, b)
		if first, got := a.lot().Free[0], b.takes(s); got.First < first.First+first.Count {
			t.Errorf("numbers %v, and bench-1 has %v", got, first)
		}
		pass, err := site.ReadPass(a.pass)
		if err != nil {
			t.Fatal(err)
		}
		now, err := a.book.LastCheckpoint()
		if err != nil || !ledger.SignedBy(now, pass.Witness) || !ledger.SignedBy(had, old.Witness) || pass.Witness.Equal(old.Witness) != kept {
			t.Errorf("with the old key %v: the newest checkpoint is\n%s\n%v", kept, now, err)
		}
		pass.Destroy()
		s.Close()
	}
}

func (b *shop) lot() record.Lot {
	b.t.Helper()
	lot, _, err := b.book.Lot(record.BatchLot("b1", true))
	if err != nil {
		b.t.Fatal(err)
	}
	return lot
}
