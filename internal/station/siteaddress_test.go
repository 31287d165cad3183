package station

import (
	"errors"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"station/internal/ledger"
	"station/internal/site"
	"station/internal/site/hub"
	"station/internal/site/outbox"
)

// passOf reads the pass as its file is now.
func (b *siteBench) passOf(t *testing.T) *site.Pass {
	t.Helper()
	p, err := site.ReadPass(b.file.Site.Pass)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Destroy)
	return p
}

// kept is what the bench keeps of another address, as a program that starts now reads it.
func (b *siteBench) kept(t *testing.T, book *ledger.Ledger) *site.Pass {
	t.Helper()
	s, err := OpenSite(b.file, book, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Pass.Destroy)
	return s.Pass
}

// reached waits until the bench is with its site.
func (s *Site) reached() {
	for s.Status().State != outbox.Up {
		runtime.Gosched()
	}
}

// freeAddress is one of this machine's that is not in the certificate of a new site.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serverAt starts the site of a folder at an address.
func serverAt(t *testing.T, f *hub.Folder, listen string) *hub.Server {
	t.Helper()
	f.Listen = listen
	s, err := f.Start(t.Context(), func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// A running site tells its bench where it will be; the bench keeps it, and finds the site
// where it was until it is there. Who else listens there gets nothing.
func TestSiteMovesToAnotherAddress(t *testing.T) {
	b := newSiteBench(t)
	s := b.open(t)
	s.Again = time.Millisecond
	s.Start()
	s.reached()
	was, to := b.passOf(t), freeAddress(t)
	if moved, err := b.folder.Move(t.Context(), "tls://"+to); err != nil || !moved.Certified || moved.Listens {
		t.Fatalf("moved: %+v, %v", moved, err)
	}
	for b.kept(t, s.Ledger).URL == was.URL {
		runtime.Gosched()
	}
	if p := b.kept(t, s.Ledger); p.URL != "tls://"+to || p.Former != was.URL || p.Since.IsZero() {
		t.Errorf("the bench looks at %s, before to %s, since %s", p.URL, p.Former, p.Since)
	}
	for knows := false; !knows; {
		list, err := b.folder.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		knows = list[0].Knows.Equal(b.folder.Since)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	dir := filepath.Join(t.TempDir(), "foreign")
	if err := hub.Init(dir, hub.Config{Name: "plant-1", URL: "tls://" + to, Listen: to}, nil, nil); err != nil {
		t.Fatal(err)
	}
	other, err := hub.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	foreign := serverAt(t, other, to)
	s.Ledger.Close()
	s = b.open(t)
	s.Again = time.Millisecond
	s.Start()
	s.reached() // where it was
	foreign.Close()
	b.server.Close()
	for s.Status().State == outbox.Up {
		runtime.Gosched()
	}
	serverAt(t, b.folder, to)
	s.reached()
	for b.kept(t, s.Ledger).Former != "" {
		runtime.Gosched()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// What the key of the pass has not signed, or has said before, is not believed; and what a
// person writes into the pass holds.
func TestNoOtherAddressIsBelieved(t *testing.T) {
	b, other := newSiteBench(t), newSiteBench(t)
	var told []string
	s := b.open(t)
	defer s.Close()
	s.tell = func(text string) { told = append(told, text) }
	note := func(f *hub.Folder, name string, a site.Address) []byte {
		key, err := f.Witness()
		if err != nil {
			t.Fatal(err)
		}
		signed, err := a.Sign(name, key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	was := b.passOf(t)
	leads := func(want site.Address, former string) {
		t.Helper()
		if p := b.kept(t, s.Ledger); p.Address != want || p.Former != former || s.Pass.Address != want || s.Pass.Former != former {
			t.Errorf("it leads to %+v (before %q), in memory to %+v; told was %q", p.Address, p.Former, s.Pass.Address, told)
		}
	}
	first := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	newer, older := site.Address{URL: "tls://new.example:4222", Since: first.Add(time.Second)}, site.Address{URL: "tls://old.example:4222", Since: first}
	for _, lie := range [][]byte{note(other.folder, "plant-1", newer), note(b.folder, "plant-2", newer), note(b.folder, "plant-1", site.Address{URL: "nats://new.example:4222", Since: first})} {
		told = nil
		s.moved(was.URL, lie)
		s.moved(was.URL, lie)
		if leads(was.Address, ""); len(told) != 1 || !strings.Contains(told[0], "another address is not kept") {
			t.Errorf("told was %q", told)
		}
	}
	s.moved(was.URL, note(b.folder, "plant-1", newer))
	s.moved(was.URL, note(b.folder, "plant-1", older))
	leads(newer, was.URL)
	s.moved(newer.URL, nil)
	leads(newer, "")
	byHand := *was
	byHand.URL = "tls://by-hand.example:4222"
	if err := byHand.Renew(b.file.Site.Pass); err != nil {
		t.Fatal(err)
	}
	if p := b.kept(t, s.Ledger); p.Address != byHand.Address || p.Former != "" {
		t.Errorf("in spite of what a person wrote it leads to %+v", p.Address)
	}
	b.file.Site.Pass = filepath.Join(t.TempDir(), "pass")
	if err := errors.Join(b.folder.Revoke("bench-1"), b.folder.Add("bench-1", b.file.Site.Pass, false)); err != nil {
		t.Fatal(err)
	}
	if p := b.kept(t, s.Ledger); p.URL != was.URL {
		t.Errorf("with another pass it leads to %+v", p.Address)
	}
}
