package hub

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
	"station/internal/site/outbox"
	"station/internal/site/replica"
)

// shop is a bench with a ledger, which it pushes.
type shop struct {
	t    *testing.T
	f    *Folder
	name string
	book *ledger.Ledger
	key  *ecdsa.PrivateKey
	now  time.Time
	pass string // the file that it got last
}

func newShop(t *testing.T, f *Folder, name string) *shop {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &shop{t: t, f: f, name: name, key: key, now: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)}
	o := ledger.Options{Create: true, Simulated: true, Station: name, Now: func() time.Time { b.now = b.now.Add(time.Second); return b.now }}
	if b.book, err = ledger.Open(filepath.Join(t.TempDir(), "ledger.db"), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.book.Close() })
	b.add(record.Entry{Kind: record.BatchOpened, Batch: "b1", Quota: 10, Job: "lamp", Operator: "anna"})
	return b
}

func (b *shop) add(list ...record.Entry) {
	b.t.Helper()
	for i := range list {
		list[i].Simulated = true
	}
	if _, err := b.book.AppendAll(list); err != nil {
		b.t.Fatal(err)
	}
}

// seal makes a device.
func (b *shop) seal(mac chip.MAC, serial string) {
	b.t.Helper()
	list := []record.Entry{{Kind: record.NumberTaken}, {Kind: record.SerialBound, Serial: serial},
		{Kind: record.KeyAssigned, Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: "derived:m:" + serial, Policy: "derived"}}}, {Kind: record.Sealed, Verdict: record.Pass}}
	for i := range list {
		list[i].MAC, list[i].Job, list[i].Batch, list[i].Run = mac, "lamp", "b1", serial
	}
	b.add(list...)
}

// push signs a checkpoint and sends everything.
func (b *shop) push(s *Server) {
	b.t.Helper()
	if _, err := b.book.Checkpoint(b.key); err != nil {
		b.t.Fatal(err)
	}
	b.send(s)
}

// send sends everything.
func (b *shop) send(s *Server) {
	b.t.Helper()
	if _, err := b.f.Bench(b.name); errors.Is(err, ErrNoBench) {
		b.pass = filepath.Join(b.t.TempDir(), "pass")
		if err := errors.Join(b.f.Add(b.name, b.pass, false), b.f.Apply(b.t.Context())); err != nil {
			b.t.Fatal(err)
		}
	}
	pass, err := site.ReadPass(b.pass)
	if err != nil {
		b.t.Fatal(err)
	}
	defer pass.Destroy()
	pass.URL = "tls://" + s.Address()
	if _, err := (&outbox.Outbox{Pass: pass, Ledger: b.book}).Push(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// same holds a bench's replica against its ledger, and rereads it.
func (b *shop) same(set *replica.Set) {
	b.t.Helper()
	l := set.Ledger(b.name)
	if l == nil {
		b.t.Fatalf("there is no replica of %s", b.name)
	}
	n, root, err := b.book.Head()
	if m, r, err2 := l.Head(); err != nil || err2 != nil || m != n || r != root {
		b.t.Fatalf("the replica has %d entries, root %s; want %d, %s: %v, %v", m, r, n, root, err, err2)
	}
	signed, err := b.book.LastCheckpoint()
	if kept, err2 := l.LastCheckpoint(); err != nil || err2 != nil || !bytes.Equal(kept, signed) {
		b.t.Errorf("the replica's checkpoint is %s, want %s: %v, %v", kept, signed, err, err2)
	}
	for fault := range ledger.Check(l.Path(), nil) {
		b.t.Errorf("the replica: %v", fault)
	}
}

// replicas are those that a command gets.
func replicas(t *testing.T, f *Folder, use func(*replica.Set)) {
	t.Helper()
	set, end, err := f.Replicas(t.Context(), func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	use(set)
}

var (
	one = chip.MAC{2, 0, 0, 0, 0, 1}
	two = chip.MAC{2, 0, 0, 0, 0, 2}
)

// The readable ledgers are the benches' own, with the checkpoints that both signed,
// while the site runs and when it does not; whatever was done to them, they are again
// after a start.
func TestReplicas(t *testing.T) {
	f, s := started(t)
	a, b := newShop(t, f, "bench-1"), newShop(t, f, "bench-2")
	a.seal(one, "SN-1")
	b.now = b.now.Add(time.Hour)
	b.add(record.Entry{Kind: record.DeviceSeen, MAC: one, Job: "lamp", Batch: "b1", Run: "x"}, record.Entry{Kind: record.Failed, MAC: one, Run: "x", Verdict: record.Quarantine, Code: "E-CLAIMED"})
	b.seal(two, "SN-2")
	told, end := s.Replicas().Watch()
	defer end()
	a.push(s)
	b.push(s)
	for seen := map[string]bool{}; len(seen) < 2; {
		seen[<-told] = true
	}
	check := func(set *replica.Set) {
		t.Helper()
		if got := set.Benches(); !slices.Equal(got, []string{"bench-1", "bench-2"}) {
			t.Fatalf("benches %q", got)
		}
		a.same(set)
		b.same(set)
		for _, name := range []string{"SN-1", one.String()} { // bench-2 knows no serial number of it
			found, err := set.Find(name)
			if err != nil || len(found) != 2 || found[0].Bench != "bench-1" || !found[0].Device.Sealed || found[1].Bench != "bench-2" {
				t.Errorf("%s: %+v, %v", name, found, err)
			}
		}
		if found, err := set.Find("SN-3"); err != nil || found != nil {
			t.Errorf("nobody's name: %+v, %v", found, err)
		}
		list, err := set.Batches()
		if err != nil || len(list) != 1 || len(list[0].Parts) != 2 {
			t.Fatalf("batches %+v, %v", list, err)
		}
		if sum := list[0].Total(); sum.Quota != 20 || sum.Passed != 2 || sum.Devices != 2 || sum.Reserved != 2 || sum.Opened.IsZero() || !sum.Closed.IsZero() {
			t.Errorf("in all %+v", sum)
		}
	}
	if err := s.hub.caughtUp(t.Context()); err != nil { // Watch tells of entries, which come before their checkpoint
		t.Fatal(err)
	}
	check(s.Replicas())
	replicas(t, f, check) // beside the site that runs
	s.Close()
	replicas(t, f, check) // and where none does

	// They can be taken away, damaged and written to.
	at := func(name string) string { return filepath.Join(f.Dir, "replicas", name) }
	if err := errors.Join(os.RemoveAll(at("bench-1")), os.WriteFile(at("bench-2/ledger.db"), []byte("x"), 0o640)); err != nil {
		t.Fatal(err)
	}
	replicas(t, f, check)
	stray, err := ledger.Open(at("bench-1/ledger.db"), ledger.Options{Simulated: true})
	if err == nil {
		_, err = stray.Append(record.Entry{Kind: record.LineHalted, Simulated: true})
	}
	if err := errors.Join(err, stray.Close()); err != nil {
		t.Fatal(err)
	}
	replicas(t, f, check)

	// Another ledger in its place, with as many entries.
	if err := errors.Join(os.RemoveAll(at("bench-2")), os.MkdirAll(at("bench-2"), 0o750), os.WriteFile(at("bench-2/ledger.db"), changed(t, b.book), 0o640)); err != nil {
		t.Fatal(err)
	}
	replicas(t, f, check)

	// A copy that is filled from another ledger is another replica.
	if err := os.RemoveAll(filepath.Join(f.Dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	if s, err = f.Start(t.Context(), func(text string) { t.Log(text) }); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	pass := a.pass
	a = newShop(t, f, "bench-1")
	a.pass = pass
	a.seal(one, "SN-1")
	a.push(s)
	b.push(s)
	replicas(t, f, func(set *replica.Set) { a.same(set); b.same(set) })
}

// A replica that is found damaged while the site runs is made anew, with the checkpoint that
// it had.
func TestReplicaDamagedMeanwhile(t *testing.T) {
	f, s := started(t)
	defer s.Close()
	a := newShop(t, f, "bench-1")
	a.push(s)
	if err := s.hub.caughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := s.hub.replicas.Fill("bench-1")
	if err != nil {
		t.Fatal(err)
	}
	lines, err := a.book.LinesAt(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Add(lines); !errors.Is(err, ledger.ErrElsewhere) { // the end of it is not what comes next
		t.Fatal(err)
	}
	a.seal(one, "SN-1")
	a.send(s)
	if err := s.hub.caughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.same(s.Replicas())
}

// changed is a copy of a ledger in which an operator has another name.
func changed(t *testing.T, of *ledger.Ledger) []byte {
	t.Helper()
	var lines [][]byte
	for raw, err := range of.Lines(0) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, bytes.Replace(raw, []byte(`"anna"`), []byte(`"eve"`), 1))
	}
	path := filepath.Join(t.TempDir(), "changed.db")
	err := ledger.CreateCopy(path, lines[0])
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(path, ledger.Options{Simulated: true})
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(l.Copy(lines[1:]), l.Close())
	data, err2 := os.ReadFile(path)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return data
}
