package main

import (
	"encoding/xml"
	"io"
	"os"
	"strings"
	"testing"
)

// The pictures in the documents are what the program draws today.
func TestPicturesAreUpToDate(t *testing.T) {
	pictures, err := draw("../../../fixtures/events")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range pictures {
		got, err := os.ReadFile("../../../docs/screens/" + name + ".svg")
		if err != nil || string(got) != want {
			t.Errorf("docs/screens/%s.svg is old (%v); run: go run ./internal/tui/shot fixtures/events docs/screens", name, err)
		}
		if err := wellFormed(want); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func wellFormed(s string) error {
	d := xml.NewDecoder(strings.NewReader(s))
	for {
		if _, err := d.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestParse(t *testing.T) {
	spans, err := parse("ab\x1b[1;38;2;213;94;0;48;2;0;0;0m报<\x1b[0m c\x1b[7md\x1b[m")
	if err != nil {
		t.Fatal(err)
	}
	want := []span{
		{pen{}, 0, 2, "ab"},
		{pen{"#d55e00", "#000000", true, false}, 2, 3, "报<"},
		{pen{}, 5, 2, " c"},
		{pen{reverse: true}, 7, 1, "d"},
	}
	if len(spans) != len(want) {
		t.Fatalf("got %+v", spans)
	}
	for i := range want {
		if spans[i] != want[i] {
			t.Errorf("span %d: got %+v, want %+v", i, spans[i], want[i])
		}
	}
	if fg, bg := spans[3].colours(); fg != background || bg != foreground {
		t.Errorf("reverse: got %s on %s", fg, bg)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, line := range []string{"\x1b[31mx", "\x1b[38;5;3mx", "\x1b[38;2;1;2mx", "\x1b[38;2;1;2;300mx", "\x1b[2Kx", "\x1b[1"} {
		if spans, err := parse(line); err == nil {
			t.Errorf("%q: got %+v, want an error", line, spans)
		}
	}
	if _, err := svg("ok\n\x1b[99m", "x"); err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
		t.Errorf("got %v, want the line", err)
	}
}

// Text is stretched to its cells, blocks are rectangles, markup is escaped.
func TestSVG(t *testing.T) {
	got, err := svg("a<█▄", "t&t")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`viewBox="0 0 33.6 16"`, `<title>t&amp;t</title>`, `textLength="16.8" xml:space="preserve">a&lt;</text>`,
		`<rect x="16.8" y="0" width="8.4" height="16" fill="#e6e6e6"`, `<rect x="25.2" y="8" width="8.4" height="8"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the picture lacks %s:\n%s", want, got)
		}
	}
}
