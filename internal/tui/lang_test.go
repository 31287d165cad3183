package tui

import (
	"testing"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/record"
	"station/internal/words/wordstest"
)

// Both languages say everything, with the same values in it.
func TestLanguagesAreComplete(t *testing.T) { wordstest.Complete(t, english, chinese) }

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

func TestUnknownLanguage(t *testing.T) {
	if m := New(Config{Language: "eo"}, renderer(0)); m.lang != &english {
		t.Error("an unknown language is not English")
	}
}

// A device that passed without a label says so in its slot, in both languages.
func TestMissingLabelIsSaid(t *testing.T) {
	kind, done := flow.FailureOf(flow.LabelMissing), passed("1")
	missing := flow.Event{Time: morning, Event: flow.LabelFailed, Slot: "1", MAC: done.MAC, Code: kind.Code, Message: kind.Sentence, Action: kind.Action}
	for name, words := range map[string][2]string{"en": {kind.Sentence, kind.Action}, "zh": chinese.Failures[flow.LabelMissing]} {
		m := screen(t, Config{Language: name}, 80, 24)
		send(m, started("1"), done)
		mustHide(t, m, words[0])
		send(m, missing)
		mustShow(t, m, words[0], words[1], "E-LABEL")
	}
}
