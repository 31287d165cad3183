package record

import (
	"strings"
	"testing"
)

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

// A batch's name becomes part of file names and stands on screens and pages.
func TestCheckBatch(t *testing.T) {
	for _, name := range []string{"2026-47", "Lampe 7 (Süd)", "设备", "a.b", strings.Repeat("n", maxBatchName)} {
		if err := CheckBatch(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"": "blank", " \t": "blank", "\u200b": "blank", " b": "space", "b ": "space", strings.Repeat("n", maxBatchName+1): "longer than",
		"\xff": "UTF-8", "a/b": "path", "../b": "path", `a\b`: "path", ".b": "path", "..": "path",
		"a\nb": "cannot be seen", "a\x1b[2J": "cannot be seen", "a\u202eb": "cannot be seen", "a\u009bb": "cannot be seen", "a\x00b": "cannot be seen",
	} {
		if err := CheckBatch(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
}
