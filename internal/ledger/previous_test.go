package ledger

import (
	"strings"
	"testing"
)

// Of signed checkpoints none can be taken out between two: each names the one
// before it.
func TestMissingCheckpoint(t *testing.T) {
	l := start(t, bench)
	k := newKey(t)
	var sizes []uint64
	for n := range 4 {
		add(t, l, run(n)...)
		for range 2 { // the second replaces the first
			signed, err := l.Checkpoint(k)
			if err != nil {
				t.Fatal(err)
			}
			c, err := OpenCheckpoint(signed, &k.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			want := uint64(0)
			if n > 0 {
				want = sizes[n-1]
			}
			if c.Previous != want {
				t.Errorf("of %d entries: names %d, want %d", c.Size, c.Previous, want)
			}
			sizes = append(sizes[:n], c.Size)
		}
	}
	path := l.Path() + ".copy"
	if err := l.BackupTo(path); err != nil {
		t.Fatal(err)
	}
	mustBeWhole(t, path)
	tamper(t, path, func(tx *txn) error { return tx.bucket(inCheckpoints).Delete([]byte(number(sizes[1]))) })
	if faults := check(path); len(faults) != 1 || !strings.Contains(faults[0].Text, "which is missing") {
		t.Errorf("got %v", faults)
	}
	twin := copied(t, l) // it has those that it is given, and says that it is a copy
	signed, err := l.LastCheckpoint()
	if err == nil {
		err = twin.KeepCosigned(signed)
	}
	if err != nil {
		t.Fatal(err)
	}
	mustBeWhole(t, twin.Path())
	for _, v := range []*Ledger{l, twin} {
		var a Audit
		for f := range Check(v.Path(), &a) {
			t.Error(f)
		}
		if a.Copy != (v == twin) {
			t.Errorf("%s is a copy: %v", v.Path(), a.Copy)
		}
	}
}
