package ledger

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"slices"
	"strings"
	"testing"

	"station/internal/record"
)

// begunElsewhere is the proof of a device that another ledger has begun, without its last
// entries from the first one of this kind on, under a checkpoint of key.
func begunElsewhere(t *testing.T, key *ecdsa.PrivateKey, without record.Kind) []byte {
	t.Helper()
	o := bench
	o.Station = "other"
	l := start(t, o)
	add(t, l, run(2)...)
	entries := run(1)
	if i := slices.IndexFunc(entries, func(e record.Entry) bool { return e.Kind == without }); i >= 0 {
		entries = entries[:i]
	}
	add(t, l, entries...)
	size, root, err := l.Head()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := SignCheckpoint(Checkpoint{Origin: l.Origin(), Size: size, Root: root}, "site", key)
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := l.ProveUnder(signed, mac(1))
	if err != nil {
		t.Fatal(err)
	}
	file, err := p.File()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// The ledger to which a device moves tells all of it by itself: what it is, its names, whole
// when it is folded, rebuilt, checked and proved; and what it never had is not made up.
func TestMoved(t *testing.T) {
	site, stranger := newKey(t), newKey(t)
	proof := begunElsewhere(t, site, record.Sealed)
	moved := record.Entry{Kind: record.Moved, MAC: mac(1), About: MoveOf("other", proof)}
	l := start(t, bench)
	add(t, l, record.Entry{Kind: record.DeviceSeen, MAC: mac(1)})
	bad := map[string]record.Entry{
		"another device's": {Kind: record.Moved, MAC: mac(3), About: moved.About},
		"no bench's":       {Kind: record.Moved, MAC: mac(1), About: MoveOf("", proof)},
		"changed":          {Kind: record.Moved, MAC: mac(1), About: bytes.Replace(moved.About, []byte(`"key.assigned"`), []byte(`"key.assigmed"`), 1)},
		"never begun":      {Kind: record.Moved, MAC: mac(1), About: MoveOf("other", begunElsewhere(t, site, record.KeyAssigned))},
		"sealed":           {Kind: record.Moved, MAC: mac(1), About: MoveOf("other", begunElsewhere(t, site, "none"))},
	}
	for name, e := range bad {
		if _, err := l.Append(e); !errors.Is(err, ErrMove) {
			t.Errorf("%s: %v", name, err)
		}
	}
	add(t, l, moved)
	d, _, err := l.Device(mac(1))
	id := d.FlashKey().ID
	if owner, bound, ownerErr := l.KeyOwner(id); err != nil || ownerErr != nil || !bound || owner != mac(1) || d.Moves != 1 || d.Runs != 1 {
		t.Errorf("it is %+v, %v; its key is that of %s, %v", d, err, owner, ownerErr)
	}
	if _, err := l.Append(record.Entry{Kind: record.KeyAssigned, MAC: mac(3), Keys: record.FlashKey(id)}); !errors.Is(err, record.ErrKeyTaken) {
		t.Errorf("its key for another device: %v", err)
	}
	for key, want := range map[*ecdsa.PublicKey]int{nil: 0, &site.PublicKey: 0, &stranger.PublicKey: 1} {
		n := 0
		for f := range l.Check(&Audit{Site: key}) {
			if strings.Contains(f.Error(), "the device cannot move") {
				n++
			} else if key == nil {
				t.Errorf("check: %v", f)
			}
		}
		if n != want {
			t.Errorf("%d faults of the move, want %d", n, want)
		}
	}
	if err := l.Rebuild(); err != nil {
		t.Fatal(err)
	}
	if err := l.Agrees(mac(1)); err != nil {
		t.Error(err)
	}
	own := newKey(t)
	sign(t, l, own)
	p, _, err := l.Prove(mac(1))
	if err != nil {
		t.Fatal(err)
	}
	file, err := p.File()
	if err != nil {
		t.Fatal(err)
	}
	_, entries, err := CheckProof(file, &own.PublicKey)
	if whole := record.Whole(entries); err != nil || len(whole) <= len(entries) || whole[0].Kind != record.DeviceSeen {
		t.Errorf("its proof has %d entries, %d with those that it brought; %v", len(entries), len(record.Whole(entries)), err)
	}
}

// A device that brings a name of another device is refused.
func TestMovedWithATakenName(t *testing.T) {
	moved := record.Entry{Kind: record.Moved, MAC: mac(1), About: MoveOf("other", begunElsewhere(t, newKey(t), record.Sealed))}
	d, err := broughtDevice(&moved)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		has  record.Entry
		want error
	}{
		{record.Entry{Kind: record.KeyAssigned, MAC: mac(9), Keys: d.Keys}, record.ErrKeyTaken},
		{record.Entry{Kind: record.SerialBound, MAC: mac(9), Serial: d.Serial}, record.ErrIdentity},
		{record.Entry{Kind: record.SerialBound, MAC: mac(1), Serial: "S9"}, record.ErrSerialTaken},
	} {
		l := start(t, bench)
		add(t, l, c.has)
		if _, err := l.Append(moved); !errors.Is(err, c.want) {
			t.Errorf("%s of %s: %v", c.has.Kind, c.has.MAC, err)
		}
	}
}
