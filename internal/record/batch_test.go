package record

import "testing"

// What nobody can see names nobody, and gives no reason.
func TestBlank(t *testing.T) {
	for _, s := range []string{"", " ", "\t\n", "\u00a0", "\u3000", "\u200b", "\u200b \u200b", "\u202e", "\ufeff", "\x1b", "\x00"} {
		if !Blank(s) {
			t.Errorf("%q is taken for a name", s)
		}
		if CheckOperator(Entry{Kind: BatchOpened, Operator: s}) == nil {
			t.Errorf("an act by %q is recorded", s)
		}
		if CheckPerson(Entry{Kind: BatchAmended, Operator: "anna", Message: s}) == nil {
			t.Errorf("an act for the reason %q is recorded", s)
		}
		if CheckBatch(s) == nil {
			t.Errorf("a batch named %q is opened", s)
		}
	}
	for _, s := range []string{"anna", " anna ", "李", "ע", "Ω", "-", "\u200banna"} {
		if Blank(s) {
			t.Errorf("%q is taken for nothing", s)
		}
	}
	if err := CheckPerson(Entry{Kind: BatchAmended, Operator: "anna", Message: "only a trial"}); err != nil {
		t.Error(err)
	}
}
