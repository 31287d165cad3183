package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"station/internal/record"
)

// A copy has every byte of the log, whatever version wrote it, and indexes that say
// the same.
func TestCopy(t *testing.T) {
	own := start(t, bench)
	add(t, own, slices.Concat(run(1), run(2), run(3), run(4))...)
	key := newKey(t)
	signed := sign(t, own, key)
	data, err := os.ReadFile("../../fixtures/ledger/v1/ledger.db")
	old := filepath.Join(t.TempDir(), "v1.db")
	if err := errors.Join(err, os.WriteFile(old, data, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{own.Path(), old} {
		of, err := Open(path, Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer of.Close()
		twin := copied(t, of)
		size, root, err := of.Head()
		if n, r, err2 := twin.Head(); err != nil || err2 != nil || n != size || r != root {
			t.Errorf("%s: the copy has %d entries, root %s; want %d, %s: %v, %v", path, n, r, size, root, err, err2)
		}
		mustBeWhole(t, twin.Path()) // its indexes are those of its log
	}
	twin := copied(t, own)
	if err := twin.KeepCosigned(signed); err != nil {
		t.Fatal(err)
	}
	p, newer, err := twin.Prove(mac(2))
	if err != nil || newer != 0 || p.Checkpoint != string(signed) {
		t.Errorf("a proof of the copy: %v, %d newer, %s", err, newer, p.Checkpoint)
	}
	// What does not stand there is refused, all of it.
	lines, _ := own.LinesAt(0, 5)
	size, _, _ := twin.Head()
	for _, list := range [][][]byte{{lines[1]}, {bytes.Replace(lines[1], []byte(`"index":5`), []byte(`"index":50`), 1)}} {
		if err := twin.Copy(list); !errors.Is(err, ErrElsewhere) {
			t.Errorf("an entry of another place: %v", err)
		}
	}
	if err := CreateCopy(filepath.Join(t.TempDir(), "none.db"), lines[1]); err == nil {
		t.Error("a copy begins with an entry that creates no ledger")
	}
	later := bytes.Replace(lines[1], fmt.Appendf(nil, `{"v":%d`, record.Version), []byte(`{"v":9`), 1)
	if err := twin.Copy([][]byte{later}); !errors.Is(err, ErrNewer) {
		t.Errorf("an entry of a newer version: %v", err)
	}
	if n, _, _ := twin.Head(); n != size {
		t.Errorf("after what was refused it has %d entries, not %d", n, size)
	}
}

// copied is a copy, made of some entries at a time.
func copied(t *testing.T, of *Ledger) *Ledger {
	t.Helper()
	var all [][]byte
	for raw, err := range of.Lines(0) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, raw)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := CreateCopy(path, all[0]); err != nil {
		t.Fatal(err)
	}
	l, err := Open(path, Options{Simulated: of.Simulated()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for some := range slices.Chunk(all[1:], 7) {
		if err := l.Copy(some); err != nil {
			t.Fatal(err)
		}
	}
	return l
}
