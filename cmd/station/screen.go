package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"station/internal/board"
	"station/internal/chip"
	"station/internal/flow"
	"station/internal/hsm"
	"station/internal/job"
	"station/internal/ledger"
	"station/internal/outlet"
	"station/internal/plain"
	"station/internal/record"
	"station/internal/secret"
	"station/internal/station"
	"station/internal/tui"
)

// screen runs the line on the operator's screen: the questions at the start of
// the shift, then the slots.
func (w *works) screen(ctx context.Context) error {
	asks, err := w.asksPIN()
	if err != nil {
		return err
	}
	if !asks {
		if err := w.open(ctx, nil); err != nil {
			return err
		}
	}
	shift := &tui.Shift{Plan: w.plan, Approve: w.approveAs, Approver: func(id string) error {
		if w.file.WantsTwo(station.Approval) && station.SamePerson(id, w.operator) {
			return fmt.Errorf("%s works here: somebody else has to approve", id)
		}
		return w.keepName(&w.approver, station.Approver, id)
	}}
	if w.operator == "" {
		shift.Operator = func(id string) error { return w.keepName(&w.operator, station.Operator, id) }
	}
	if asks {
		shift.PIN = func(pin *secret.Bytes) error { return w.openWith(ctx, pin) }
		var percent atomic.Uint32
		w.reread = func(done, total uint64) { percent.Store(uint32(100 * done / max(total, 1))) }
		shift.Reread = func() int { return int(percent.Load()) }
	}
	if w.approve != "" {
		if w.opened == nil {
			return errors.New("run: --approve needs a PIN that nobody has to type; use pin-source, or approve on the screen")
		}
		if err := w.approveAs(w.approve); err != nil {
			return err
		}
	}
	s := &lineScreen{line: w.line, labels: w.labels}
	cfg := s.config(string(w.file.Language), w.job)
	cfg.Shift = shift
	watch(&cfg, w.file.Line, w.job.Name, func() (*hsm.Token, *ledger.Ledger, *station.Site) {
		if w.opened == nil {
			return nil, nil, nil
		}
		return w.opened.Token, w.opened.Ledger, w.opened.Site
	})
	s.prepare = func() error {
		w.line().Operator = w.operator
		return nil
	}
	return s.run(ctx, cfg, func() func(flow.Event) { return w.log })
}

// keepName keeps the name that a person told, if he may do it.
func (w *works) keepName(name *string, role station.Role, given string) error {
	if err := record.CheckText(given); err != nil {
		return fmt.Errorf("the name %w", err)
	}
	err := w.file.May(role, given)
	if err == nil {
		*name = given
	}
	return err
}

// asksPIN reports whether a person has to type the token's PIN.
func (w *works) asksPIN() (bool, error) {
	uri, err := hsm.ParseURI(w.file.TokenURI())
	return uri.PINSource == "" && os.Getenv(hsm.PINEnv) == "", err
}

// openWith opens everything with a PIN that was typed on the screen, which
// destroys its copy.
func (w *works) openWith(ctx context.Context, pin *secret.Bytes) error {
	return w.open(ctx, func(string) (*secret.Bytes, error) {
		copied, err := secret.Make(pin.Len())
		if err == nil {
			copy(copied.Reveal(), pin.Reveal())
		}
		return copied, err
	})
}

// plan is the job's burn plan as the screen shows it.
func (w *works) plan() (tui.Plan, error) {
	w.line().Operator = w.operator
	approved, err := w.line().CheckApproval()
	if err != nil && !errors.Is(err, flow.ErrNotApproved) {
		err = stationFault(err)
	}
	if err != nil {
		return tui.Plan{}, err
	}
	p := tui.PlanOf(w.job, approved)
	p.Approvers = w.file.People.Approvers
	p.Other = w.approver == "" && (w.file.WantsTwo(station.Approval) || w.file.May(station.Approver, w.operator) != nil)
	return p, nil
}

// watch lets the screen look into the ledger and at what the line depends on.
// Both may be opened only after the PIN was typed.
func watch(cfg *tui.Config, shifts station.LineFile, job string, opened func() (*hsm.Token, *ledger.Ledger, *station.Site)) {
	cfg.Today = func() (board.Day, error) {
		_, book, _ := opened()
		return station.Day(book, shifts.ShiftBegan(time.Now()), job)
	}
	cfg.History = func(query string) ([]record.Visit, error) {
		_, book, _ := opened()
		return station.Visits(book, time.Now(), query)
	}
	cfg.Detail = func(mac chip.MAC) (board.Detail, error) {
		_, book, _ := opened()
		return station.Detail(book, mac)
	}
	cfg.Health = func() board.Health { return station.Health(opened()) }
}

// consoles keeps what each device printed at its last start, for the screen's
// details: the ledger has only its digest.
type consoles struct {
	mu   sync.Mutex
	last map[chip.MAC]string
}

func (c *consoles) keep(e flow.Event) {
	if e.Console == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = map[chip.MAC]string{}
	}
	c.last[e.MAC] = e.Console
}

func (c *consoles) of(mac chip.MAC) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last[mac]
}

// lineScreen joins a line and a screen.
type lineScreen struct {
	line    func() *flow.Line
	prepare func() error
	labels  func() *station.Labels // nil: this line prints none
	done    chan flow.Counts
	screen  *tui.Screen

	consoles consoles
}

// config is what every line offers its screen.
func (s *lineScreen) config(language string, job *job.Job) tui.Config {
	cfg := tui.Config{
		Language: language, ASCII: tui.PlainASCII(os.Getenv, runtime.GOOS == "windows"), NoColor: tui.WithoutColor(os.Getenv),
		Pause: func(on bool) { s.line().Pause(on) },
		Retry: func(slot string) { s.line().Retry(slot) },
		GoOn:  func() { s.line().GoOn() },
	}
	if job.Line.Acknowledge {
		cfg.Ack = func(slot string) { s.line().Ack(slot) }
	}
	if job.Serial != nil {
		cfg.Scan = func(slot, serial string) error { return s.line().Serials.Scan(slot, serial) }
		cfg.Unscan = func() { s.line().Serials.TakeBack() }
	}
	return cfg
}

// run shows the screen until the line has ended. log is asked for when the
// line begins.
func (s *lineScreen) run(ctx context.Context, cfg tui.Config, log func() func(flow.Event)) error {
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	s.done = make(chan flow.Counts, 1)
	cfg.Quit, cfg.Goodbye = cancel, &leaving
	cfg.Start = func() error {
		if s.prepare != nil {
			if err := s.prepare(); err != nil {
				return err
			}
		}
		line := s.line()
		line.NeedAck, line.Attended = line.Job.Line.Acknowledge, true
		line.Emit = tee(s.screen.Emit, s.consoles.keep, log())
		if s.labels != nil {
			line.Emit = labelled(s.labels(), line.Emit)
		}
		go func() { s.done <- line.Run(running) }()
		return nil
	}
	if detail := cfg.Detail; detail != nil {
		cfg.Detail = func(mac chip.MAC) (board.Detail, error) {
			d, err := detail(mac)
			d.Boot = s.consoles.of(mac)
			return d, err
		}
	}
	s.screen = tui.NewScreen(cfg, os.Stdin, os.Stdout)
	err := s.screen.Run(ctx)
	cancel()
	switch {
	case errors.Is(err, tui.ErrLeft):
		return &codedError{exitFailed, err}
	case err != nil: // the terminal, or the screen itself
		return stationFault(err)
	}
	counts := <-s.done
	last := outlet.New(os.Stdout, nil) // a terminal that nobody reads holds up no stop
	plain.Fprintf(last, "%s\n", summary(counts))
	_, _ = last.Flush(&leaving)
	return lineExit(counts)
}
