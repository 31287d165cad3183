package tui

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/muesli/termenv"

	"station/internal/board"
	"station/internal/flow"
	"station/internal/racetest"
	"station/internal/record"
	"station/internal/words"
)

// slotNames are names as fixtures have them.
var slotNames = map[string]func(i int) string{
	"number":  func(i int) string { return fmt.Sprint(i + 1) },
	"letters": func(i int) string { return fmt.Sprintf("A-%d", i+1) },
	"Chinese": func(i int) string { return fmt.Sprintf("左%d", i+1) },
	"long":    func(i int) string { return fmt.Sprintf("left front socket %d", i+1) },
}

// stateLine is a line whose slots are in every state, verdicts among them.
func stateLine(n int, name func(int) string) (out eventsMsg) {
	ready := flow.Event{Time: morning, Event: flow.LineReady, Steps: []flow.StepID{"connect", "flash", "burn-key"}}
	for i := range n {
		ready.Slots = append(ready.Slots, name(i))
	}
	out = append(out, ready)
	verdicts := []record.Verdict{record.Pass, record.Quarantine, record.Retry, record.Scrap, record.Station}
	for i, name := range ready.Slots {
		mac := [6]byte{0x24, 0x0a, 0xc4, 0, 0, byte(i)}
		switch kind := i % 8; kind {
		case 5: // stays empty
		case 6:
			out = append(out, flow.Event{Time: morning, Event: flow.StepStarted, Slot: name, MAC: mac, Step: "flash", Total: 1e6},
				flow.Event{Time: morning, Event: flow.StepProgress, Slot: name, MAC: mac, Step: "flash", Percent: 45, Bytes: 45e4, Total: 1e6})
		case 7:
			out = append(out, flow.Event{Time: morning, Event: flow.StepStarted, Slot: name, MAC: mac, Step: "burn-key", Burning: true})
		default:
			e := failed(name)
			e.Verdict, e.MAC = verdicts[kind], mac
			if e.Verdict == record.Pass {
				e.Event, e.Code = flow.DevicePassed, ""
			}
			out = append(out, started(name), e)
		}
	}
	return out
}

// A code is whole, or a mark says that it is not.
func TestCodesAreWholeOrMarked(t *testing.T) {
	const code = "E-FUSES-NOT-AS-PLANNED-AND-LONG" // longer than any
	whole := 0
	for _, ascii := range []bool{false, true} {
		mark := pick(ascii, "~", "…")
		for _, n := range []int{1, 2, 8, 32} {
			events := stateLine(n, slotNames["number"])
			for i := range events {
				if events[i].Code != "" {
					events[i].Code = code
				}
			}
			for _, size := range [][2]int{{40, 20}, {60, 20}, {80, 24}, {160, 48}} {
				m := New(Config{ASCII: ascii}, renderer(termenv.Ascii))
				send(m, tea.WindowSizeMsg{Width: size[0], Height: size[1]}, events)
				for _, line := range strings.Split(m.View(), "\n") {
					for rest := line; strings.Contains(rest, "E-"); {
						_, rest, _ = strings.Cut(rest, "E-")
						switch shown := "E-" + rest; {
						case strings.HasPrefix(shown, code):
							whole++
						case regexp.MustCompile(`^[A-Z-]*`+mark).MatchString(shown) && strings.HasPrefix(code, regexp.MustCompile(`^[A-Z-]*`).FindString(shown)):
						default:
							t.Errorf("%d slots in %v, ASCII %t: a code is cut without a mark: %q", n, size, ascii, line)
						}
					}
				}
			}
		}
	}
	if whole == 0 {
		t.Error("no code was shown")
	}
}

// A terminal without UTF-8 has a word for the tick.
func TestTickInASCII(t *testing.T) {
	for ascii, want := range map[bool]string{true: "ok PASS", false: record.Pass.Sign() + " PASS"} {
		m := New(Config{ASCII: ascii}, renderer(termenv.Ascii))
		send(m, tea.WindowSizeMsg{Width: 80, Height: 24}, stateLine(32, slotNames["number"]))
		mustShow(t, m, want)
	}
}

// In every size, language and name: slot and verdict are the largest things in
// a tile and are never cut, and neither a device that passed nor a free slot is
// shown larger than a device that did not pass.
func TestSlotAndVerdictAreTheLargest(t *testing.T) {
	var cases racetest.Sample
	for _, cfg := range []Config{{}, {Language: "zh"}, {ASCII: true}} {
		for kind, name := range slotNames {
			for _, n := range []int{1, 2, 4, 6, 8, 16, 32} {
				for _, w := range []int{60, 80, 107, 160, 200} {
					for _, h := range []int{20, 24, 34, 60} {
						if cases.Out(17) {
							continue
						}
						m := screen(t, cfg, w, h)
						send(m, stateLine(n, name))
						checkTiles(t, m, fmt.Sprintf("%d slots, %s, %d×%d, %q, ASCII %v", n, kind, w, h, cfg.Language, cfg.ASCII))
					}
				}
			}
		}
	}
}

func checkTiles(t *testing.T, m *Model, what string) {
	t.Helper()
	g, body := m.grid(), m.bodyHeight()
	most := m.limits(g, body)
	largest, least, signs, spelt := scale{}, scale{99, 99}, false, false
	for i := range g.n {
		s, b := m.status.Slots[g.first+i], m.box(g, body, i)
		if b.most = most; !b.framed {
			checkStrip(t, m, s, b, what)
			continue
		}
		var rows []string
		for _, l := range m.inside(s, b.w-4, b.h-2, most) {
			if width(l.text) > b.w-4 {
				t.Fatalf("%s: slot %s: %q is cut", what, s.Name, l.text)
			}
			rows = append(rows, strings.TrimSpace(l.text))
		}
		text, size := readTile(m, s, rows)
		said := strings.Join(rows, "\n")
		name, word := text, text+said
		if !strings.HasPrefix(name, letter(s)) || letter(s) == "" || text == "" {
			name = said
		}
		named := strings.Contains(name, s.Name) || letter(s) != "" && strings.HasPrefix(name, letter(s)) ||
			text == "" && (strings.HasPrefix(said, m.style.signs.ellipsis) || s.Busy || s.Verdict == "")
		if !named {
			t.Fatalf("%s: slot %s is not named large: %q\n%s", what, s.Name, text, m.View())
		}
		if want := wordOf(m, s); !strings.Contains(word, want) && !(s.Held && strings.Contains(word, m.lang.holdShort)) {
			t.Fatalf("%s: slot %s does not say %s\n%s", what, s.Name, want, m.View())
		}
		roomy := b.h-2 > leastLetters+1 && fitting(letter(s)+" "+m.style.tone[words.ToneOf(s)].glyph, b.w-4, leastLetters, m.style.ascii).x > 0
		if text == "" && roomy && !s.Busy && (s.Verdict != "" && s.Verdict != record.Pass || most == noLimit) && letter(s) != "" {
			t.Fatalf("%s: slot %s has room for block letters\n%s", what, s.Name, m.View())
		}
		switch sign := !strings.Contains(text, string(s.Verdict)); {
		case s.Busy:
		case s.Verdict == "" || s.Verdict == record.Pass:
			largest = scale{max(largest.x, size.x), max(largest.y, size.y)}
			spelt = spelt || !sign && s.Verdict != ""
		default:
			least, signs = least.atMost(size), signs || sign
		}
	}
	if least.x < 99 && (largest.x > least.x || largest.y > least.y || signs && spelt) {
		t.Fatalf("%s: PASS or READY is drawn in %+v, a worse verdict in %+v; sign alone %v\n%s", what, largest, least, signs, m.View())
	}
}

// wordOf is what a slot has to say about its state.
func wordOf(m *Model, s *board.SlotStatus) string {
	switch {
	case s.Held:
		return "UNPLUG"
	case s.Busy:
		return ""
	case s.Verdict == "":
		return m.lang.Ready
	}
	return string(s.Verdict)
}

// checkStrip looks at a slot without a frame: all of it is text of one size.
func checkStrip(t *testing.T, m *Model, s *board.SlotStatus, b box, what string) {
	t.Helper()
	first := m.strip(s, b.w, b.h, b.chosen)[0]
	end := []rune(s.Name)[len([]rune(s.Name))-1:]
	want := wordOf(m, s)
	if s.Held {
		want = m.lang.holdShort
	}
	if !strings.Contains(first, want) || !strings.Contains(first, string(end)) {
		t.Fatalf("%s: slot %s: %q lacks its name or %q", what, s.Name, first, want)
	}
}

// readTile reads the block letters of a tile: a text that may stand there, and
// its size.
func readTile(m *Model, s *board.SlotStatus, rows []string) (text string, size scale) {
	var block []string
	for _, row := range rows {
		if row != "" && strings.Trim(row, "█▀▄# ") == "" {
			block = append(block, row)
		} else if len(block) > 0 {
			break
		}
	}
	name, st, word := letter(s), m.style.tone[words.ToneOf(s)], string(s.Verdict)
	for _, form := range []string{st.glyph + " " + word, word, st.glyph, "READY", "=45%", "DO NOT", "!!", ""} {
		for _, text := range []string{strings.TrimSpace(name + " " + form), form} {
			for y := 1; y < 30; y++ {
				sc := scale{1, y}
				if text == "" || len(block) == 0 || sc.lines() != len(block) {
					continue
				}
				for sc.x = 1; sc.x < 9; sc.x++ {
					if same(sc.draw(text, m.style.ascii), block) {
						return text, sc
					}
				}
			}
		}
	}
	return "", scale{}
}

// same compares rows that may stand more to the right.
func same(drawn, block []string) bool {
	for i := range drawn {
		if strings.TrimSpace(drawn[i]) != block[i] {
			return false
		}
	}
	return true
}

// To choose a slot takes its device's MAC from no tile: that of a narrow one has
// no room to spare.
func TestAChosenTileKeepsItsMAC(t *testing.T) {
	for _, cfg := range []Config{{}, {Language: "zh"}, {ASCII: true}} {
		for kind, name := range slotNames {
			m := screen(t, cfg, 160, 48)
			send(m, stateLine(8, name))
			s := m.status.Slots[7] // at work
			told := 0
			for w := framedWidth; w < 70; w++ {
				shows := func(chosen bool) bool {
					edge := m.tile(s, box{w: w, h: 6, framed: true, chosen: chosen})[0]
					if width(edge) != w {
						t.Errorf("%s, %d wide: %q", kind, w, edge)
					}
					return strings.Contains(edge, s.MAC.String())
				}
				if shows(false) != shows(true) {
					t.Errorf("%s, %d wide, ASCII %v: the chosen tile has another edge", kind, w, cfg.ASCII)
				} else if shows(true) {
					told++
				}
			}
			if told == 0 {
				t.Errorf("%s: no tile shows a MAC", kind)
			}
		}
	}
}
