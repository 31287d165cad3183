package tui

import (
	"reflect"
	"regexp"
	"slices"
	"testing"
	"unicode"

	"station/internal/board"
	"station/internal/chip"
	"station/internal/flow"
	"station/internal/job"
	"station/internal/record"
)

// Every code that can come up has its sentence and action in Chinese, and no
// row is left over from a code that is gone.
func TestEveryFailureIsInChinese(t *testing.T) {
	known := map[flow.Code]bool{}
	for _, k := range flow.Failures {
		known[k.Code] = true
		row, ok := chinese.failures[k.Code]
		if !ok {
			t.Errorf("%s (%s) has no Chinese row", k.Code, k.Sentence)
			continue
		}
		for _, text := range row {
			if !isChinese(text) || !slices.Contains([]rune("。！？"), []rune(text)[len([]rune(text))-1]) {
				t.Errorf("%s: %q is not a Chinese sentence", k.Code, text)
			}
		}
	}
	for code := range chinese.failures {
		if !known[code] {
			t.Errorf("%s is no failure any more", code)
		}
	}
}

func isChinese(s string) bool {
	for _, r := range s {
		if unicode.Is(unicode.Han, r) {
			return true
		}
	}
	return false
}

var verbs = regexp.MustCompile(`%\[\d\][a-z]`)

// Both languages say everything, with the same values in it.
func TestLanguagesAreComplete(t *testing.T) {
	en, zh := reflect.ValueOf(english), reflect.ValueOf(chinese)
	for i := range en.NumField() {
		name := en.Type().Field(i).Name
		switch a, b := en.Field(i), zh.Field(i); a.Kind() {
		case reflect.String:
			compare(t, name, a.String(), b.String())
		case reflect.Array:
			for j := range a.Len() {
				compare(t, name, a.Index(j).String(), b.Index(j).String())
			}
		case reflect.Map:
			for _, key := range a.MapKeys() {
				if row := b.MapIndex(key); !row.IsValid() {
					t.Errorf("%s: no Chinese for %v", name, key)
				} else if row.Kind() == reflect.String {
					compare(t, name, a.MapIndex(key).String(), row.String())
				}
			}
		}
	}
}

func compare(t *testing.T, name, en, zh string) {
	t.Helper()
	if en == "" || zh == "" {
		t.Errorf("%s is empty: %q, %q", name, en, zh)
	}
	a, b := verbs.FindAllString(en, -1), verbs.FindAllString(zh, -1)
	slices.Sort(a)
	slices.Sort(b)
	if !slices.Equal(a, b) {
		t.Errorf("%s: %q and %q do not have the same values", name, en, zh)
	}
}

func TestEveryVerdictAndStepHasWords(t *testing.T) {
	for _, v := range []record.Verdict{record.Pass, record.Retry, record.Scrap, record.Quarantine, record.Station} {
		if chinese.verdicts[v] == "" || english.meaning[v] == "" || chinese.meaning[v] == "" {
			t.Errorf("%s has no words", v)
		}
		if _, ok := tonesOf[v]; !ok {
			t.Errorf("%s has no tone", v)
		}
	}
	for _, step := range flow.Procedure(&job.Job{}) {
		for name, l := range map[string]*language{"en": &english, "zh": &chinese} {
			if l.steps[step.ID] == "" {
				t.Errorf("%s: step %s has no title", name, step.ID)
			}
		}
	}
}

// Every fuse of a release or development plan is told in words.
func TestFusesInWords(t *testing.T) {
	for _, c := range []struct{ field, en, zh string }{
		{"WR_DIS bit 7 (BLOCK1)", "BLOCK1 can never be written again", "BLOCK1 永远不能再写入"},
		{"RD_DIS bit 0 (BLOCK1)", "BLOCK1 can never be read again, only used by the chip", "BLOCK1 永远不能再读出，只供芯片内部使用"},
		{"FLASH_CRYPT_CNT", english.fuses["FLASH_CRYPT_CNT"], chinese.fuses["FLASH_CRYPT_CNT"]},
		{"XPD_SDIO_REG", "flash regulator on", "flash regulator on"}, // no job needs it: the words of the table of fuses
	} {
		if got := english.fuse(c.field); got != c.en {
			t.Errorf("%s: got %q, want %q", c.field, got, c.en)
		}
		if got := chinese.fuse(c.field); got != c.zh {
			t.Errorf("%s: got %q, want %q", c.field, got, c.zh)
		}
	}
	fields := map[string]bool{}
	for _, family := range chip.Families {
		for _, f := range family.Efuse.Fields {
			fields[f.Name] = true
		}
	}
	for name := range chinese.fuses {
		if !fields[name] {
			t.Errorf("%s is no fuse of any chip", name)
		}
	}
	for _, family := range chip.Families {
		for name, why := range family.Seal.Why {
			if chinese.reasons[why] == "" {
				t.Errorf("%s: %q is not told in Chinese", name, why)
			}
		}
	}
	line := PlanLine{FuseChange: record.FuseChange{Field: "WR_DIS bit 8 (BLOCK2)"}, Why: chip.ESP32.Seal.Why["WR_DIS.8"]}
	if got := english.planned(line); got != "BLOCK2 can never be written again; ESP-IDF's release check of secure boot wants it" {
		t.Errorf("got %q", got)
	}
	if got := chinese.value("device key (derived)"); got != "设备密钥 (derived)" {
		t.Errorf("got %q", got)
	}
}

func TestUnknownLanguageAndCode(t *testing.T) {
	if m := New(Config{Language: "eo"}, renderer(0)); m.lang != &english {
		t.Error("an unknown language is not English")
	}
	s := &board.SlotStatus{Verdict: record.Retry, Code: "E-NEW", Message: "Something new.", Action: "Look."}
	if what, do := chinese.sentence(s); what != "Something new." || do != "Look." {
		t.Errorf("a code without a row: got %q, %q; want the flow's own words", what, do)
	}
}

// A device that passed without a label says so in its slot, in both languages.
func TestMissingLabelIsSaid(t *testing.T) {
	kind, done := flow.FailureOf(flow.LabelMissing), passed("1")
	missing := flow.Event{Time: morning, Event: flow.LabelFailed, Slot: "1", MAC: done.MAC, Code: kind.Code, Message: kind.Sentence, Action: kind.Action}
	for name, words := range map[string][2]string{"en": {kind.Sentence, kind.Action}, "zh": chineseFailures[flow.LabelMissing]} {
		m := screen(t, Config{Language: name}, 80, 24)
		send(m, started("1"), done)
		mustHide(t, m, words[0])
		send(m, missing)
		mustShow(t, m, words[0], words[1], "E-LABEL")
	}
}
