package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/job"
)

// The list has every family, and a job may name those that it calls sealed and
// no other.
func TestChips(t *testing.T) {
	say := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		cmd := chipsCommand()
		cmd.SetArgs(args)
		cmd.SetOut(&out)
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	text := say()
	var list chipsAnswer
	if err := json.Unmarshal([]byte(say("--json")), &list); err != nil || len(list.Chips) != len(chip.Families) {
		t.Fatalf("%d of %d chips, %v", len(list.Chips), len(chip.Families), err)
	}
	for _, s := range list.Chips {
		if !strings.Contains(text, s.Title+" ") || !strings.Contains(text, s.Key) {
			t.Errorf("%s is not in\n%s", s.Title, text)
		}
		_, err := job.Parse("job.toml", fmt.Appendf(nil, "chip = %q\n", s.Name))
		if refused := strings.Contains(fmt.Sprint(err), fmt.Sprintf("%q is not known; write one of ", s.Name)); refused != (s.State == chip.StateTabled) {
			t.Errorf("%s is %s: %v", s.Name, s.State, err)
		}
	}
}
