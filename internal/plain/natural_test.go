package plain

import (
	"slices"
	"strings"
	"testing"
)

func TestNatural(t *testing.T) {
	got := strings.Fields("B1 10 A10 2 A2 1 A2b left ttyUSB10 ttyUSB9 02")
	slices.SortFunc(got, Natural)
	if want := "1 02 2 10 A2 A2b A10 B1 left ttyUSB9 ttyUSB10"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
