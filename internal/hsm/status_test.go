package hsm_test

import (
	"strings"
	"testing"

	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
)

// The audit is held against a record: what nobody noted, what was exchanged and
// what is gone is told; the same label in another role is another key.
func TestCompare(t *testing.T) {
	s := hsm.Status{Keys: []hsm.Key{
		{Role: hsm.Master, Label: "a", Check: "01"}, {Role: hsm.Master, Label: "b", Check: "02"}, {Role: hsm.KEK, Label: "c"},
		{Role: hsm.SharedKey, Label: "d", Check: "04"},
	}}
	s.Compare([]hsm.Noted{
		{hsm.Master, "a", "01"}, {hsm.Master, "b", "99"}, {hsm.KEK, "c", "03"}, {hsm.Master, "d", "04"},
	})
	want := []string{`key "b" (master): the ledger speaks of another one: check value 02, noted 99`,
		`key "d" (shared): the ledger knows nothing of it`, `key "d" (master): the ledger speaks of it (check value 04), and the token lacks it`}
	got := s.Problems()
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got %s, want %s", got[i], want[i])
		}
	}
	s.Record = nil
	s.Compare([]hsm.Noted{{hsm.Master, "a", "01"}, {hsm.Master, "b", "02"}, {hsm.KEK, "c", "03"}, {hsm.SharedKey, "d", "04"}})
	if got := s.Problems(); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

// A token that is software is called so, whatever its slot says of itself; of others
// only their own word counts.
func TestNature(t *testing.T) {
	const hardware = 4 // CKF_HW_SLOT
	for _, c := range []struct {
		model string
		flags uint
		want  hsm.Nature
	}{
		{"SoftHSM v2", 1, hsm.Software}, {"SoftHSM v2", hardware, hsm.Software}, {"Soft", hardware, hsm.Software}, {"NSS 3", 1, hsm.Software},
		{"SW   TPM", 1, hsm.Software}, {"Softly", hardware, hsm.Hardware}, {"YubiHSM", 1 | hardware, hsm.Hardware}, {"unheard of", 1, hsm.Unknown},
	} {
		if got := hsm.NatureOf(c.model, c.flags); got != c.want {
			t.Errorf("%s with slot flags %d: got %s, want %s", c.model, c.flags, got, c.want)
		}
	}
	token := hsmtest.Open(t, hsmtest.Token(t))
	s, err := token.Status(t.Context())
	if err != nil || token.Info().Nature != hsm.Software || s.Nature != hsm.Software {
		t.Errorf("SoftHSM: %v, audited %v, %v", token.Info().Nature, s.Nature, err)
	}
}
