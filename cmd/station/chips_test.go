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

// The list has every family. A job may name any; the leave to burn what is only
// tabled belongs to those that the list calls so, and to no other.
func TestChips(t *testing.T) {
	say := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		cmd := chipsCommand()
		cmd.SetArgs(append([]string{}, args...)) // nil means those of the tests
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
		_, err := job.Parse("job.toml", fmt.Appendf(nil, "chip = { name = %q, allow_tabled = true }\n", s.Name))
		if strings.Contains(fmt.Sprint(err), "is not known") {
			t.Errorf("%s is not known: %v", s.Name, err)
		}
		if refused := strings.Contains(fmt.Sprint(err), "chip.allow_tabled: the "+s.Title+" is proved; leave it out"); refused != (s.State == chip.StateProved) {
			t.Errorf("%s is %s: %v", s.Name, s.State, err)
		}
	}
}
