// Command shot draws the screens of the README: the program's own frames, out
// of the recorded runs, as SVG.
//
//	go run ./internal/tui/shot fixtures/events docs/screens
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"station/fixtures"
	"station/internal/flow"
	"station/internal/job"
	"station/internal/record"
	"station/internal/tui"
)

// shot is one picture: a recorded run up to an event, in a window.
type shot struct {
	name, title string
	run         string
	before      func(e flow.Event) bool // the first event that is not shown any more; nil shows the whole run
	w, h        int
	cfg         tui.Config
}

var shots = []shot{
	{name: "line", title: "A line of six slots", run: "line6", before: verdict(record.Scrap), w: 120, h: 34},
	{name: "line32", title: "A line of 32 slots", run: "line32", before: done("burn-crypt"), w: 160, h: 50},
	{name: "burning", title: "Fuses are being burned", run: "pass", before: done("burn-key"), w: 80, h: 24},
	{name: "pass", title: "PASS", run: "pass", w: 80, h: 24},
	{name: "quarantine", title: "QUARANTINE", run: "quarantine", w: 80, h: 24},
	{name: "chinese", title: "SCRAP in Simplified Chinese", run: "scrap", w: 80, h: 24, cfg: tui.Config{Language: "zh"}},
	{name: "ascii", title: "RETRY in plain ASCII", run: "retry", w: 80, h: 24, cfg: tui.Config{ASCII: true}},
}

func verdict(v record.Verdict) func(flow.Event) bool {
	return func(e flow.Event) bool { return e.Verdict == v }
}

func done(step string) func(flow.Event) bool {
	return func(e flow.Event) bool { return e.Event == flow.StepDone && e.Step == step }
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "shot:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("name the folder of the recorded runs and the one for the pictures")
	}
	pictures, err := draw(args[0])
	if err != nil {
		return err
	}
	if err := os.MkdirAll(args[1], 0o755); err != nil {
		return err
	}
	for name, svg := range pictures {
		if err := os.WriteFile(filepath.Join(args[1], name+".svg"), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// draw makes all pictures, by name.
func draw(events string) (map[string]string, error) {
	out := map[string]string{}
	for _, s := range shots {
		frame, err := s.frame(events)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		if out[s.name], err = svg(frame, s.title); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	frame, err := approval()
	if err != nil {
		return nil, fmt.Errorf("approval: %w", err)
	}
	out["approval"], err = svg(frame, "A burn plan is approved")
	return out, err
}

func screen(cfg tui.Config, w, h int) *tui.Model {
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.TrueColor)
	m := tui.New(cfg, r)
	settle(m, m.Init())
	m.Update(tea.WindowSizeMsg{Width: w, Height: h})
	return m
}

func (s shot) frame(events string) (string, error) {
	f, err := os.Open(filepath.Join(events, s.run+".jsonl"))
	if err != nil {
		return "", err
	}
	defer f.Close()
	all, err := tui.ReadEvents(f)
	if err != nil {
		return "", err
	}
	m := screen(s.cfg, s.w, s.h)
	for _, e := range all {
		if e.Event == flow.LineDone || s.before != nil && s.before(e) {
			break
		}
		m.Update(e)
	}
	return m.View(), nil
}

// approval is the question for the example job's burn plan.
func approval() (string, error) {
	dir, err := os.MkdirTemp("", "shot-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, fixtures.Example); err != nil {
		return "", err
	}
	job, err := job.Load(filepath.Join(dir, "example", "job.toml"))
	if err != nil {
		return "", err
	}
	plan := tui.PlanOf(job, false)
	m := screen(tui.Config{Shift: &tui.Shift{
		Plan:    func() (tui.Plan, error) { return plan, nil },
		Approve: func(string) error { return nil },
	}}, 100, 40)
	return m.View(), nil
}

// settle runs a command that asks somebody, and folds the answer; it leaves
// clocks alone.
func settle(m *tui.Model, cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	answer := make(chan tea.Msg, 1)
	go func() { answer <- cmd() }()
	select {
	case <-time.After(200 * time.Millisecond): // a clock
	case msg := <-answer:
		if batch, ok := msg.(tea.BatchMsg); ok {
			for _, c := range batch {
				settle(m, c)
			}
			return
		}
		_, next := m.Update(msg)
		settle(m, next)
	}
}
