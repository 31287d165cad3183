package tui

import (
	"strings"

	"github.com/charmbracelet/lipgloss"

	"station/internal/words"
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

// palette has the colours for terminals with fewer colours.
var palette = map[string]colour{
	words.Black:      {words.Black, "16", "0"},
	words.White:      {words.White, "231", "15"},
	words.Grey:       {words.Grey, "246", "7"},
	words.Green:      {words.Green, "36", "2"},
	words.Yellow:     {words.Yellow, "227", "3"},
	words.Vermillion: {words.Vermillion, "166", "1"},
	words.Purple:     {words.Purple, "175", "5"},
	words.Blue:       {words.Blue, "25", "4"},
	words.Sky:        {words.Sky, "74", "6"},
	words.Orange:     {words.Orange, "214", "15"},
}

// tone is what a tile says at a glance.
type tone = words.Tone

const (
	idle       = words.Idle
	working    = words.Working
	scanning   = words.Scanning
	held       = words.Held
	pass       = words.Pass
	retry      = words.Retry
	scrap      = words.Scrap
	quarantine = words.Quarantine
	station    = words.Station
	tones      = words.Tones
)

// appearance is how a tone differs from all others on a terminal. Signs and frames
// keep to characters that the Linux console and Windows consoles have too.
type appearance struct {
	words.Look
	signASCII         string
	frame, frameASCII string // corners and edges: ┌─┐││└─┘
	glyph             string // the sign in block letters
}

var looks = [tones]appearance{
	idle:       {words.Looks[idle], "o", "┌─┐││└─┘", "+-+||+-+", ""},
	working:    {words.Looks[working], ">", "┌─┐││└─┘", "+-+||+-+", ""},
	scanning:   {words.Looks[scanning], "?", "┌─┐││└─┘", "+-+||+-+", ""},
	held:       {words.Looks[held], "!!", "▄▄▄██▀▀▀", "!!!!!!!!", ""},
	pass:       {words.Looks[pass], "ok", "╔═╗║║╚═╝", "========", "v"},
	retry:      {words.Looks[retry], "<", "┌ ┐  └ ┘", "+ +  + +", "r"},
	scrap:      {words.Looks[scrap], "x", "××××××××", "xxxxxxxx", "x"},
	quarantine: {words.Looks[quarantine], "^", "////////", "////////", "q"},
	station:    {words.Looks[station], "#", "▒▒▒▒▒▒▒▒", "########", "s"},
}

// inks16 are the inks that can be read on the 16-colour papers.
var inks16 = map[string]string{"1": "15", "4": "15", "5": "15"}

func (l appearance) paper() colour { return palette[l.Paper] }

func (l appearance) ink() colour {
	ink := palette[l.Ink]
	if c, ok := inks16[l.paper().c16]; ok {
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
	s.dim = paintOf(ink(palette[words.Grey]))
	s.title = paintOf(ink(palette[words.Sky]).Bold(true))
	s.key = paintOf(r.NewStyle().Reverse(true))
	s.selected = s.key
	s.bar = paintOf(ink(palette[words.Sky]))
	s.alarm = paintOf(on(looks[scrap].paper(), looks[scrap].ink()).Bold(true))
	s.simulation = paintOf(on(palette[words.Sky], palette[words.Black]).Bold(true))
	for i, l := range looks {
		t := toneStyle{sign: l.Sign, glyph: l.glyph, frame: frameOf(l.frame), fill: l.Fill}
		if ascii {
			t.sign, t.frame = l.signASCII, frameOf(l.frameASCII)
		}
		t.paper = paintOf(on(l.paper(), l.ink()))
		t.strong = paintOf(on(l.paper(), l.ink()).Bold(true))
		t.edge = paintOf(ink(l.paper()))
		if l.Fill {
			t.edge = t.paper
		}
		s.tone[i] = t
	}
	return s
}
