package outbox

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
	"station/internal/site/hub"
)

// copyTo keeps the ledger as it is now.
func (b *bench) copyTo(name string) string {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), name)
	b.Ledger.Close()
	from, err := os.Open(b.path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer from.Close()
	to, err := os.Create(path)
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Close()); err != nil {
		b.t.Fatal(err)
	}
	b.Ledger = nil
	b.open(b.path)
	return path
}

// A ledger that was set back, forked, replaced or changed is refused at the next
// contact, whatever it grew to since, and so is the right one until a person has
// looked. Both sides' words are kept, and each can be believed.
func TestRefused(t *testing.T) {
	for _, v := range []struct {
		name, reason string
		do           func(b *bench, old string)
	}{
		{"setback", "it has 31 entries, and the site has 51 of it: it was set back", func(b *bench, old string) { b.open(old) }},
		{"forked", "its first 51 entries are not those", func(b *bench, old string) {
			b.open(old)
			b.work(40)
			b.sign()
		}},
		{"forked-to-the-same-size", "its first 51 entries are not those", func(b *bench, old string) {
			b.open(old)
			b.work(20)
		}},
		{"replaced", "it is another ledger", func(b *bench, _ string) {
			b.open(filepath.Join(b.t.TempDir(), "new.db"))
			b.work(100)
		}},
		{"changed", "its first 51 entries are not those", func(b *bench, _ string) { b.change() }},
	} {
		t.Run(v.name, func(t *testing.T) {
			b := newBench(t)
			b.work(29)
			b.sign()
			b.push()
			old := b.copyTo("old.db")
			b.work(20)
			b.sign()
			b.push()
			right := b.path
			v.do(b, old)
			_, err := b.Push(t.Context())
			halt := new(site.Halt)
			if !errors.As(err, &halt) || !strings.Contains(halt.Reason, v.reason) || b.Status().State != Halted {
				t.Fatalf("got %v, want %q", err, v.reason)
			}
			c, err := ledger.OpenCheckpoint(halt.Site, b.Pass.Witness)
			if err != nil || c.Size != 51 {
				t.Errorf("the site's word: %+v, %v", c, err)
			}
			if c, err = ledger.OpenCheckpoint(halt.Before, &b.key.PublicKey); err != nil || c.Size != 51 || !ledger.SignedBy(halt.Before, b.Pass.Witness) {
				t.Errorf("what both signed: %+v, %v", c, err)
			}
			if size, root, _ := b.Ledger.Head(); halt.Shown.Size != size || halt.Shown.Root != root || halt.Shown.Origin != b.Ledger.Origin() {
				t.Errorf("what was shown: %+v", halt.Shown)
			}
			if v.name == "forked" { // the bench's own signature contradicts what it signed before
				if c, err = ledger.OpenCheckpoint(halt.Shown.Signed, &b.key.PublicKey); err != nil || c.Size <= 51 {
					t.Errorf("what the bench signed: %+v, %v", c, err)
				}
			}
			b.open(right)
			if _, err := b.Push(t.Context()); v.name != "changed" && !errors.As(err, &halt) {
				t.Errorf("the right ledger is let in before anybody has looked: %v", err)
			}
			p, _ := plant()
			if err := p.Release(t.Context(), b.Pass.Bench, hub.Release{Operator: "eve", Reason: "a backup was put back by mistake"}); err != nil {
				t.Fatal(err)
			}
			if v.name == "changed" {
				return
			}
			b.work(3)
			b.push()
		})
	}
}

// change writes the ledger anew, with one word of one entry changed, under its own
// name and signed by its own key.
func (b *bench) change() {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), "changed.db")
	var list []record.Entry
	for e, err := range b.Ledger.Entries(0) {
		if err != nil {
			b.t.Fatal(err)
		}
		list = append(list, e)
	}
	if err := ledger.Create(path, list[0]); err != nil {
		b.t.Fatal(err)
	}
	list[10].Message = "nothing happened here"
	b.open(path)
	if _, err := b.Ledger.AppendAll(list[1:]); err != nil {
		b.t.Fatal(err)
	}
	b.sign()
}

// A checkpoint that the bench's key signed and that is not of its log is refused even
// if the log itself goes on rightly; one that no key of the log signed is not signed.
func TestFalseCheckpoint(t *testing.T) {
	b := newBench(t)
	b.work(10)
	b.sign()
	b.push()
	s := b.connected()
	false1, err := ledger.SignCheckpoint(ledger.Checkpoint{Origin: b.Ledger.Origin(), Size: 5, Root: [32]byte{1}}, b.Ledger.Origin(), b.key)
	if err != nil {
		t.Fatal(err)
	}
	path, err := b.Ledger.Extends(5, s.mirrored)
	if err != nil {
		t.Fatal(err)
	}
	stranger := newBench(t2{t, "stranger"})
	other, err := ledger.SignCheckpoint(ledger.Checkpoint{Origin: b.Ledger.Origin(), Size: 5, Root: [32]byte{1}}, b.Ledger.Origin(), stranger.key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ask(t.Context(), site.Witness, site.Testimony{Signed: other, Mirrored: s.mirrored, Path: path}); err == nil || !strings.Contains(err.Error(), "not signed by a trusted key") {
		t.Errorf("a stranger's checkpoint: %v", err)
	}
	halt := new(site.Halt)
	_, err = s.ask(t.Context(), site.Witness, site.Testimony{Signed: false1, Mirrored: s.mirrored, Path: path})
	if !errors.As(err, &halt) || !strings.Contains(halt.Reason, "it signed a checkpoint of 5 entries that are not those") || !bytes.Equal(halt.Shown.Signed, false1) {
		t.Errorf("a false checkpoint: %v", err)
	}
}

// What a bench stores as an entry has to be one, at its place.
func TestFalseEntry(t *testing.T) {
	b := newBench(t)
	b.work(10)
	b.push()
	s := b.connected()
	raw, err := b.Ledger.LinesAt(4)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.send(t.Context(), raw); err != nil { // entry 4 again, as entry 11
		t.Fatal(err)
	}
	_, err = s.ask(t.Context(), site.Meet, site.Meeting{Origin: b.Ledger.Origin(), Size: 12})
	halt := new(site.Halt)
	if !errors.As(err, &halt) || !strings.Contains(halt.Reason, "its entry 11: it calls itself entry 4") {
		t.Errorf("got %v", err)
	}
}

// connected is a session that has met the site.
func (b *bench) connected() *session {
	b.t.Helper()
	conn, err := b.Pass.Connect(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(conn.Close)
	s := &session{Outbox: b.Outbox, conn: conn}
	if err := s.meet(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	return s
}

// t2 is a test with another name.
type t2 struct {
	testing.TB
	name string
}

func (t t2) Name() string { return t.name }
