package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func digest(b []byte) Digest {
	sum := sha256.Sum256(b)
	return DigestOf(sum[:])
}

func (s *Store) read(t testing.TB, d Digest) []byte {
	t.Helper()
	f, err := s.Artifact(d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// left are the files that nobody asked for.
func (s *Store) left(t testing.TB) (names []string) {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(s.dir, "incoming"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestPut(t *testing.T) {
	s, data := open(t), bytes.Repeat([]byte("app"), 1000)
	for range 2 { // the same again is the same
		d, n, err := s.Put(bytes.NewReader(data), 3000)
		if err != nil || n != 3000 || d != digest(data) || !s.Has(d) || !bytes.Equal(s.read(t, d), data) {
			t.Errorf("got %s, %d, %v", d, n, err)
		}
	}
	if _, _, err := s.Put(bytes.NewReader(data), 2999); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	broken := errors.New("broken")
	if _, _, err := s.Put(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)), 100); !errors.Is(err, broken) || s.Has(digest([]byte("half"))) {
		t.Errorf("broken off: %v", err)
	}
	if got := s.left(t); got != nil {
		t.Errorf("left: %q", got)
	}
	if _, err := s.Artifact(digest([]byte("another"))); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// An upload that breaks off goes on where it broke off; one of other bytes is
// thrown away.
func TestResume(t *testing.T) {
	s, data := open(t), bytes.Repeat([]byte("0123456789"), 100)
	d := digest(data)
	broken := errors.New("broken")
	have, err := s.Resume(d, 0, 1000, io.MultiReader(bytes.NewReader(data[:300]), iotest.ErrReader(broken)))
	if have != 300 || !errors.Is(err, broken) || s.Has(d) {
		t.Fatalf("got %d, %v", have, err)
	}
	if n, err := s.Incoming(d); n != 300 || err != nil {
		t.Errorf("incoming: %d, %v", n, err)
	}
	for _, at := range []int64{0, 299, 301, 5000} {
		if have, err := s.Resume(d, at, 1000, bytes.NewReader(data)); have != 300 || !errors.Is(err, ErrOffset) {
			t.Errorf("at %d: %d, %v", at, have, err)
		}
	}
	if have, err := s.Resume(d, 300, 1000, bytes.NewReader(data[300:500])); have != 500 || err != nil || s.Has(d) {
		t.Errorf("got %d, %v", have, err)
	}
	if have, err := s.Resume(d, 500, 1000, bytes.NewReader(append(bytes.Clone(data[500:]), "more"...))); have != 500 || !errors.Is(err, ErrLength) || s.Has(d) {
		t.Errorf("more than was announced: got %d, %v", have, err)
	}
	if have, err := s.Resume(d, 500, 1000, bytes.NewReader(data[500:])); have != 1000 || err != nil || !bytes.Equal(s.read(t, d), data) {
		t.Errorf("got %d, %v", have, err)
	}
	other := digest([]byte("other"))
	if _, err := s.Resume(other, 0, 5, strings.NewReader("wrong")); !errors.Is(err, ErrDigest) || s.Has(other) {
		t.Errorf("got %v", err)
	}
	if n, _ := s.Incoming(other); n != 0 || s.left(t) != nil {
		t.Errorf("left %d, %q", n, s.left(t))
	}
}

// Who still writes into an upload that another has completed does not reach what is there by then.
func TestTwoUploads(t *testing.T) {
	s := open(t)
	data := bytes.Repeat([]byte("right"), 100)
	d := digest(data)
	slow, send := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := s.Resume(d, 0, int64(len(data)), slow)
		done <- err
	}()
	if _, err := send.Write([]byte("w")); err != nil { // it has opened the file
		t.Fatal(err)
	}
	for n := int64(0); n == 0; {
		var err error
		if n, err = s.Incoming(d); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Resume(d, 1, int64(len(data)), bytes.NewReader(data[1:])); !errors.Is(err, ErrDigest) {
		t.Fatalf("the first byte is wrong: %v", err)
	}
	if _, err := s.Resume(d, 0, int64(len(data)), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if _, err := send.Write(bytes.Repeat([]byte("w"), len(data)-1)); err != nil {
		t.Fatal(err)
	}
	send.Close()
	if err := <-done; !errors.Is(err, ErrDigest) || !bytes.Equal(s.read(t, d), data) || s.left(t) != nil {
		t.Errorf("got %v, %q, left %q", err, s.read(t, d), s.left(t))
	}
}

// What nobody names and nobody has asked for since is swept, and nothing else.
func TestSweep(t *testing.T) {
	s := open(t)
	put := func(text string) Digest {
		t.Helper()
		d, _, err := s.Put(strings.NewReader(text), 100)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	named, asked, orphan := put("named"), put("asked"), put("orphan")
	if _, err := s.Set("release/lamp/1", []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	old, young := digest([]byte("old")), digest([]byte("young"))
	for _, d := range []Digest{old, young} {
		if _, err := s.Resume(d, 0, 5, strings.NewReader("o")); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-48 * time.Hour)
	for _, path := range []string{s.artifact(named), s.artifact(asked), s.artifact(orphan), filepath.Join(s.dir, "incoming", old.Hex()), revision(s.folder("release/lamp/1"), 1)} {
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
	}
	if !s.Has(asked) {
		t.Fatal("it is not there")
	}
	sweep := func(want int) {
		t.Helper()
		if n, err := s.Sweep(time.Now().Add(-24*time.Hour), func(d Digest) bool { return d == named }); n != want || err != nil {
			t.Errorf("swept %d, want %d, %v", n, want, err)
		}
	}
	sweep(2)
	sweep(0)
	if s.Has(orphan) || !s.Has(named) || !s.Has(asked) {
		t.Error("the wrong artifacts are gone")
	}
	if left := s.left(t); len(left) != 1 || left[0] != young.Hex() {
		t.Errorf("left of uploads: %q", left)
	}
	if _, _, err := s.Get("release/lamp/1"); err != nil {
		t.Error(err)
	}
}

func TestRecords(t *testing.T) {
	s := open(t)
	if _, _, err := s.Get("release/lamp/7"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	rev, err := s.Set("release/lamp/7", []byte("a"), 0)
	if err != nil || rev != 1 {
		t.Fatal(rev, err)
	}
	for _, at := range []uint64{0, 2} {
		if _, err := s.Set("release/lamp/7", []byte("x"), at); !errors.Is(err, ErrConflict) {
			t.Errorf("from %d: %v", at, err)
		}
	}
	if rev, err := s.Set("release/lamp/7", []byte("b"), 1); err != nil || rev != 2 {
		t.Error(rev, err)
	}
	if v, rev, err := s.Get("release/lamp/7"); string(v) != "b" || rev != 2 || err != nil {
		t.Errorf("got %q, %d, %v", v, rev, err)
	}
	if _, err := s.Set("release/lamp/10", nil, 0); err != nil {
		t.Error(err)
	}
	if keys, err := s.Keys("release/lamp"); err != nil || !slices.Equal(keys, []string{"10", "7"}) {
		t.Errorf("got %q, %v", keys, err)
	}
	if keys, err := s.Keys("release/none"); err != nil || keys != nil {
		t.Errorf("got %q, %v", keys, err)
	}
}

// Of those that change a record at the same time one wins each time, also where
// they have opened the folder each by itself, and no change is lost.
func TestCompareAndSet(t *testing.T) {
	dir := open(t).dir
	const who, each = 8, 25
	var wg sync.WaitGroup
	for range who {
		wg.Go(func() {
			s, err := Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			for done := 0; done < each; {
				v, rev, err := s.Get("count")
				if err != nil && !errors.Is(err, ErrNotFound) {
					t.Error(err)
					return
				}
				n, _ := strconv.Atoi(string(v))
				switch _, err := s.Set("count", fmt.Append(nil, n+1), rev); {
				case err == nil:
					done++
				case !errors.Is(err, ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if v, rev, err := (&Store{dir: dir}).Get("count"); string(v) != fmt.Sprint(who*each) || rev != who*each || err != nil {
		t.Errorf("got %s at %d, %v", v, rev, err)
	}
}

// No name leads out of the folder.
func TestNames(t *testing.T) {
	s := open(t)
	for _, key := range []string{"", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "../x", ".hidden", "a:b", "a b", "a\x00b", `a\b`, "é", strings.Repeat("x", 121)} {
		_, _, err1 := s.Get(key)
		_, err2 := s.Set(key, nil, 0)
		_, err3 := s.Keys(key)
		if err1 == nil || err2 == nil || err3 == nil || errors.Is(err1, ErrNotFound) {
			t.Errorf("%q: %v, %v, %v", key, err1, err2, err3)
		}
	}
	for _, d := range []string{"", "sha256:", "sha256:../../../etc/passwd", "sha256:" + strings.Repeat("A", 64), "sha256:" + strings.Repeat("a", 63), strings.Repeat("a", 64)} {
		_, err := ParseDigest(d)
		_, err1 := s.Artifact(Digest(d))
		_, err2 := s.Incoming(Digest(d))
		_, err3 := s.Resume(Digest(d), 0, 1, strings.NewReader("x"))
		if err == nil || err1 == nil || errors.Is(err1, ErrNotFound) || err2 == nil || err3 == nil {
			t.Errorf("%q: %v, %v, %v, %v", d, err, err1, err2, err3)
		}
	}
}

// A generation tells of every change of its kind, also of one by another process,
// and is never taken for settled while a record is being changed.
func TestGeneration(t *testing.T) {
	s := open(t)
	other, err := Open(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(kind string) uint64 {
		t.Helper()
		n, settled, err := s.Generation(kind)
		if err != nil || !settled {
			t.Fatalf("%s: %d, settled %t, %v", kind, n, settled, err)
		}
		return n
	}
	seen := map[uint64]bool{at("release"): true}
	for i, by := range []*Store{s, other, s} {
		if _, err := by.Set("release/lamp/1", []byte("x"), uint64(i)); err != nil {
			t.Fatal(err)
		}
		if n := at("release"); seen[n] {
			t.Errorf("after change %d it is %d once more", i+1, n)
		} else {
			seen[n] = true
		}
	}
	before := at("release")
	if _, err := s.Set("device/1", []byte("x"), 0); err != nil || at("release") != before {
		t.Errorf("a change of another kind: %d, %v", at("release"), err)
	}
	if _, err := s.Set("release/lamp/1", []byte("x"), 1); !errors.Is(err, ErrConflict) || at("release") != before {
		t.Errorf("no change: %d, %v", at("release"), err)
	}
	during := func() error {
		if _, settled, err := other.Generation("release"); settled || err != nil {
			t.Errorf("during a change: settled %t, %v", settled, err)
		}
		return nil
	}
	if err := s.changing("release/lamp/1", during); err != nil {
		t.Fatal(err)
	}
	// Who died in the middle left it odd; the next change settles it.
	f, err := os.OpenFile(s.generation("release"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	last := at("release")
	if err := writeGeneration(f, last+1); err != nil {
		t.Fatal(err)
	}
	during()
	if _, err := other.Set("release/lamp/1", []byte("y"), 3); err != nil || at("release") <= last {
		t.Errorf("after a death: %d, %v", at("release"), err)
	}
}
