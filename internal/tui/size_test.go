package tui

import (
	"fmt"
	"testing"

	"station/internal/flow"
	"station/internal/record"
)

// verdictLine is a line whose slots show every verdict.
func verdictLine(n int) (out eventsMsg) {
	ready := flow.Event{Time: morning, Event: flow.LineReady}
	for i := range n {
		ready.Slots = append(ready.Slots, fmt.Sprint(i+1))
	}
	out = append(out, ready)
	verdicts := []record.Verdict{record.Pass, record.Quarantine, record.Retry, record.Scrap, record.Station}
	for i, name := range ready.Slots {
		e := failed(name)
		e.Verdict, e.MAC = verdicts[i%len(verdicts)], [6]byte{0x24, 0x0a, 0xc4, 0, 0, byte(i)}
		if e.Verdict == record.Pass {
			e.Event, e.Code = flow.DevicePassed, ""
		}
		out = append(out, started(name), e)
	}
	return out
}

// In every size and language, no device that passed is shown larger than one
// that did not, and an action that is cut is said in its short form.
func TestAWorseVerdictIsNeverSmaller(t *testing.T) {
	for _, cfg := range []Config{{}, {Language: "zh"}, {ASCII: true}} {
		for _, n := range []int{1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32} {
			for w := 80; w <= 200; w += 20 {
				for h := 24; h <= 60; h += 6 {
					m := screen(t, cfg, w, h)
					send(m, verdictLine(n))
					g := m.grid()
					if g.w < framedWidth || g.h < framedHeight {
						continue // strips: one line of text each
					}
					checkVerdicts(t, m, g, fmt.Sprintf("%d slots, %d×%d, %+v", n, w, h, cfg.Language))
				}
			}
		}
	}
}

func checkVerdicts(t *testing.T, m *Model, g grid, what string) {
	t.Helper()
	most, least := 0, 1000
	body := m.height - len(m.header()) - m.footHeight()
	for i, s := range m.status.Slots {
		w, h := share(m.width, g.cols, i%g.cols)-4, share(body, g.rows, i/g.cols)-2
		text, free := m.verdictText(s, w, h)
		lines := m.word(s, w, free, m.limit(s, h))
		if len(text) == 0 {
			t.Errorf("%s: slot %s says nothing to do", what, s.Name)
		}
		size := 0 // lines of block letters: those without a paint of their own
		for _, l := range lines {
			if l.paint == (paint{}) && l.text != "" {
				size++
			}
		}
		if s.Verdict == record.Pass {
			most = max(most, size)
		} else {
			least = min(least, size)
		}
	}
	if len(m.status.Slots) > 1 && most > least {
		t.Fatalf("%s: PASS has %d lines, a worse verdict %d\n%s", what, most, least, m.View())
	}
}
