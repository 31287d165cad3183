package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"station/internal/racetest"
)

// seal makes a value that proves itself, as this package asks of its users:
// the bytes of keys and values are theirs to check.
func seal(key, payload []byte) []byte {
	sum := crc32.ChecksumIEEE(append(slices.Clone(key), payload...))
	return append(binary.BigEndian.AppendUint32(nil, sum), payload...)
}

func sealed(key, value []byte) bool {
	return len(value) >= 4 && bytes.Equal(value, seal(key, value[4:]))
}

// build makes a real bbolt file: a big bucket with values of all lengths, one
// with deletions, a small inline one with another inside, an empty one.
func build(t testing.TB, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, uint64(n)))
	for range 8 {
		err = db.Update(func(tx *bbolt.Tx) error {
			big, _ := tx.CreateBucketIfNotExists([]byte("big"))
			gone, _ := tx.CreateBucketIfNotExists([]byte("gone"))
			small, _ := tx.CreateBucketIfNotExists([]byte("small"))
			inner, _ := small.CreateBucketIfNotExists([]byte("inner"))
			_, _ = tx.CreateBucketIfNotExists([]byte("empty"))
			for range n / 8 {
				key := fmt.Appendf(nil, "%08d", rnd.IntN(4*n))
				value := bytes.Repeat([]byte{byte(rnd.IntN(256))}, rnd.IntN(700))
				if rnd.IntN(50) == 0 {
					value = bytes.Repeat([]byte("long"), 3000)
				}
				value = seal(key, value)
				if err := errors.Join(big.Put(key, value), gone.Put(key, value)); err != nil {
					return err
				}
			}
			c := gone.Cursor()
			for k, _ := c.First(); k != nil; k, _ = c.Next() {
				if rnd.IntN(3) > 0 {
					_ = c.Delete()
				}
			}
			return errors.Join(small.Put([]byte("a"), seal([]byte("a"), nil)), inner.Put([]byte("b"), seal([]byte("b"), nil)))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func openFile(t testing.TB, path string) (*os.File, *Snapshot) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	s, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	return f, s
}

// dump reads everything; the error is the first one.
func dump(s *Snapshot) (map[string]string, error) {
	all := map[string]string{}
	return all, dumpBucket(s.rootBucket(), "", all)
}

func dumpBucket(b Bucket, name string, all map[string]string) error {
	for it, err := range b.From(nil) {
		if err != nil {
			return err
		}
		if !it.Bucket {
			if !sealed(it.Key, it.Value) {
				return fmt.Errorf("%q is damaged", it.Key)
			}
			all[name+"/"+string(it.Key)] = string(it.Value)
			continue
		}
		all[name+"/"+string(it.Key)+"/"] = ""
		sub, err := b.s.bucket(it.Value)
		if !slices.Contains([]string{"big", "gone", "small", "inner", "empty"}, string(it.Key)) {
			err = ErrNoBucket
		}
		if err == nil {
			err = dumpBucket(sub, name+"/"+string(it.Key), all)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func dumpBolt(t *testing.T, path string) map[string]string {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := map[string]string{}
	var visit func(b *bbolt.Bucket, name string) error
	visit = func(b *bbolt.Bucket, name string) error {
		all[name+"/"] = ""
		return b.ForEach(func(k, v []byte) error {
			if sub := b.Bucket(k); sub != nil {
				return visit(sub, name+"/"+string(k))
			}
			all[name+"/"+string(k)] = string(v)
			return nil
		})
	}
	err = db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("bbolt: %v", err)
		}
		return tx.ForEach(func(k []byte, b *bbolt.Bucket) error { return visit(b, "/"+string(k)) })
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestReadsWhatBboltWrote(t *testing.T) {
	for _, n := range []int{0, 8, 100, 5000} {
		path := build(t, n)
		_, s := openFile(t, path)
		got, err := dump(s)
		if err != nil {
			t.Fatal(err)
		}
		want := dumpBolt(t, path)
		if !maps.Equal(got, want) {
			t.Errorf("n=%d: %d items differ from bbolt's %d", n, len(got), len(want))
		}
		for err := range s.Check(nil) {
			t.Errorf("n=%d: %v", n, err)
		}
	}
}

func TestGetLastFrom(t *testing.T) {
	_, s := openFile(t, build(t, 2000))
	b, err := s.Bucket("big")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for it, err := range b.From(nil) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, string(it.Key))
		if v, err := b.Get(it.Key); err != nil || !bytes.Equal(v, it.Value) {
			t.Fatalf("Get %s: %v", it.Key, err)
		}
	}
	if !slices.IsSorted(keys) || len(keys) < 1000 {
		t.Fatalf("%d keys, sorted %v", len(keys), slices.IsSorted(keys))
	}
	if last, err := b.Last(); err != nil || string(last.Key) != keys[len(keys)-1] {
		t.Errorf("Last: got %s, %v", last.Key, err)
	}
	for _, from := range []string{"", keys[0], keys[77] + "x", keys[len(keys)-1], "zzz"} {
		want, _ := slices.BinarySearch(keys, from)
		n := 0
		for it, err := range b.From([]byte(from)) {
			if err != nil || string(it.Key) != keys[want+n] {
				t.Fatalf("from %q: got %s, %v", from, it.Key, err)
			}
			if n++; n == 3 {
				break
			}
		}
		if n != min(3, len(keys)-want) {
			t.Errorf("from %q: got %d items", from, n)
		}
	}
	if v, err := b.Get([]byte("absent")); v != nil || err != nil {
		t.Errorf("absent: got %q, %v", v, err)
	}
	if _, err := s.Bucket("absent"); !errors.Is(err, ErrNoBucket) {
		t.Errorf("absent bucket: got %v", err)
	}
	empty, err := s.Bucket("empty")
	if it, _ := empty.Last(); err != nil || it.Key != nil {
		t.Errorf("empty: got %q, %v", it.Key, err)
	}
}

// A look-up that begins where another ended finds what the key has in its own
// bucket: keys of two buckets in turns, near and far ones.
func TestGetInTurns(t *testing.T) {
	path := build(t, 400)
	want := dumpBolt(t, path)
	_, s := openFile(t, path)
	big, err1 := s.Bucket("big")
	gone, err2 := s.Bucket("gone")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for n := range 8000 {
		name, b := "big", big
		if rnd.IntN(2) == 0 {
			name, b = "gone", gone
		}
		key := fmt.Sprintf("%08d", (n/8+rnd.IntN(12))%1600)
		value, err := b.Get([]byte(key))
		if have, ok := want["/"+name+"/"+key]; err != nil || string(value) != have || ok != (value != nil) {
			t.Fatalf("%s/%s: got %x, %v, want %x", name, key, value, err, have)
		}
	}
}

func TestWriteToIsAFileOfItsOwn(t *testing.T) {
	path := build(t, 1000)
	_, s := openFile(t, path)
	copied := filepath.Join(t.TempDir(), "copy")
	f, err := os.Create(copied)
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.WriteTo(f)
	if err = errors.Join(err, f.Close()); err != nil || n != s.Size() {
		t.Fatalf("wrote %d of %d: %v", n, s.Size(), err)
	}
	if got, want := dumpBolt(t, copied), dumpBolt(t, path); !maps.Equal(got, want) {
		t.Error("the copy differs")
	}
	_, c := openFile(t, copied)
	if c.TxID() != s.TxID() || len(c.Damaged()) > 0 {
		t.Errorf("copy: txid %d of %d, damaged %v", c.TxID(), s.TxID(), c.Damaged())
	}
}

func TestForeignFiles(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "text": "hello", "zeros": string(make([]byte, 20000))} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(f); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: got %v, want ErrFormat", name, err)
		}
		f.Close()
	}
}

func faults(s *Snapshot) (n int) {
	for range s.Check(nil) {
		n++
	}
	return n
}

// A changed byte anywhere is found, or changes nothing that the file says.
func TestEveryByte(t *testing.T) {
	f, s := openFile(t, build(t, 64))
	want, err := dump(s)
	if err != nil {
		t.Fatal(err)
	}
	found, tried := 0, 0
	var cases racetest.Sample
	for at := int64(0); at < s.Size(); at += 11 {
		if cases.Out(16) {
			continue
		}
		tried++
		mask := byte(1) << (at % 8)
		flip(t, f, at, mask)
		if damaged(f) {
			found++
		} else if !says(reopen(t, f), want) {
			t.Errorf("byte %d ^ %#x of page %d: changes the content and is not found", at%4096, mask, at/4096)
		}
		flip(t, f, at, mask)
	}
	if found < 50 && !racetest.Enabled || found == 0 {
		t.Errorf("only %d changes of %d were found", found, tried)
	}
}

func reopen(t *testing.T, f *os.File) *Snapshot {
	t.Helper()
	s, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func says(s *Snapshot, want map[string]string) bool {
	got, err := dump(s)
	return err == nil && maps.Equal(got, want)
}

func damaged(f *os.File) bool {
	s, err := Open(f)
	if err != nil || faults(s) > 0 {
		return true
	}
	_, err = dump(s)
	return err != nil
}

func flip(t testing.TB, f *os.File, at int64, mask byte) {
	t.Helper()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= mask
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

func TestCutAnywhere(t *testing.T) {
	path := build(t, 800)
	f, s := openFile(t, path)
	for size := s.Size() - 1; size > 8192; size -= 4096 * 3 {
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		c, err := Open(f)
		if err != nil {
			t.Fatal(err)
		}
		if c.Cut() != s.Size()-size || faults(c) == 0 {
			t.Errorf("cut to %d: Cut %d, %d faults", size, c.Cut(), faults(c))
		}
		if _, err := c.WriteTo(io.Discard); err == nil {
			t.Errorf("cut to %d: copied", size)
		}
	}
}

// One damaged page costs its own keys only, and the error names them.
func TestGoesOnBehindADamagedPage(t *testing.T) {
	f, s := openFile(t, build(t, 2000))
	b, err := s.Bucket("big")
	if err != nil {
		t.Fatal(err)
	}
	root, err := s.page(b.root)
	if err != nil || root.leaf() {
		t.Fatalf("want a branch: %v", err)
	}
	all := map[string]bool{}
	for it := range b.From(nil) {
		all[string(it.Key)] = true
	}
	at := root.child(0)
	flip(t, f, int64(at)*4096+8, 0x40)
	var lost *PageError
	for it, err := range b.From(nil) {
		switch {
		case err != nil && lost != nil:
			t.Errorf("a second error: %v", err)
		case err != nil:
			if !errors.As(err, &lost) || lost.Page != at {
				t.Errorf("got %v, want page %d", err, at)
			}
		default:
			delete(all, string(it.Key))
		}
	}
	if lost == nil || len(all) == 0 {
		t.Fatal("nothing was lost")
	}
	for k := range all {
		if k < string(lost.Lo) || k >= string(lost.Hi) {
			t.Errorf("%s was lost and lies outside %s to %s", k, lost.Lo, lost.Hi)
		}
	}
}

func FuzzDamage(f *testing.F) {
	path := build(f, 64)
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(4096*3+8), []byte{0xff, 0xff})
	f.Add(uint32(4096*5+16), []byte{1, 2, 3, 4, 5, 6, 7, 8})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, at uint32, with []byte) {
		b := slices.Clone(whole)
		copy(b[int(at)%len(b):], with)
		name := filepath.Join(dir, "fuzz")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		s, err := Open(file)
		if err != nil {
			return
		}
		_ = faults(s)
		_, _ = dump(s)
		_, _ = s.WriteTo(io.Discard)
	})
}
