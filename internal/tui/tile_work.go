package tui

import (
	"fmt"
	"slices"
	"strings"

	"station/internal/board"
	"station/internal/flow"
	"station/internal/words"
)

// insideWork is a tile whose device is being worked on.
func (m *Model) insideWork(s *board.SlotStatus, w, h int) []line {
	if words.ToneOf(s) == scanning {
		return m.insideScan(s, w, h)
	}
	lines, hand := m.workHead(s, w, h), m.handLines(s, w)
	if s.Waits {
		lines = append(lines, asLines(wrap(m.waitsFor(), w, min(max(h-1, 1), 3), m.style.signs.ellipsis), line{paint: m.style.bold, center: true})...)
	}
	lines = append(lines, line{rank: 9}, line{text: m.stepLine(s, w), paint: m.style.bold})
	lines = append(lines, hand...)
	if s.Total > 0 && !s.Waits { // else all of it is done
		lines = append(lines, line{text: m.bar(s, w), rank: 1}, line{text: m.numbers(s, w), rank: 2})
	}
	if strip := m.steps(s, w); strip != "" {
		lines = append(lines, line{rank: 9}, line{text: strip, rank: 4})
	}
	if m.named(s, w) {
		lines = append(lines, line{text: cutLeft(s.MAC.String(), w, m.style.signs.ellipsis), paint: m.style.dim, rank: 3})
	}
	return ranked(append(lines, m.hintLines(s, w, 2)...), h)
}

// waitsFor says what a device waits for that may not burn yet: nobody's end, where
// the line has stopped.
func (m *Model) waitsFor() string {
	if halt := m.status.Halt; halt != nil && halt.Code == flow.CodeAlike {
		return m.lang.WaitsStopped
	}
	return m.lang.Waits
}

// named reports whether the upper edge of the tile was too short for the MAC.
func (m *Model) named(s *board.SlotStatus, w int) bool {
	return !s.MAC.IsZero() && !m.status.Owes(s.MAC) && w+4-width(s.Name)-2 < len(" 24:0a:c4:00:00:00 ")+6
}

func (m *Model) insideScan(s *board.SlotStatus, w, h int) []line {
	first := m.waiting()
	if s != first {
		text := fmt.Sprintf(m.lang.scanAfter, first.Name)
		later := asLines(wrap(text, w, 3, m.style.signs.ellipsis), line{paint: m.style.dim, center: true})
		// Small letters: only the one that asks is large.
		head := m.head(s, w, min(h-len(later), leastLetters), 1, "", "", "")
		lines := m.drawHead(head, m.style.dim, m.style.bold)
		if head.plain() {
			lines = []line{{text: s.Name, paint: m.style.bold, center: true}}
		}
		return ranked(append(lines, later...), h)
	}
	st := m.style.tone[scanning]
	head := m.head(s, w, h-3, 1, "", m.lang.scanShort, "SCAN", "")
	lines := m.drawHead(head, st.edge, st.strong)
	if head.plain() {
		lines = []line{{text: m.plainWord(s, st.sign+" "+m.lang.scanShort, "", w), paint: st.strong, center: true}}
	}
	lines = append(lines, line{rank: 9})
	for _, text := range wrap(m.lang.ScanNow, w, 2, m.style.signs.ellipsis) {
		lines = append(lines, line{text: text, paint: m.style.bold, center: true, rank: 1})
	}
	return ranked(lines, h)
}

// Lines below the heading: step, bar, numbers and steps.
const belowHead = 6

// workHead is the slot's name in block letters, with how far the work is or,
// while fuses are burned, DO NOT UNPLUG.
func (m *Model) workHead(s *board.SlotStatus, w, h int) []line {
	if s.Held {
		return m.warning(s, w, h)
	}
	room := min(h-belowHead, 7)
	if beside := len(m.handLines(s, w)) + 3; h >= leastLetters+beside { // step, bar and numbers stay
		room = max(room, leastLetters)
	}
	forms := []string{""}
	if s.Total > 0 {
		forms = []string{strings.ReplaceAll(fmt.Sprintf("%3d%%", s.Percent), " ", "="), ""}
	}
	return m.drawHead(m.head(s, w, room, 1, "", "", forms...), m.style.bar, m.style.bold)
}

// warning is DO NOT UNPLUG with the slot's name, in block letters where there
// is room for them.
func (m *Model) warning(s *board.SlotStatus, w, h int) []line {
	st := m.style.tone[held]
	warn := fmt.Sprintf("%s %s %s", st.sign, m.lang.DoNotUnplug, st.sign)
	if width(warn) > w {
		warn = m.lang.holdShort
	}
	out := []line{{text: center(warn, w), paint: st.strong}}
	upper, lower := strings.TrimSpace(letter(s)+" DO NOT"), "UNPLUG"
	room := (h - 4) / 2 // the warning, the step, and space between
	sc := fitting(upper, w, room, m.style.ascii).atMost(fitting(lower, w, room, m.style.ascii))
	var letters []line
	if sc.x > 0 {
		rows := slices.Concat(sc.draw(upper, m.style.ascii), []string{""}, sc.draw(lower, m.style.ascii))
		if letter(s) == "" {
			rows = slices.Concat([]string{s.Name}, rows)
		}
		letters = asLines(rows, line{paint: st.edge, center: true})
	} else {
		letters = m.drawHead(m.head(s, w, min(h-2, 7), 1, "", "", "!!", ""), st.edge, st.strong)
	}
	return append(append(letters, line{rank: 9}), out...)
}

// stepLine is the step in words with how far it is at the right.
func (m *Model) stepLine(s *board.SlotStatus, w int) string {
	st := m.style.tone[working]
	return sides(st.sign+" "+m.lang.StepTitle(s.Step, s.Title), m.far(s), w)
}

// far is the percentage of a step that counts bytes, the time that is left for
// what a hand has to do, and the time that any other step has taken.
func (m *Model) far(s *board.SlotStatus) string {
	switch {
	case s.Total > 0:
		return fmt.Sprintf("%3d %%", s.Percent)
	case m.hand(s) != "" && !s.HandUntil.IsZero():
		return fmt.Sprintf(m.lang.Left, clock(max(s.HandUntil.Sub(m.now), 0)))
	}
	return clock(max(m.now.Sub(s.StepStarted), 0))
}

func (m *Model) bar(s *board.SlotStatus, w int) string {
	full := w * min(max(s.Percent, 0), 100) / 100
	return m.style.bar.s(strings.Repeat(m.style.signs.full, full)) + m.style.dim.s(strings.Repeat(m.style.signs.empty, w-full))
}

// numbers are bytes, rate and time left.
func (m *Model) numbers(s *board.SlotStatus, w int) string {
	parts := []string{fmt.Sprintf("%d / %d kB", s.Bytes/1000, s.Total/1000)}
	if left := s.Left(m.now); left > 0 {
		parts = append(parts, fmt.Sprintf(m.lang.Left, clock(left)), fmt.Sprintf("%.0f kB/s", s.Rate/1000))
	}
	return joined(parts, "  ", w)
}

// steps is the procedure as a row of signs: done, here, still to come.
func (m *Model) steps(s *board.SlotStatus, w int) string {
	n := len(m.status.Steps)
	here := slices.Index(m.status.Steps, s.Step)
	if here < 0 {
		return ""
	}
	words := fmt.Sprintf(m.lang.Step, here+1, n)
	row := strings.Repeat(m.style.signs.dot, here) + m.style.signs.here + strings.Repeat(m.style.signs.hollow, n-here-1)
	return sides(words, row, w)
}
