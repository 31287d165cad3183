package words

import (
	"slices"
	"testing"

	"station/internal/board"
	"station/internal/flow"
	"station/internal/job"
	"station/internal/record"
	"station/internal/words/wordstest"
)

// Every code that can come up has its sentence and action in Chinese, and no
// row is left over from a code that is gone.
func TestEveryFailureIsInChinese(t *testing.T) {
	known := map[flow.Code]bool{}
	for _, k := range flow.Failures {
		known[k.Code] = true
		row, ok := Chinese.Failures[k.Code]
		if !ok {
			t.Errorf("%s (%s) has no Chinese row", k.Code, k.Sentence)
			continue
		}
		for _, text := range row {
			if !wordstest.Chinese(text) || !slices.Contains([]rune("。！？"), []rune(text)[len([]rune(text))-1]) {
				t.Errorf("%s: %q is not a Chinese sentence", k.Code, text)
			}
		}
	}
	for code := range Chinese.Failures {
		if !known[code] {
			t.Errorf("%s is no failure any more", code)
		}
	}
}

func TestEveryVerdictAndStepHasWords(t *testing.T) {
	for _, v := range []record.Verdict{record.Pass, record.Retry, record.Scrap, record.Quarantine, record.Station} {
		if Chinese.Verdicts[v] == "" || English.Meaning[v] == "" || Chinese.Meaning[v] == "" {
			t.Errorf("%s has no words", v)
		}
		if _, ok := TonesOf[v]; !ok {
			t.Errorf("%s has no tone", v)
		}
	}
	for _, step := range flow.Procedure(&job.Job{}) {
		for name, l := range map[string]*Language{"en": &English, "zh": &Chinese} {
			if l.Steps[step.ID] == "" {
				t.Errorf("%s: step %s has no title", name, step.ID)
			}
		}
	}
}

func TestUnknownCode(t *testing.T) {
	s := &board.SlotStatus{Verdict: record.Retry, Code: "E-NEW", Message: "Something new.", Action: "Look."}
	if what, do := Chinese.Sentence(s); what != "Something new." || do != "Look." {
		t.Errorf("a code without a row: got %q, %q; want the flow's own words", what, do)
	}
}

func TestLanguagesAreComplete(t *testing.T) {
	wordstest.Complete(t, English, Chinese)
}
