package ledger

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"station/internal/keyfile"
	"station/internal/record"
)

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func names(t testing.TB, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for _, e := range list {
		s = append(s, e.Name())
	}
	return strings.Join(s, " ")
}

func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := Create(path, record.Entry{Station: "s", Origin: "factory.example/line-3", Simulated: true}); err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Dir(path)); got != "ledger.db" {
		t.Errorf("the folder holds %s", got)
	}
	l := reopen(t, path, Options{ReadOnly: true})
	if l.Origin() != "factory.example/line-3" || !l.Simulated() || l.first.Station != "s" {
		t.Errorf("got %+v", l.first)
	}
	if err := Create(path, record.Entry{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second time: got %v", err)
	}
	if err := Create(path+"2", record.Entry{Origin: "two words"}); err == nil {
		t.Error("an origin that no checkpoint can carry was taken")
	}
	if err := Create(filepath.Join(path, "no", "folder"), record.Entry{}); !errors.Is(err, ErrDisk) {
		t.Errorf("no folder: got %v", err)
	}
	if a, b := newOrigin(), newOrigin(); a == b || !validOrigin(a) {
		t.Errorf("origins %s and %s", a, b)
	}
}

// Making and copying a ledger touches no file but the new one: not what lies
// beside it under whatever name, nor what a link there leads to.
func TestNothingBesideIsTouched(t *testing.T) {
	other := start(t, bench).Path()
	before, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path, copied := filepath.Join(dir, "ledger.db"), filepath.Join(dir, "copy.db")
	for _, p := range []string{path, copied} {
		if err := os.Symlink(other, p+".creating"); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "other.creating"), "mine")
	l := reopen(t, path, bench)
	add(t, l, run(1)...)
	if err := l.BackupTo(copied); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); got != "copy.db copy.db.creating ledger.db ledger.db.creating other.creating" {
		t.Errorf("the folder holds %s", got)
	}
	if after, err := os.ReadFile(other); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the other ledger has changed: %v", err)
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere.db"), filepath.Join(dir, "link.db")); err != nil {
		t.Fatal(err)
	}
	if err := l.BackupTo(filepath.Join(dir, "link.db")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a link: got %v", err)
	}
	if err := l.BackupTo(other); !errors.Is(err, keyfile.ErrProtected) {
		t.Errorf("over a ledger: got %v", err)
	}
}

func TestOnlyOneCreates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	var wg sync.WaitGroup
	open := make(chan *Ledger, 8)
	for range cap(open) {
		wg.Go(func() {
			if l, err := Open(path, bench); err == nil {
				open <- l
			} else if !errors.Is(err, ErrLocked) {
				t.Errorf("got %v, want ErrLocked", err)
			}
		})
	}
	wg.Wait()
	if len(open) != 1 {
		t.Fatalf("%d of 8 have it open", len(open))
	}
	l := <-open
	if size, _, err := l.Head(); size != 1 || err != nil {
		t.Errorf("got %d entries, %v", size, err)
	}
	mustBeWhole(t, path)
	l.Close()
}

// closeWhenRefused closes a ledger as soon as somebody else was refused its lock.
func closeWhenRefused(t *testing.T, l *Ledger) {
	before := refused
	t.Cleanup(func() { refused = before })
	refused = sync.OnceFunc(func() { _ = l.Close() })
}

// A command that has the ledger for a moment keeps no line from starting.
func TestShortCommandIsWaitedFor(t *testing.T) {
	defer func(n int) { patience = n }(patience)
	patience = 1000
	l := start(t, bench)
	closeWhenRefused(t, l)
	line, err := Open(l.Path(), bench)
	if err != nil {
		t.Fatal(err)
	}
	add(t, line, run(1)...)
	if err := line.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLocked(t *testing.T) {
	l := start(t, bench)
	if _, err := Open(l.Path(), bench); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	add(t, l, run(1)...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	reopen(t, l.Path(), bench)
}

// What is not a ledger is refused and stays as it is.
func TestForeign(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other.db")
	db, err := bbolt.Open(other, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("state"))
		return err
	}), db.Close()); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "empty"), "")
	write(t, filepath.Join(dir, "text"), strings.Repeat("not a ledger\n", 2000))
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"empty", "text", "folder", "other.db"} {
		path := filepath.Join(dir, name)
		before, _ := os.ReadFile(path)
		for _, o := range []Options{bench, {ReadOnly: true}} {
			if _, err := Open(path, o); !errors.Is(err, ErrForeign) {
				t.Errorf("%s: got %v, want ErrForeign", name, err)
			}
		}
		if after, _ := os.ReadFile(path); string(after) != string(before) {
			t.Errorf("%s was changed", name)
		}
		faults := 0
		for range Check(path, nil) {
			faults++
		}
		if faults == 0 {
			t.Errorf("%s: verify found nothing", name)
		}
	}
}

// A newer program's ledger can be read and checked, but not written.
func TestNewer(t *testing.T) {
	l := start(t, bench)
	add(t, l, run(1)...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	tamper(t, l.Path(), func(tx *txn) error {
		raw := `{"v":4,"index":13,"time":"2026-11-20T09:00:00Z","kind":"device.weighed","mac":"` + mac(1).String() + `","prev":12,"grams":7}`
		value := tx.leaf([]byte(raw), []byte(raw))
		return errors.Join(tx.bucket(inEntries).Put([]byte(number(13)), value), tx.setState(stateFormat, record.Version+1))
	})
	if _, err := Open(l.Path(), bench); !errors.Is(err, ErrNewer) {
		t.Errorf("for writing: got %v, want ErrNewer", err)
	}
	r := reopen(t, l.Path(), Options{ReadOnly: true})
	e, err := r.Entry(13)
	if err != nil || e.Version != record.Version+1 || e.Kind != "device.weighed" || e.MAC != mac(1) {
		t.Errorf("got %+v, %v", e, err)
	}
	var a Audit
	for fault := range r.Check(&a) {
		t.Error(fault)
	}
	if a.Newer != 1 || a.Size != 14 {
		t.Errorf("got %+v", a)
	}
}

func TestDamagedHeader(t *testing.T) {
	l := start(t, bench)
	add(t, l, run(1)...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for page := range int64(2) {
		path := filepath.Join(t.TempDir(), "ledger.db")
		whole, err := os.ReadFile(l.Path())
		if err != nil {
			t.Fatal(err)
		}
		whole[page*pageSize+30] ^= 4
		write(t, path, string(whole))
		if _, err := Open(path, bench); !errors.Is(err, ErrCorrupt) {
			t.Errorf("page %d: got %v, want ErrCorrupt", page, err)
		}
		found := false
		for fault := range Check(path, nil) {
			found = found || strings.Contains(fault.Text, "header page")
		}
		if !found {
			t.Errorf("page %d: verify does not name it", page)
		}
		o := bench
		o.Recover = true
		r := reopen(t, path, o)
		size, _, err := r.Head()
		if err != nil {
			t.Fatal(err)
		}
		if e, err := r.Entry(size - 1); e.Kind != record.Recovered || err != nil || size < 13 {
			t.Errorf("page %d: %d entries, the last is %s, %v", page, size, e.Kind, err)
		}
		add(t, r, run(2)...)
	}
}

// tamper changes a closed ledger behind its back.
func tamper(t testing.TB, path string, change func(*txn) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		t := newTxn(tx, head{}, Options{Now: time.Now}, nil, new(dictionaries))
		if err := t.findHead(); err != nil {
			return err
		}
		return change(t)
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// Nothing is written into a file that has lost its name, and all goes on when
// it has it back.
func TestFileLosesItsName(t *testing.T) {
	for name, take := range map[string]func(path string) error{
		"removed": func(path string) error { return errors.Join(os.Link(path, path+".kept"), os.Remove(path)) },
		"renamed": func(path string) error { return os.Rename(path, path+".kept") },
		"replaced": func(path string) error {
			b, err := os.ReadFile(path)
			return errors.Join(err, os.Rename(path, path+".kept"), os.WriteFile(path, b, 0o600))
		},
	} {
		l := start(t, bench)
		add(t, l, run(1)...)
		size, _, _ := l.Head()
		if err := take(l.Path()); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(run(2)[0]); !errors.Is(err, ErrMoved) {
			t.Errorf("%s: got %v, want ErrMoved", name, err)
		}
		if err := os.Rename(l.Path()+".kept", l.Path()); err != nil {
			t.Fatal(err)
		}
		if now, _, err := l.Head(); now != size || err != nil {
			t.Errorf("%s: %d entries after %d, %v", name, now, size, err)
		}
		add(t, l, run(2)...)
	}
}
