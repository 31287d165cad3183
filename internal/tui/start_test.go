package tui

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/charmbracelet/bubbles/key"
	"github.com/muesli/termenv"

	"station/fixtures"
	"station/internal/board"
	"station/internal/job"
	"station/internal/record"
	"station/internal/words/wordstest"
)

// What the station did today is known before the first event counts on.
func TestTodayComesBeforeTheStart(t *testing.T) {
	var order []string
	day := board.Day{}
	day.Add(record.Visit{End: morning, MAC: [6]byte{9}, Verdict: record.Pass, Seconds: 40})
	m := New(Config{
		Today: func() (board.Day, error) { order = append(order, "today"); return day, nil },
		Start: func() error { order = append(order, "start"); return nil },
	}, renderer(termenv.Ascii))
	settle(m, m.openShift())
	send(m, started("1"), passed("1"))
	if got := strings.Join(order, ","); got != "today,start" || m.status.Day.Counts.Passed != 2 {
		t.Errorf("got %s and %d passed, want today,start and 2", got, m.status.Day.Counts.Passed)
	}
	broken := errors.New("ledger: damaged")
	m = New(Config{Today: func() (board.Day, error) { return board.Day{}, broken }, Start: func() error { t.Error("started"); return nil }}, renderer(termenv.Ascii))
	settle(m, m.openShift())
	if m.Err() != broken {
		t.Errorf("got %v, want %v", m.Err(), broken)
	}
}

// The plan of a real job: every fuse is told in the words of both languages.
func TestPlanOfAJob(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, fixtures.Example); err != nil {
		t.Fatal(err)
	}
	job, err := job.Load(filepath.Join(dir, "example", "job.toml"))
	if err != nil {
		t.Fatal(err)
	}
	p := PlanOf(job, true)
	if p.Job != job.Name || p.Digest != job.PlanDigest() || !p.Approved || len(p.Lines) == 0 || p.Lines[0].Field != "BLOCK1" {
		t.Errorf("got %+v", p)
	}
	for _, l := range p.Lines {
		if english.fuse(l.Field) == "" || !wordstest.Chinese(chinese.fuse(l.Field)) {
			t.Errorf("%s: %q, %q", l.Field, english.fuse(l.Field), chinese.fuse(l.Field))
		}
	}
}

func TestJobThatCannotBeChosen(t *testing.T) {
	cfg := Config{Shift: &Shift{Jobs: []Job{{"a.toml", "a", "1"}, {"b.toml", "b", "2"}},
		Choose: func(string) error { return errors.New("b.toml: line 7: no such fuse") }}}
	m := begin(t, cfg, 80, 24)
	press(m, "down", "enter")
	mustShow(t, m, "b.toml: line 7: no such fuse", "► b 2")
	if m.asked.job {
		t.Error("a bad job was taken")
	}
	if b := m.bindings(); !key.Matches(keyMsg("esc"), b[len(b)-1].Binding) {
		t.Error("there is no way out")
	}
}
