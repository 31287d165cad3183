package tui

import (
	"fmt"
	"slices"
	"strings"
)

// Heights of the window from which the footer and the banners get more lines.
const (
	middle = 12
	tall   = 18
)

// footer is the day, the station's parts, the scanner's line and the keys.
func (m *Model) footer() []string {
	var lines []string
	for _, part := range m.footParts() {
		lines = append(lines, part())
	}
	return lines
}

// footParts are what a window of this height has room for. footHeight does not
// draw them: the keys of a dialogue may depend on the room that is left.
func (m *Model) footParts() []func() string {
	var parts []func() string
	running := m.started || m.player != nil
	if running && m.height >= middle {
		parts = append(parts, m.day)
	}
	if running && m.height >= tall {
		parts = append(parts, m.failures)
		if m.cfg.Health != nil {
			parts = append(parts, m.state)
		}
	}
	if m.cfg.Scan != nil && m.dialog == nil {
		parts = append(parts, m.serialLine)
	}
	return append(parts, m.keys)
}

func (m *Model) footHeight() int { return len(m.footParts()) }

// day is done and target, first-pass yield, pace.
func (m *Model) day() string {
	d := &m.status.Day
	done := d.Counts.Passed - d.Counts.Already
	parts := []string{fmt.Sprintf(m.lang.Done, done)}
	if m.status.Target > 0 {
		parts[0] = fmt.Sprintf(m.lang.DoneOf, done, m.status.Target)
	}
	if yield, ok := d.FirstPassYield(); ok {
		parts = append(parts, fmt.Sprintf(m.lang.FirstPass, fmt.Sprintf("%.1f %%", 100*yield)))
	}
	now := m.now
	if m.status.Done { // the pace of the work, not of the time since
		now = m.status.Now
	}
	if rate := d.PerHour(now); rate > 0 {
		parts = append(parts, fmt.Sprintf(m.lang.PerHour, fmt.Sprintf("%.0f", rate)))
	}
	if each := d.PerDevice(); each > 0 {
		parts = append(parts, fmt.Sprintf(m.lang.PerDevice, decimal(each.Seconds())))
	}
	if n := d.Counts.Already; n > 0 {
		parts = append(parts, fmt.Sprintf(m.lang.SealedBefore, n))
	}
	if n := d.Virtual; n > 0 {
		parts = slices.Insert(parts, 1, fmt.Sprintf(m.lang.VirtualVisits, n))
	}
	return fit(" "+some(parts, m.style.signs.sep, m.style.signs.ellipsis, m.width-2), m.width)
}

// failures are the failures by code, most frequent first.
func (m *Model) failures() string {
	d := &m.status.Day
	codes := d.Failures()
	if len(codes) == 0 {
		return m.style.dim.s(fit(" "+m.lang.NoFailures, m.width))
	}
	parts := []string{fmt.Sprintf(m.lang.failed, d.Counts.Failed()+d.Counts.Station)}
	if n := d.Counts.Quarantined + d.Counts.Scrap; n > 0 {
		parts = append(parts, fmt.Sprintf(m.lang.setAside, n))
	}
	for _, c := range codes {
		parts = append(parts, fmt.Sprintf("%s %s%d", c.Code, m.style.signs.times, c.N))
	}
	return fit(" "+some(parts, m.style.signs.sep, m.style.signs.ellipsis, m.width-2), m.width)
}

// state is the HSM, the ledger, the disk and the ledger's head.
func (m *Model) state() string {
	var parts []string
	for _, p := range m.parts() {
		switch {
		case p.Words == "":
		case p.OK:
			parts = append(parts, p.name+" "+p.Words)
		default:
			parts = append(parts, m.style.alarm.s(" "+p.name+" "+p.Words+" "))
		}
	}
	if m.health.Head != "" {
		parts = append(parts, m.lang.head+" "+m.health.Head)
	}
	return fit(" "+some(parts, m.style.signs.sep, m.style.signs.ellipsis, m.width-2), m.width)
}

// keys are the keys that work now, as many as fit; help, back and quit are at
// the end and are kept.
func (m *Model) keys() string {
	var shown []string
	for _, b := range m.bindings() {
		h := b.Help()
		if h.Key == "" {
			continue
		}
		shown = append(shown, m.style.key.s(" "+h.Key+" ")+" "+h.Desc)
	}
	room := m.width - 2
	keep := min(len(shown), 2)
	last := strings.Join(shown[len(shown)-keep:], "  ")
	first := some(shown[:len(shown)-keep], "  ", m.style.signs.ellipsis, room-width(last)-2)
	if width(first)+width(last)+2 > room || first == "" {
		first = ""
		return fit(" "+last, m.width)
	}
	return fit(" "+first+"  "+last, m.width)
}
