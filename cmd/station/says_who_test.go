package main

import (
	"strings"
	"testing"

	"station/internal/station"
)

// Who tells his name on the screen tells one that can be seen whole.
func TestNamesOnTheScreenAreSeen(t *testing.T) {
	w := &works{file: &station.File{}}
	for told, want := range map[string]string{"\u2800": "the name is blank", "anna\u202e": "the name holds U+202E", "anna\x1b": "the name holds U+001B", "李明": ""} {
		name := ""
		err := w.keepName(&name, station.Operator, told)
		if want == "" && (err != nil || name != told) || want != "" && (err == nil || name != "" || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: kept %q, error %v, want %q", told, name, err, want)
		}
	}
}
