package ledger

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"station/internal/record"
)

// filled has thirty devices in its projections, closed.
func filled(t *testing.T) *Ledger {
	t.Helper()
	l := start(t, bench)
	for n := range 30 {
		if _, err := l.AppendAll(run(n)); err != nil {
			t.Fatal(err)
		}
	}
	add(t, l, record.Entry{Kind: record.PlanApproved, Plan: "sha256:1", Operator: "anna"})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l
}

// Projections that are wrong are made right from the log.
func TestRebuild(t *testing.T) {
	path := filled(t).Path()
	m := mac(3)
	tamper(t, path, func(tx *txn) error {
		return errors.Join(tx.bucket(inDevices).Delete(m[:]), tx.put(inKeys, key(4), m[:]), tx.put(inKeys, "no key", m[:]),
			tx.bucket(inApprovals).Delete([]byte(approval("bench-3", "sha256:1"))), tx.put(inLots, "job:none", []byte("{}")))
	})
	if len(check(path)) < 5 {
		t.Fatal("the damage was not found")
	}
	l := reopen(t, path, bench)
	if err := l.Rebuild(); err != nil {
		t.Fatal(err)
	}
	mustBeWhole(t, path)
	if owner, _, err := l.KeyOwner(key(4)); owner != mac(4) || err != nil {
		t.Errorf("got %v, %v", owner, err)
	}
	if _, yes, err := l.Approval("bench-3", "sha256:1"); !yes || err != nil {
		t.Errorf("got %v, %v", yes, err)
	}
	add(t, l, run(31)...)
}

// A rebuilding that a power cut interrupted, and one that a new version needs,
// are done when the ledger is next opened for writing. Until then the indexes
// are not asked.
func TestRebuildOnOpen(t *testing.T) {
	for name, change := range map[string]func(*txn) error{
		"interrupted at the start": (*txn).forgetAll,
		"interrupted later": func(tx *txn) error {
			err := tx.forgetAll()
			for n := uint64(0); n < 100 && err == nil; n++ {
				err = tx.replay(n)
			}
			return errors.Join(err, tx.setState(stateProjected, 100), tx.flush())
		},
		"another version": func(tx *txn) error { return tx.setState(stateProjection, projection+1) },
		"the first version": func(tx *txn) error {
			return errors.Join(tx.tx.DeleteBucket([]byte(inRecent)), tx.tx.DeleteBucket([]byte(inTokens)), tx.setState(stateProjection, 1))
		},
	} {
		path := filled(t).Path()
		tamper(t, path, change)
		var a Audit
		unknown := false
		for fault := range Check(path, &a) {
			if unknown = name == "another version" && strings.Contains(fault.Text, "does not know"); !unknown {
				t.Errorf("%s: %v", name, fault)
			}
		}
		if !a.Stale || unknown != (name == "another version") {
			t.Errorf("%s: verify does not say so", name)
		}
		r, err := Open(path, Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		whole := strings.HasSuffix(name, "version")
		if _, _, err := r.Device(mac(1)); whole && err != nil || !whole && !errors.Is(err, ErrBusy) {
			t.Errorf("%s: a reader got %v", name, err)
		}
		for _, err := range r.Devices() {
			if whole && err != nil {
				t.Errorf("%s: a reader of all got %v", name, err)
			}
		}
		if _, err := r.TokenKeys("4711"); whole && err != nil {
			t.Errorf("%s: tokens: %v", name, err)
		}
		r.Close()
		l := reopen(t, path, bench)
		if d, found, err := l.Device(mac(29)); !found || !d.Sealed || err != nil {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

// A device that was made PASS, under a version of the indexes that nobody knows:
// verify says so, and readers tell what the log tells.
func TestTamperedUnderAnotherVersion(t *testing.T) {
	for _, version := range []uint64{0, 1, projection - 1, projection + 1, 1 << 40} {
		path := filled(t).Path()
		l := reopen(t, path, bench)
		before, _, err := l.Device(mac(7))
		if err = errors.Join(err, l.Close()); err != nil {
			t.Fatal(err)
		}
		tamper(t, path, func(tx *txn) error {
			d := before
			d.Verdict, d.Code, d.Sealed, d.SetAside, d.Job = record.Quarantine, "E-LIE", !d.Sealed, true, "other"
			payload, err := devicePayload(d)
			m := mac(7)
			return errors.Join(err, tx.put(inDevices, string(m[:]), payload), tx.setState(stateProjection, version))
		})
		if version > projection && len(check(path)) == 0 {
			t.Errorf("version %d: verify says that the ledger is whole", version)
		}
		r, err := Open(path, Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		d, _, err := r.Device(mac(7))
		if err != nil || d.Verdict != before.Verdict || d.Job != before.Job || d.SetAside != before.SetAside {
			t.Errorf("version %d: got %s %s, %v", version, d.Verdict, d.Job, err)
		}
		r.Close()
		if faults := check(path); len(faults) > 0 {
			t.Errorf("version %d: after it was read: %v", version, faults)
		}
	}
}

// forgetAll is forget without the check of the file, which tamper has not.
func (t *txn) forgetAll() error {
	for _, name := range projections {
		if err := t.tx.DeleteBucket([]byte(name)); err != nil {
			return err
		}
		if _, err := t.tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	return t.setState(stateProjected, 0)
}

// A damaged page is beyond rebuilding, and is not walked by bbolt.
func TestRebuildOfDamagedPages(t *testing.T) {
	l := reopen(t, filled(t).Path(), bench)
	f, at := l.read.f, int64(-1)
	for page := int64(2); at < 0; page++ { // the first leaf with a device
		var buf [pageSize]byte
		if _, err := f.ReadAt(buf[:], page*pageSize); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(buf[:], []byte(`"setAside":false`)) {
			continue
		}
		at = page * pageSize
		flip(t, l.w.file, at+15) // overflow: millions of pages
		if len(check(l.Path())) == 0 {
			flip(t, l.w.file, at+15) // the page is free
			at = -1
		}
	}
	if err := l.Rebuild(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
	flip(t, l.w.file, at+15)
}

// What is read from stored bytes gives the same bytes again.
func FuzzEntry(f *testing.F) {
	for _, e := range run(1) {
		raw, _, err := encode(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := decode(raw)
		if err != nil {
			return
		}
		if e.Time.Year() < 0 || e.Time.Year() > 9999 {
			return // has no RFC 3339 form
		}
		e.Version = record.Version // nothing is written in a form of before
		if record.CheckForm(&e) != nil {
			return
		}
		first, e, err := encode(e)
		if err != nil {
			return
		}
		if !utf8.Valid(first) {
			t.Errorf("%q is not text", first)
		}
		again, _, err := encode(e)
		if err != nil || !bytes.Equal(first, again) {
			t.Errorf("%s became %s, %v", first, again, err)
		}
		if back, err := decode(first); err != nil || back.Version > 0 && back.Version <= record.Version && !record.Canonical(&back, first) {
			t.Errorf("%s is not canonical: %v", first, err)
		}
	})
}

func FuzzCheckProof(f *testing.F) {
	// The same key in every process that fuzzes.
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	l := start(f, bench)
	add(f, l, run(2)[:2]...)
	sign(f, l, k)
	p, _, err := l.Prove(mac(2))
	if err != nil {
		f.Fatal(err)
	}
	file, err := json.Marshal(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	want, _, err := CheckProof(file, &k.PublicKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		got, _, err := CheckProof(file, &k.PublicKey)
		if err == nil && (got.MAC != want.MAC || len(got.Entries) > len(want.Entries)) {
			t.Errorf("believed %s", file)
		}
	})
}
