package ledger

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// A checkpoint that a witness signed too is kept in place of the one of the log's key,
// and each of both keys is enough to believe it. Who is neither changes nothing.
func TestCosigned(t *testing.T) {
	l := start(t, bench)
	add(t, l, run(1)...)
	own, witness, stranger := newKey(t), newKey(t), newKey(t)
	signed := sign(t, l, own)
	faults := func(site *ecdsa.PublicKey) (list []string, a Audit) {
		a.Site = site
		for f := range l.Check(&a) {
			list = append(list, f.Error())
		}
		return list, a
	}
	if list, _ := faults(&witness.PublicKey); len(list) != 1 || !strings.Contains(list[0], "none that is right was signed by the site too") {
		t.Errorf("before the site signed: %q", list)
	}
	both, err := Cosign(signed, "station-site/plant-1", witness)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.KeepCosigned(both); err != nil {
		t.Fatal(err)
	}
	if kept, err := l.LastCheckpoint(); err != nil || !bytes.Equal(kept, both) {
		t.Errorf("kept is %s, %v", kept, err)
	}
	if list, a := faults(&witness.PublicKey); len(list) > 0 || a.Cosigned != 14 || a.Checkpoints != 1 {
		t.Errorf("the site signed: %q, %d entries", list, a.Cosigned)
	}
	if list, _ := faults(&stranger.PublicKey); len(list) != 1 {
		t.Errorf("another site's key: %q", list)
	}
	for _, key := range []*ecdsa.PrivateKey{own, witness} {
		if c, err := OpenCheckpoint(both, &key.PublicKey); err != nil || c.Size != 14 {
			t.Errorf("got %+v, %v", c, err)
		}
	}
	if SignedBy(both, &stranger.PublicKey) || SignedBy(signed, &witness.PublicKey) {
		t.Error("somebody has signed who has not")
	}
	// The site's name is not the ledger's to give away: a text that the witness signed alone is not kept.
	alone, err := SignCheckpoint(Checkpoint{Origin: l.Origin(), Size: 14, Root: tlog.Hash{1}}, l.Origin(), witness)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.KeepCosigned(alone); !errors.Is(err, ErrSignature) {
		t.Errorf("a checkpoint of the witness alone: %v", err)
	}
	other, err := another(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.KeepCosigned(both); !errors.Is(err, ErrSignature) {
		t.Errorf("another ledger's checkpoint: %v", err)
	}
	lie, err := SignCheckpoint(Checkpoint{Origin: l.Origin(), Size: 9, Root: tlog.Hash{1}}, l.Origin(), own)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.KeepCosigned(lie); !errors.Is(err, errNotOurs) {
		t.Errorf("a checkpoint that is not of this log: %v", err)
	}
}

// another is one more ledger.
func another(t *testing.T) (*Ledger, error) {
	t.Helper()
	o := bench
	o.Create = true
	l, err := Open(filepath.Join(t.TempDir(), "other.db"), o)
	if err == nil {
		t.Cleanup(func() { l.Close() })
	}
	return l, err
}

// There is a proof from every size, and growth is told once
// for as much as nobody has looked.
func TestMirrorsNeeds(t *testing.T) {
	l := start(t, bench)
	add(t, l, run(1)...)
	size, root, err := l.Head()
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-l.Grown():
	default:
		t.Error("growth was not told")
	}
	select {
	case <-l.Grown():
		t.Error("growth was told twice")
	default:
	}
	for n := uint64(1); n <= size; n++ {
		var before tlog.Hash
		err1 := l.view(func(s *snapshot) (err error) { before, err = rootOf(s, n); return err })
		path, err2 := l.Extends(n, size)
		if err := errors.Join(err1, err2, tlog.CheckTree(path, int64(size), root, int64(n), before)); err != nil {
			t.Errorf("at %d: %v", n, err)
		}
	}
	if _, err := l.Extends(size+1, size); err == nil {
		t.Error("a proof from beyond the log")
	}
}
