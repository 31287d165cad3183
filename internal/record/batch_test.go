package record

import (
	"strings"
	"testing"
)

// What nobody can see names nobody, and gives no reason.
func TestBlank(t *testing.T) {
	for _, s := range []string{"", " ", "\t\n", "\u00a0", "\u3000", "\u200b", "\u200b \u200b", "\u202e", "\ufeff", "\x1b", "\x00",
		"\u2800", "\u3164", "\u115f\u1160", "\uffa0", "\u2800 \u3164", "\ufe0f"} {
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
	for _, name := range []string{"2026-47", "Lampe 7 (Süd)", "设备", "a.b", strings.Repeat("n", maxName)} {
		if err := CheckBatch(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"": "blank", " \t": "blank", "\u200b": "blank", " b": "space", "b ": "space", strings.Repeat("n", maxName+1): "longer than",
		"\xff": "UTF-8", "a/b": "path", "../b": "path", `a\b`: "path", ".b": "path", "..": "path",
		"a\nb": "cannot be seen", "a\x1b[2J": "cannot be seen", "a\u202eb": "cannot be seen", "a\u009bb": "cannot be seen", "a\x00b": "cannot be seen", "a\u2800b": "cannot be seen", "a\u3164b": "cannot be seen",
	} {
		if err := CheckBatch(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
}

// Who and why are one line of any script, and nothing in it is hidden: two
// people are no two because of a character that nobody sees.
func TestCheckText(t *testing.T) {
	for _, s := range []string{"anna", " anna ", "Jürgen O'Neill/2", "李\u3000明", "only\u00a0a trial; \"b7\" was wrong", "홍길동", strings.Repeat("why ", 99)} {
		if err := CheckText(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for s, want := range map[string]string{
		"": "blank", " \u2800": "blank", "\u3164": "blank", "anna\xff": "not UTF-8",
		"anna\nbert": "U+000A", "anna\tb": "U+0009", "anna\x1b[2J": "U+001B", "anna\x7f": "U+007F", "anna\u009b": "U+009B", "a\u2028b": "U+2028",
		"anna\u202e": "U+202E", "anna\u2066": "U+2066", "anna\u200f": "U+200F", "anna\u200b": "U+200B", "anna\u3164": "U+3164", "anna\u2800": "U+2800", "anna\ufe0f": "U+FE0F",
	} {
		if err := CheckText(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", s, err, want)
		}
	}
}
