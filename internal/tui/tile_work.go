package tui

import (
	"fmt"
	"slices"
	"strings"

	"station/internal/board"
)

// insideWork is a tile whose device is being worked on.
func (m *Model) insideWork(s *board.SlotStatus, w, h int) []line {
	if toneOf(s) == scanning {
		return m.insideScan(s, w, h)
	}
	lines := m.warning(s, w, h)
	if s.Waits {
		lines = asLines(wrap(m.lang.waits, w, 3, m.style.signs.ellipsis), line{paint: m.style.bold, center: true})
	}
	if !s.Held && s.Total > 0 {
		for _, text := range big(strings.ReplaceAll(fmt.Sprintf("%3d%%", s.Percent), " ", "_"), w, min(h-belowWarning, 7), m.style.ascii) {
			lines = append(lines, line{text: text, paint: m.style.bar, center: true, rank: 6})
		}
	}
	lines = append(lines, line{rank: 9}, line{text: m.stepLine(s, w), paint: m.style.bold})
	lines = append(lines, m.handLines(s, w)...)
	if s.Total > 0 {
		lines = append(lines, line{text: m.bar(s, w), rank: 1}, line{text: m.numbers(s, w), rank: 2})
	}
	if strip := m.steps(s, w); strip != "" {
		lines = append(lines, line{rank: 9}, line{text: strip, rank: 4})
	}
	if m.named(s, w) {
		lines = append(lines, line{text: s.MAC.String(), paint: m.style.dim, rank: 3})
	}
	return ranked(append(lines, m.hintLines(s, w, 2)...), h)
}

// named reports whether the upper edge of the tile was too short for the MAC.
func (m *Model) named(s *board.SlotStatus, w int) bool {
	return !s.MAC.IsZero() && w+4-width(s.Name)-2 < len(" 24:0a:c4:00:00:00 ")+6
}

func (m *Model) insideScan(s *board.SlotStatus, w, h int) []line {
	first := m.waiting()
	if s != first {
		text := fmt.Sprintf(m.lang.scanAfter, first.Name)
		return ranked(asLines(wrap(text, w, 3, m.style.signs.ellipsis), line{paint: m.style.dim, center: true}), h)
	}
	st := m.style.tone[scanning]
	lines := asLines(big(s.Name+" SCAN", w, h-3, m.style.ascii), line{paint: st.edge, center: true})
	if lines == nil {
		lines = []line{{text: s.Name + " " + st.sign + " " + m.lang.scanShort, paint: st.strong, center: true}}
	}
	lines = append(lines, line{rank: 9})
	for _, text := range wrap(m.lang.scanNow, w, 2, m.style.signs.ellipsis) {
		lines = append(lines, line{text: text, paint: m.style.bold, center: true, rank: 1})
	}
	return ranked(lines, h)
}

// Lines below the warning: step, bar, numbers and steps.
const belowWarning = 6

// warning is DO NOT UNPLUG, in block letters where there is room for them.
func (m *Model) warning(s *board.SlotStatus, w, h int) []line {
	if !s.Held {
		return nil
	}
	st := m.style.tone[held]
	warn := fmt.Sprintf("%s %s %s", st.sign, m.lang.doNotUnplug, st.sign)
	if width(warn) > w {
		warn = cut(m.lang.doNotUnplug, w, m.style.signs.ellipsis)
	}
	lines := []line{{text: center(warn, w), paint: st.strong}}
	room := (h - belowWarning - 3) / 2
	upper, lower := big("DO NOT", w, room, m.style.ascii), big("UNPLUG", w, room, m.style.ascii)
	if upper == nil || lower == nil {
		return lines
	}
	var block []line
	for _, text := range slices.Concat(upper, []string{""}, lower) {
		block = append(block, line{text: text, paint: st.edge, center: true, rank: 5})
	}
	return append(append(block, line{rank: 9}), lines...)
}

// stepLine is the step in words with how far it is at the right.
func (m *Model) stepLine(s *board.SlotStatus, w int) string {
	st := m.style.tone[working]
	return sides(st.sign+" "+m.lang.stepTitle(s.Step, s.Title), m.far(s), w)
}

// far is the percentage of a step that counts bytes, and the time that any
// other step has taken.
func (m *Model) far(s *board.SlotStatus) string {
	if s.Total > 0 {
		return fmt.Sprintf("%3d %%", s.Percent)
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
	if left := s.Left(); left > 0 {
		parts = append(parts, fmt.Sprintf(m.lang.left, clock(left)), fmt.Sprintf("%.0f kB/s", s.Rate/1000))
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
	words := fmt.Sprintf(m.lang.step, here+1, n)
	row := strings.Repeat(m.style.signs.dot, here) + m.style.signs.here + strings.Repeat(m.style.signs.hollow, n-here-1)
	return sides(words, row, w)
}
