package tui

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"station/internal/racetest"
)

func TestTextIsMeasuredInCells(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{fit("设备", 6), "设备  "},
		{fit("设备没有", 5), "设备 "}, // a wide character is not cut in half
		{fit("\x1b[1mab\x1b[m", 4), "\x1b[1mab\x1b[m  "},
		{center("设备", 8), "  设备  "},
		{center("abc", 6), " abc  "},
		{sides("a", "b", 5), "a   b"},
		{sides("abcd", "xyz", 7), "abcd   "},
		{cut("请把设备放到一边", 7, "…"), "请把设…"},
		{cutLeft("left front socket 12", 6, "…"), "…et 12"},
		{cutLeft("slot 12", 7, "…"), "slot 12"},
		{cutLeft("slot 12", 0, "…"), ""},
		{joined([]string{"a", "", "b", "ccc"}, ", ", 5), "a, b"},
		{some([]string{"a", "", "b", "ccc"}, ", ", "~", 9), "a, b, ccc"},
		{some([]string{"a", "", "b", "ccc"}, ", ", "~", 8), "a, b ~"},
		{some([]string{"a", "", "b", "ccc"}, ", ", "~", 5), "a ~"},
		{clean("a\x1b[31mb\x07\tc\x9b"), `ab\u0007 c`},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text string
		w, n int
		want []string
	}{
		{"Set the device aside for an engineer.", 20, 3, []string{"Set the device aside", "for an engineer."}},
		{"Set the device aside for an engineer.", 20, 1, []string{"Set the device asid…"}},
		{"请把设备放到一边，交给工程师。", 16, 2, []string{"请把设备放到一边", "，交给工程师。"}},
		{"Devices failed alike. E-BOOT-MARKER. Call.", 30, 2, []string{"Devices failed alike.", "E-BOOT-MARKER. Call."}},
		{"fits", 20, 1, []string{"fits"}},
		{"", 20, 2, nil},
		{"text", 0, 2, nil},
		{"text", 4, 0, nil},
	} {
		if got := wrap(c.text, c.w, c.n, "…"); !slices.Equal(got, c.want) {
			t.Errorf("%q in %d×%d: got %q, want %q", c.text, c.w, c.n, got, c.want)
		}
	}
}

func TestGlyphs(t *testing.T) {
	for r, g := range glyphs {
		for _, row := range g {
			if len(row) != len(g[0]) || strings.Trim(row, "# ") != "" {
				t.Errorf("glyph %q has a bad row %q", r, row)
			}
		}
	}
	for _, text := range []string{"PASS", "RETRY", "SCRAP", "QUARANTINE", "STATION", "DO NOT UNPLUG", "READY", "0123456789%", "vrxqs"} {
		for _, r := range text {
			if _, ok := glyphs[r]; !ok {
				t.Errorf("no glyph for %q of %q", r, text)
			}
		}
	}
}

// big draws a text in block letters as large as w cells and h lines allow, or
// nothing where even the smallest does not fit.
func big(text string, w, h int, ascii bool) []string {
	return fitting(text, w, h, ascii).draw(text, ascii)
}

// Block letters never leave their room, and more room never makes them smaller.
func TestBigFits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var cases racetest.Sample
	for range 2000 {
		if cases.Out(10) {
			continue
		}
		w, h, ascii := rng.IntN(200), rng.IntN(40), rng.IntN(2) == 0
		text := []string{"PASS", "QUARANTINE", "s STATION"}[rng.IntN(3)]
		lines := big(text, w, h, ascii)
		if len(lines) > h {
			t.Fatalf("%s in %d×%d: %d lines", text, w, h, len(lines))
		}
		for _, l := range lines {
			if width(l) > w || width(l) != width(lines[0]) {
				t.Fatalf("%s in %d×%d: a line of %d cells", text, w, h, width(l))
			}
			if ascii && utf8.RuneCountInString(l) != len(l) {
				t.Fatalf("%s: not ASCII: %q", text, l)
			}
		}
		if larger := big(text, w+1, h+1, ascii); len(larger) < len(lines) {
			t.Fatalf("%s: %d lines in %d×%d, %d in one more", text, len(lines), w, h, len(larger))
		}
	}
	if got := big("PASS", 23, 3, false); len(got) != 3 {
		t.Errorf("the smallest PASS has %d lines, want 3", len(got))
	}
	if got := big("PASS", 22, 30, false); got != nil {
		t.Errorf("a PASS that does not fit was drawn: %q", got)
	}
}
