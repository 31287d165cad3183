package ledger

import (
	"errors"
	"reflect"
	"testing"

	"station/internal/chip"
	"station/internal/record"
)

func TestKeysAreUnique(t *testing.T) {
	l := start(t, bench)
	assign := func(n int, id, policy string) error {
		_, err := l.Append(record.Entry{Kind: record.KeyAssigned, MAC: mac(n), Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: id, Policy: policy}}})
		return err
	}
	for _, c := range []struct {
		n          int
		id, policy string
		want       error
	}{
		{1, "k1", "derived", nil},
		{1, "k1", "derived", nil}, // said twice
		{2, "k1", "derived", record.ErrKeyTaken},
		{1, "k2", "derived", record.ErrKeyBound},
		{2, "k1", "shared", record.ErrKeyTaken},
		{2, "fleet", "shared", nil},
		{3, "fleet", "shared", nil},
		{4, "fleet", "derived", record.ErrKeyTaken},
		{2, "k2", "derived", record.ErrKeyBound},
		{4, "k4", "random", nil},
	} {
		if err := assign(c.n, c.id, c.policy); !errors.Is(err, c.want) {
			t.Errorf("device %d, %s, %s: got %v, want %v", c.n, c.id, c.policy, err, c.want)
		}
	}
	if owner, bound, err := l.KeyOwner("fleet"); !owner.IsZero() || !bound || err != nil {
		t.Errorf("shared key: %v, %v, %v", owner, bound, err)
	}
	if size, _, err := l.Head(); size != 6 || err != nil {
		t.Errorf("what was refused left entries: %d, %v", size, err)
	}
	for _, e := range []record.Entry{{}, {Kind: record.LedgerCreated}, {Kind: record.KeyAssigned, MAC: mac(9)},
		{Kind: record.KeyAssigned, Keys: record.FlashKey("x")},
		{Kind: record.KeyAssigned, MAC: mac(9), Keys: []record.Key{{ID: "x"}}},
		{Kind: record.DeviceSeen, MAC: mac(9), Fuses: record.Fuses{{Name: "BLOCK1"}}}, {Kind: record.PlanApproved, Plan: "sha256:1"}, {Kind: record.NumberTaken, MAC: mac(9)}} {
		if _, err := l.Append(e); err == nil {
			t.Errorf("%+v was taken", e)
		}
	}
}

// A device has one key for each purpose, a key one purpose, and both promises
// are kept within one entry and over several.
func TestKeysByPurpose(t *testing.T) {
	l := start(t, bench)
	assign := func(n int, keys ...record.Key) error {
		_, err := l.Append(record.Entry{Kind: record.KeyAssigned, MAC: mac(n), Keys: keys})
		return err
	}
	of := func(p chip.Purpose, id string) record.Key { return record.Key{Purpose: p, ID: id, Policy: "derived"} }
	for i, c := range []struct {
		n    int
		keys []record.Key
		want error
	}{
		{1, []record.Key{of(chip.FlashEncryption, "f1"), of(chip.SecureBootV1, "s1")}, nil},
		{1, []record.Key{of(chip.HMAC, "h1")}, nil},
		{1, []record.Key{of(chip.SecureBootV1, "s9")}, record.ErrKeyBound},
		{1, []record.Key{of(chip.FlashEncryption, "f1"), of(chip.HMAC, "h9")}, record.ErrKeyBound},
		{2, []record.Key{of(chip.HMAC, "s1")}, record.ErrKeyTaken},
		{2, []record.Key{of(chip.FlashEncryption, "f2"), of(chip.HMAC, "h1")}, record.ErrKeyTaken},
		{2, []record.Key{of(chip.FlashEncryption, "f2"), of(chip.HMAC, "f2")}, record.ErrKeyTaken},
		{2, []record.Key{of(chip.FlashEncryption, "f2")}, nil},
		{2, []record.Key{of(chip.HMAC, "f2")}, record.ErrKeyTaken},
		{3, []record.Key{{Purpose: chip.FlashEncryption, ID: "fleet", Policy: "shared"}}, nil},
		{3, []record.Key{{Purpose: chip.HMAC, ID: "fleet", Policy: "shared"}}, record.ErrKeyTaken},
	} {
		if err := assign(c.n, c.keys...); !errors.Is(err, c.want) {
			t.Errorf("%d: got %v, want %v", i, err, c.want)
		}
	}
	again := of(chip.SecureBootV1, "s1")
	again.Blocks = []string{"BLOCK2"}
	if err := assign(1, again); err != nil {
		t.Fatal(err)
	}
	d, _, err := l.Device(mac(1))
	want := []record.Key{of(chip.FlashEncryption, "f1"), again, of(chip.HMAC, "h1")}
	if err != nil || !reflect.DeepEqual(d.Keys, want) {
		t.Errorf("got %+v, %v", d.Keys, err)
	}
	for id, n := range map[string]int{"f1": 1, "s1": 1, "h1": 1, "f2": 2} {
		if owner, bound, err := l.KeyOwner(id); owner != mac(n) || !bound || err != nil {
			t.Errorf("%s: %v, %v, %v", id, owner, bound, err)
		}
	}
	if err := l.Rebuild(); err != nil {
		t.Fatal(err)
	}
	mustBeWhole(t, l.Path())
}

func TestTokenKeys(t *testing.T) {
	l := start(t, bench)
	add(t, l,
		record.Entry{Kind: record.KeyImported, Token: "1", Keys: []record.Key{{ID: "master:a:b:01"}}, Decision: "made"},
		record.Entry{Kind: record.KeyImported, Token: "2", Keys: []record.Key{{ID: "master:a:b:02"}}},
		record.Entry{Kind: record.KeyImported, Token: "1", Keys: []record.Key{{ID: "kek:k:03"}}},
		record.Entry{Kind: record.KeyImported, Token: "11", Keys: []record.Key{{ID: "kek:k:04"}}},
		record.Entry{Kind: record.KeyImported, Token: "1", Keys: []record.Key{{ID: "master:a:b:05"}}, Decision: "found"},
		record.Entry{Kind: record.KeyRemoved, Token: "1", Keys: []record.Key{{ID: "kek:k:03"}}},
		record.Entry{Kind: record.KeyImported, Keys: []record.Key{{ID: "kek:of no token:06"}}})
	for _, l := range []*Ledger{l, readOnly(t, l.Path())} {
		list, err := l.TokenKeys("1")
		if err != nil || len(list) != 2 || list[0].Kind != record.KeyRemoved || list[0].TokenKey().ID != "kek:k:03" || list[1].TokenKey().ID != "master:a:b:05" {
			t.Errorf("got %+v, %v", list, err)
		}
		if list, err := l.TokenKeys("3"); err != nil || len(list) > 0 {
			t.Errorf("unknown token: got %+v, %v", list, err)
		}
	}
	if err := l.Rebuild(); err != nil {
		t.Fatal(err)
	}
	mustBeWhole(t, l.Path())
}

func readOnly(t *testing.T, path string) *Ledger {
	t.Helper()
	return reopen(t, path, Options{ReadOnly: true})
}

func TestApproval(t *testing.T) {
	l := start(t, bench)
	add(t, l, record.Entry{Kind: record.PlanApproved, Plan: "sha256:1", Operator: "anna", Job: "lamp", Revision: "7"})
	for _, c := range []struct{ station, job, revision, want string }{
		{"bench-3", "lamp", "7", "sha256:1"}, {"bench-4", "lamp", "7", ""}, {"bench-3", "lamp", "8", ""}, {"bench-3", "bell", "7", ""},
	} {
		if got, found, err := l.ApprovalOf(c.station, c.job, c.revision); got.Plan != c.want || found != (c.want != "") || err != nil {
			t.Errorf("%+v: got %+v, %v", c, got, err)
		}
	}
	for _, c := range []struct {
		station, digest string
		want            bool
	}{{"bench-3", "sha256:1", true}, {"bench-4", "sha256:1", false}, {"bench-3", "sha256:2", false}, {"", "", false}} {
		if _, got, err := l.Approval(c.station, c.digest); got != c.want || err != nil {
			t.Errorf("%+v: got %v, %v", c, got, err)
		}
	}
}
