package tui

import (
	"math"
	"strconv"
	"testing"

	"github.com/muesli/termenv"
)

// Each tone has its own word, sign, frame and colour, and every sign and edge
// is one cell wide, in UTF-8 and in ASCII.
func TestTonesDiffer(t *testing.T) {
	type set map[string]tone
	signs, frames, colours, ascii := set{}, set{}, set{}, set{}
	for i, l := range looks {
		for _, frame := range []string{l.frame, l.frameASCII} {
			if n := len([]rune(frame)); n != 8 || width(frame) != 8 {
				t.Errorf("tone %d: frame %q has %d characters and %d cells, want 8", i, frame, n, width(frame))
			}
		}
		if tone(i) == idle || tone(i) == working || tone(i) == scanning {
			continue // these say with words what goes on; their frames are the same
		}
		for _, c := range []struct {
			of    set
			value string
		}{{signs, l.Sign}, {frames, l.frame}, {colours, l.paper().rgb}, {colours, l.paper().c256}, {colours, "16:" + l.paper().c16}, {ascii, l.signASCII}} {
			if other, ok := c.of[c.value]; ok {
				t.Errorf("tones %d and %d share %q", i, other, c.value)
			}
			c.of[c.value] = tone(i)
		}
	}
}

type rgb [3]float64

func parse(t *testing.T, s string) rgb {
	t.Helper()
	v, err := strconv.ParseUint(s[1:], 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	linear := func(b uint64) float64 {
		c := float64(b&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return rgb{linear(v >> 16), linear(v >> 8), linear(v)}
}

func (c rgb) luminance() float64 { return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2] }

// WCAG 2 asks for 4.5 to 1.
func TestWordsCanBeRead(t *testing.T) {
	for i, l := range looks {
		a, b := parse(t, l.paper().rgb).luminance(), parse(t, l.ink().rgb).luminance()
		if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < 4.5 {
			t.Errorf("tone %d: contrast %.1f, want 4.5", i, ratio)
		}
	}
}

// The verdicts' colours stay apart for every kind of colour vision. The
// matrices are those of Machado, Oliveira and Fernandes, "A Physiologically-based
// Model for Simulation of Color Vision Deficiency" (2009), at full severity.
func TestColoursForEveryEye(t *testing.T) {
	eyes := map[string][3]rgb{
		"normal":       {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
		"protanopia":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
		"deuteranopia": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
		"tritanopia":   {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
	}
	for eye, matrix := range eyes {
		for a := held; a < tones; a++ {
			for b := a + 1; b < tones; b++ {
				d := distance(seen(matrix, parse(t, looks[a].paper().rgb)), seen(matrix, parse(t, looks[b].paper().rgb)))
				if d < 15 {
					t.Errorf("%s: tones %d and %d are %.0f apart, want 15", eye, a, b, d)
				}
			}
		}
	}
}

func seen(m [3]rgb, c rgb) rgb {
	var out rgb
	for i, row := range m {
		out[i] = max(0, row[0]*c[0]+row[1]*c[1]+row[2]*c[2])
	}
	return out
}

// distance is CIE76 in L*a*b*: 2.3 is just noticeable.
func distance(a, b rgb) float64 {
	x, y := lab(a), lab(b)
	return math.Sqrt(math.Pow(x[0]-y[0], 2) + math.Pow(x[1]-y[1], 2) + math.Pow(x[2]-y[2], 2))
}

func lab(c rgb) rgb {
	f := func(v float64) float64 {
		if v > 0.008856 {
			return math.Cbrt(v)
		}
		return 7.787*v + 16.0/116
	}
	x := f((0.4124*c[0] + 0.3576*c[1] + 0.1805*c[2]) / 0.9505)
	y := f(c.luminance())
	z := f((0.0193*c[0] + 0.1192*c[1] + 0.9505*c[2]) / 1.089)
	return rgb{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

func TestPaint(t *testing.T) {
	s := newStyles(renderer(termenv.ANSI), false, false)
	if got := s.bold.s("x"); got != "\x1b[1mx\x1b[0m" {
		t.Errorf("bold: got %q", got)
	}
	if got := s.bold.s(""); got != "" {
		t.Errorf("nothing in bold: got %q", got)
	}
	if got := newStyles(renderer(termenv.Ascii), false, false).bold.s("x"); got != "x" {
		t.Errorf("bold without any colours: got %q", got)
	}
}
