package ledger

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"station/internal/keyfile"
	"station/internal/record"
)

// contents reads every key and value of a snapshot.
func contents(s *snapshot) (map[string]string, error) {
	all := map[string]string{}
	for _, name := range buckets {
		for it, err := range s.items(name, "") {
			if err != nil {
				return nil, err
			}
			all[name+"/"+string(it.Key)] = string(it.Value)
		}
	}
	return all, nil
}

func same(a, b map[string]string) bool {
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}

// An announced reader's snapshot stays whole however much is written; without
// the announcement the same writing destroys it.
func TestPinsKeepASnapshot(t *testing.T) {
	for _, announced := range []bool{true, false} {
		l := start(t, bench)
		l.w.db.NoSync = true // this is about pages
		for n := range 20 {
			add(t, l, run(n)[:3]...)
		}
		r := reopen(t, l.Path(), Options{ReadOnly: true})
		if announced {
			if err := r.read.enter(); err != nil {
				t.Fatal(err)
			}
		}
		s, err := r.read.newest()
		if err != nil {
			t.Fatal(err)
		}
		before, err := contents(s)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 100 {
			add(t, l, run(n % 20)[4:6]...)
		}
		after, err := contents(s)
		if whole := err == nil && same(before, after); whole != announced {
			t.Errorf("announced %v: whole %v, %v", announced, whole, err)
		}
		if announced {
			if n := len(l.w.pins); n < 200 {
				t.Errorf("only %d pins", n)
			}
			r.read.leave()
			add(t, l, run(1)[1])
		}
		if n := len(l.w.pins); n > 2 {
			t.Errorf("%d pins with no reader", n)
		}
	}
}

// A reader that stands for too long does not make the file grow for ever: it
// is told to look again.
func TestPinsEnd(t *testing.T) {
	l := start(t, bench)
	r := reopen(t, l.Path(), Options{ReadOnly: true})
	l.w.db.NoSync = true // this is about the number of commits
	remark := record.Entry{Kind: record.KeyImported}
	looks := 0
	err := r.view(func(s *snapshot) error {
		if looks++; looks > 1 {
			return nil
		}
		for range maxPins - 1 {
			add(t, l, remark)
		}
		if !r.read.kept(s) {
			t.Error("given up too early")
		}
		add(t, l, remark, remark)
		if r.read.kept(s) || len(l.w.pins) > maxPins {
			t.Errorf("still kept, with %d pins", len(l.w.pins))
		}
		return errors.New("what an overwritten page looks like")
	})
	if err != nil || looks != 2 {
		t.Errorf("looked %d times: %v", looks, err)
	}
}

// Readers and the writer of one process, under the race detector.
func TestTogether(t *testing.T) {
	l := start(t, bench)
	add(t, l, run(0)...)
	var wg sync.WaitGroup
	for slot := range 4 {
		wg.Go(func() {
			for n := range 8 {
				for _, e := range run(1 + 100*slot + n) {
					if _, err := l.Append(e); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for range 3 {
		wg.Go(func() {
			for range 4 {
				everything(t, l)
			}
		})
	}
	wg.Wait()
	if size, _, err := l.Head(); size != 1+12+4*8*12 || err != nil {
		t.Errorf("got %d entries, %v", size, err)
	}
}

func TestBackup(t *testing.T) {
	l := start(t, bench)
	for n := range 10 {
		add(t, l, run(n)...)
	}
	copied := filepath.Join(t.TempDir(), "copy.db")
	done := make(chan error)
	go func() { done <- l.BackupTo(copied) }()
	add(t, l, run(11)...)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := l.BackupTo(copied); !errors.Is(err, keyfile.ErrProtected) {
		t.Errorf("over an existing file: got %v", err)
	}
	// The line goes on from the copy.
	b := reopen(t, copied, bench)
	size, root, err := b.Head()
	if err != nil || size < 121 {
		t.Fatalf("%d entries, %v", size, err)
	}
	s, err := l.read.newest()
	if err != nil {
		t.Fatal(err)
	}
	if want, err := rootOf(s, size); root != want || err != nil {
		t.Errorf("root: got %v, want %v, %v", root, want, err)
	}
	add(t, b, run(20)...)
	if _, err := b.Append(record.Entry{Kind: record.KeyAssigned, MAC: mac(30), Keys: record.FlashKey(key(3))}); !errors.Is(err, record.ErrKeyTaken) {
		t.Errorf("the copy forgot a key: %v", err)
	}
}
