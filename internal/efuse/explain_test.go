package efuse

import "testing"

func TestExplain(t *testing.T) {
	plan, err := New(Options{Mode: Release, KeyPolicy: "derived"})
	if err != nil {
		t.Fatal(err)
	}
	var blank, now Image
	blank.words[1] = 0xc4010203
	now.words[1] = 0xc4010203
	now.words[0] = 127 << 20
	before := Redact(blank)
	if err := plan.Only(StageCount).Explain(before, now); err != nil {
		t.Errorf("the plan's own bits: %v", err)
	}
	if err := plan.Only(StageConfig).Explain(before, now); err == nil {
		t.Error("bits of a stage that was never begun were explained")
	}
	if err := plan.Explain(Redact(now), blank); err == nil {
		t.Error("lost bits were explained")
	}
	now.words[3] = 1 << 3 // DIS_CACHE is in no plan
	if err := plan.Explain(before, now); err == nil {
		t.Error("a stray bit was explained")
	}
}
