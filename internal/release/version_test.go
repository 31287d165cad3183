package release

import (
	"strings"
	"testing"
)

// The component for devices reads the same cases, so a device accepts as newer what the
// server offers as newer.
func TestVersions(t *testing.T) {
	names := map[int]string{-1: "older", 0: "same", 1: "newer"}
	cases := 0
	for line := range strings.Lines(string(read(t, "../../device/secure_ota/test/data/versions.txt"))) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if len(words) != 3 {
			t.Fatalf("%q: want a version, a word and a version", line)
		}
		a, want, b := strings.TrimPrefix(words[0], "-"), words[1], strings.TrimPrefix(words[2], "-")
		order, clear := compareVersions(a, b)
		back, clearBack := compareVersions(b, a)
		got := names[order]
		if !clear {
			got = "unclear"
		}
		if got != want || order != -back || clear != clearBack || older(a, b) != (want == "older") {
			t.Errorf("%q and %q: got %s (and back %d, %t), want %s", a, b, got, back, clearBack, want)
		}
		cases++
	}
	if cases < 40 {
		t.Errorf("%d cases", cases)
	}
}

// No version is older than itself, and of two never both.
func FuzzVersions(f *testing.F) {
	f.Add("1.2-3-gabc", "1.2-rc1+b")
	f.Add("v1.", "99999999999999999999")
	f.Fuzz(func(t *testing.T, a, b string) {
		if older(a, a) || older(a, b) && older(b, a) {
			t.Errorf("%q and %q", a, b)
		}
	})
}
