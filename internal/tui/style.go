package tui

import (
	"strings"

	"github.com/charmbracelet/lipgloss"

	"station/internal/record"
)

// paint is a style ready for use: what to write before and after a text. It
// makes a frame of 32 tiles a matter of joining strings.
type paint struct{ on, off string }

func (p paint) s(text string) string {
	if text == "" || p.on == "" {
		return text
	}
	return p.on + text + p.off
}

func paintOf(style lipgloss.Style) paint {
	on, off, _ := strings.Cut(style.Render("x"), "x")
	return paint{on, off}
}

// colour is one colour for true-colour, 256-colour and 16-colour terminals.
type colour struct{ rgb, c256, c16 string }

func (c colour) of() lipgloss.TerminalColor {
	return lipgloss.CompleteColor{TrueColor: c.rgb, ANSI256: c.c256, ANSI: c.c16}
}

// The palette is Okabe and Ito's, made for every kind of colour vision ("Color
// Universal Design", 2008). No two tones share a colour, and red-like means
// that the device leaves the line.
var (
	black      = colour{"#000000", "16", "0"}
	white      = colour{"#FFFFFF", "231", "15"}
	grey       = colour{"#949494", "246", "7"}
	green      = colour{"#009E73", "36", "2"}
	yellow     = colour{"#F0E442", "227", "3"}
	vermillion = colour{"#D55E00", "166", "1"}
	purple     = colour{"#CC79A7", "175", "5"}
	blue       = colour{"#0072B2", "25", "4"}
	sky        = colour{"#56B4E9", "74", "6"}
	orange     = colour{"#E69F00", "214", "15"}
)

// tone is what a tile says at a glance.
type tone int

const (
	idle tone = iota
	working
	scanning // waits for a serial number
	held     // do not unplug
	pass
	retry
	scrap
	quarantine
	station
	tones
)

// appearance is how a tone differs from all others: its sign, its frame and its
// colour. Signs and frames keep to characters that the Linux console and
// Windows consoles have too.
type appearance struct {
	sign, signASCII   string
	frame, frameASCII string // corners and edges: ┌─┐││└─┘
	glyph             string // the sign in block letters
	paper, ink        colour // of the filled tile
	fill              bool   // the whole tile is painted
}

var looks = [tones]appearance{
	idle:       {"○", "o", "┌─┐││└─┘", "+-+||+-+", "", grey, black, false},
	working:    {"►", ">", "┌─┐││└─┘", "+-+||+-+", "", sky, black, false},
	scanning:   {"?", "?", "┌─┐││└─┘", "+-+||+-+", "", sky, black, false},
	held:       {"!!", "!!", "▄▄▄██▀▀▀", "!!!!!!!!", "", orange, black, false},
	pass:       {record.Pass.Sign(), "ok", "╔═╗║║╚═╝", "========", "v", green, black, true},
	retry:      {record.Retry.Sign(), "<", "┌ ┐  └ ┘", "+ +  + +", "r", yellow, black, true},
	scrap:      {record.Scrap.Sign(), "x", "××××××××", "xxxxxxxx", "x", vermillion, black, true},
	quarantine: {record.Quarantine.Sign(), "^", "////////", "////////", "q", purple, black, true},
	station:    {record.Station.Sign(), "#", "▒▒▒▒▒▒▒▒", "########", "s", blue, white, true},
}

// inks16 are the inks that can be read on the 16-colour papers.
var inks16 = map[string]string{"1": "15", "4": "15", "5": "15"}

func (l appearance) inkOf() colour {
	ink := l.ink
	if c, ok := inks16[l.paper.c16]; ok {
		ink.c16 = c
	}
	return ink
}

// frame is what is drawn around a tile.
type frame struct{ tl, t, tr, l, r, bl, b, br string }

func frameOf(runes string) frame {
	p := strings.Split(runes, "")
	return frame{p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]}
}

// signs are the small characters of the screen.
type signs struct {
	full, empty, dot, here, hollow, sep, ellipsis, arrow, mark, times, changed string
}

var (
	signsUTF8  = signs{"█", "░", "■", "►", "·", " │ ", "…", "→", "►", "×", "◄"}
	signsASCII = signs{"#", ".", "*", ">", "o", " | ", "~", "->", ">", "x", "<"}
)

// styles are everything that View draws with.
type styles struct {
	ascii             bool
	signs             signs
	bold, dim         paint
	title, alarm, key paint
	simulation        paint
	selected          paint
	bar               paint
	tone              [tones]toneStyle
}

type toneStyle struct {
	sign, glyph string
	frame       frame
	fill        bool
	paper       paint // filled with the tone's colour
	strong      paint // the same in bold
	edge        paint // the frame
}

func newStyles(r *lipgloss.Renderer, ascii, mono bool) styles {
	s := styles{ascii: ascii, signs: signsUTF8}
	if ascii {
		s.signs = signsASCII
	}
	on := func(paper, ink colour) lipgloss.Style {
		if mono {
			return r.NewStyle().Reverse(true)
		}
		return r.NewStyle().Background(paper.of()).Foreground(ink.of())
	}
	ink := func(c colour) lipgloss.Style {
		if mono {
			return r.NewStyle()
		}
		return r.NewStyle().Foreground(c.of())
	}
	s.bold = paintOf(r.NewStyle().Bold(true))
	s.dim = paintOf(ink(grey))
	s.title = paintOf(ink(sky).Bold(true))
	s.key = paintOf(r.NewStyle().Reverse(true))
	s.selected = s.key
	s.bar = paintOf(ink(sky))
	s.alarm = paintOf(on(vermillion, looks[scrap].inkOf()).Bold(true))
	s.simulation = paintOf(on(sky, black).Bold(true))
	for i, l := range looks {
		t := toneStyle{sign: l.sign, glyph: l.glyph, frame: frameOf(l.frame), fill: l.fill}
		if ascii {
			t.sign, t.frame = l.signASCII, frameOf(l.frameASCII)
		}
		t.paper = paintOf(on(l.paper, l.inkOf()))
		t.strong = paintOf(on(l.paper, l.inkOf()).Bold(true))
		t.edge = paintOf(ink(l.paper))
		if l.fill {
			t.edge = t.paper
		}
		s.tone[i] = t
	}
	return s
}
