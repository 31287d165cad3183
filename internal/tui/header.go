package tui

import (
	"fmt"
	"strings"

	"station/internal/board"
	"station/internal/words"
)

// header is who, what and where, and below it what concerns the whole line.
func (m *Model) header() []string {
	s := &m.status
	label := func(name, value string) string {
		if value == "" {
			return ""
		}
		return name + " " + value
	}
	job := strings.TrimSpace(s.Job + " " + s.Revision)
	time := m.now.Format("15:04:05")
	if m.now.IsZero() {
		time = ""
	}
	left := some([]string{label(m.lang.Station, s.Station), label(m.lang.Job, job), label(m.lang.Batch, s.Batch),
		label(m.lang.Operator, s.Operator)}, m.style.signs.sep, m.style.signs.ellipsis, m.width-2-width(time)-1)
	lines := []string{m.style.bold.s(fit(" "+sides(left, time, m.width-2), m.width))}
	if m.simulated() {
		lines = append(lines, m.style.simulation.s(center(m.lang.Simulation, m.width)))
	}
	if m.status.Undeclared && !m.status.Done {
		text := fmt.Sprintf(m.lang.Undeclared, clean(m.status.Batch))
		lines = append(lines, m.style.alarm.s(center(cut(text, m.width, m.style.signs.ellipsis), m.width)))
	}
	if m.dialog != nil && len(m.status.Slots) > 0 {
		lines = append(lines, m.summary())
	}
	return append(lines, m.banners()...)
}

// summary is the line of slots while a dialogue covers it: names and signs, in
// their colours.
func (m *Model) summary() string {
	var parts []string
	for _, s := range m.status.Slots {
		st := m.style.tone[words.ToneOf(s)]
		parts = append(parts, st.paper.s(" "+s.Name+" "+st.sign+" "))
	}
	return fit(" "+some(parts, " ", m.style.signs.ellipsis, m.width-2), m.width)
}

// banners are what everybody at the line has to know, the gravest first. A low
// window shows one.
func (m *Model) banners() []string {
	var out []string
	add := func(p paint, text string) {
		n := 1
		if m.height >= tall {
			n = 2 // what to do comes last
		}
		if text == "" || len(out) > 0 && n == 1 {
			return
		}
		for _, l := range wrap(text, m.width, n, m.style.signs.ellipsis) {
			out = append(out, p.s(center(l, m.width)))
		}
	}
	add(m.style.alarm, m.stoppingText())
	add(m.style.alarm, m.faultText())
	add(m.style.key, m.owedText())
	if m.paused {
		add(m.style.tone[held].strong, m.lang.Paused)
	}
	if m.status.Done && !m.stopping {
		add(m.style.tone[held].strong, m.lang.Ended)
	}
	if m.player != nil {
		add(m.style.key, m.playerText())
	}
	if m.notice.text != "" && m.now.Before(m.notice.until) {
		p := m.style.key
		if m.notice.bad {
			p = m.style.alarm
		}
		add(p, m.notice.text)
	}
	return out
}

// stoppingText says what a stopping line waits for: held devices first.
func (m *Model) stoppingText() string {
	if !m.stopping {
		return ""
	}
	var busy, held []string
	for _, s := range m.status.Slots {
		if s.Busy {
			busy = append(busy, s.Name)
		}
		if s.Held {
			held = append(held, s.Name)
		}
	}
	if len(held) > 0 {
		return fmt.Sprintf(m.lang.stoppingHeld, m.slotNames(held))
	}
	return fmt.Sprintf(m.lang.stopping, m.slotNames(busy))
}

// slotNames are one slot or several in words.
func (m *Model) slotNames(names []string) string {
	return fmt.Sprintf(pick(len(names) == 1, m.lang.Slot, m.lang.slots), strings.Join(names, ", "))
}

// owedText names the devices that somebody has to put back, where no tile does.
func (m *Model) owedText() string {
	var list []string
	for _, o := range m.status.Owed {
		if s := m.status.Slot(o.Slot); s.Busy || s.MAC != o.MAC {
			list = append(list, o.MAC.String())
		}
	}
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprintf(m.lang.owed, strings.Join(list, ", "))
}

// faultText says why no device is started, and what to do.
func (m *Model) faultText() string {
	e := m.status.Halt
	if e == nil {
		return ""
	}
	sentence, action := m.lang.Failure(e.Code, e.Message, e.Action)
	if e.Cause != "" {
		sentence += " " + fmt.Sprintf(m.lang.cause, e.Cause)
	}
	return fmt.Sprintf(m.lang.Fault, sentence+" "+action)
}

type namedPart struct {
	name string
	board.Part
}

func (m *Model) parts() []namedPart {
	return []namedPart{{m.lang.hsm, m.health.Token}, {m.lang.ledger, m.health.Ledger}, {m.lang.disk, m.health.Disk}, {m.lang.site, m.health.Site}}
}
