package station

import (
	"slices"
	"strings"
	"testing"

	"station/internal/flow/flowtest"
	"station/internal/hsm"
	"station/internal/record"
)

// What the ledger says of a token's keys is what was noted last, of this token
// alone.
func TestKeysNoted(t *testing.T) {
	s := flowtest.New(t, tokenKeys, flowtest.ExampleJob)
	here := s.Token.Info()
	there := here
	there.Serial = "other"
	fleet := hsm.Key{Role: hsm.SharedKey, Label: "fleet:7", Check: "01"}
	anew := hsm.Key{Role: hsm.SharedKey, Label: "fleet:7", Check: "02"}
	kek := hsm.Key{Role: hsm.KEK, Label: "kek"} // not every token gives its check value
	signer := hsm.Key{Role: hsm.Signer, Label: "s", Check: "03"}
	for i, c := range []struct {
		e    record.Entry
		want string
	}{
		{KeyNote(here, fleet, KeyBrought), "shared fleet:7 01"},
		{KeyNote(there, signer, KeyMade), "shared fleet:7 01"},
		{KeyNote(here, kek, KeyMade), "kek kek , shared fleet:7 01"},
		{KeyNote(here, anew, KeyMade), "kek kek , shared fleet:7 02"},
		{KeyNote(here, signer, KeyFound), "kek kek , shared fleet:7 02, signer s 03"},
		{KeyGone(here, hsm.Noted{Role: hsm.SharedKey, Label: "fleet:7", Check: "02"}), "kek kek , signer s 03"},
		{KeyGone(there, hsm.Noted{Role: hsm.KEK, Label: "kek"}), "kek kek , signer s 03"},
		{record.Entry{Kind: record.LineHalted, Message: "key.imported", Token: here.Serial, Keys: []record.Key{{ID: "kek:x:y"}}, Simulated: true}, "kek kek , signer s 03"},
	} {
		if _, err := s.Ledger.Append(c.e); err != nil {
			t.Fatal(err)
		}
		noted, err := KeysNoted(s.Ledger, here)
		var got []string
		for _, n := range noted {
			got = append(got, strings.Join([]string{string(n.Role), n.Label, n.Check}, " "))
		}
		if strings.Join(got, ", ") != c.want || err != nil {
			t.Errorf("after note %d: got %q, %v, want %s", i, got, err, c.want)
		}
	}
}

// A note is missing where the ledger and the token differ, and only there.
func TestMissingNote(t *testing.T) {
	token := hsm.Info{Label: "line-1", Serial: "25539b9077"}
	keys := []hsm.Key{{Role: hsm.Master, Label: "same", Check: "01"}, {Role: hsm.Master, Label: "new", Check: "02"},
		{Role: hsm.Master, Label: "other", Check: "03"}, {Role: hsm.Master, Label: "twice"}, {Role: hsm.Master, Label: "twice"}}
	noted := []hsm.Noted{{Role: hsm.Master, Label: "same", Check: "01"}, {Role: hsm.Master, Label: "other", Check: "99"}, {Role: hsm.KEK, Label: "gone", Check: "04"}}
	before := slices.Clone(keys)
	for label, want := range map[string]record.Entry{
		"same":  {},
		"new":   {Kind: record.KeyImported, Keys: []record.Key{{ID: "master:new:02", Policy: "derived"}}, Token: "25539b9077", Decision: "found", Message: `master "new" found in token "line-1"`},
		"other": {Kind: record.KeyImported, Keys: []record.Key{{ID: "master:other:03", Policy: "derived"}}, Token: "25539b9077", Decision: "found", Message: `master "other" found in token "line-1"`},
		"gone":  {Kind: record.KeyRemoved, Keys: []record.Key{{ID: "kek:gone:04", Policy: "random"}}, Token: "25539b9077", Decision: "removed", Message: `kek "gone" removed from token "line-1"`},
	} {
		got, missing, err := MissingNote(token, keys, noted, label)
		if err != nil || missing != (want.Kind != "") || got.TokenKey().ID != want.TokenKey().ID || got.Kind != want.Kind || got.TokenKey().Policy != want.TokenKey().Policy ||
			got.Token != want.Token || got.Decision != want.Decision || got.Message != want.Message || got.Simulated {
			t.Errorf("%s: got %+v, %t, %v", label, got, missing, err)
		}
	}
	for label, want := range map[string]string{"twice": "2 keys", "nobody": "neither token"} {
		if _, missing, err := MissingNote(token, keys, noted, label); err == nil || missing || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %t, %v, want %s", label, missing, err, want)
		}
	}
	if !slices.EqualFunc(keys, before, func(a, b hsm.Key) bool { return a.Label == b.Label }) {
		t.Error("the caller's keys were changed")
	}
}
