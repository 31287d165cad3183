package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/term"
	"github.com/muesli/termenv"

	"station/internal/flow"
	"station/internal/outlet"
)

// Screen shows a line on a terminal. The line tells it what happens through
// Emit, which never waits for the terminal.
type Screen struct {
	cfg     Config
	model   *Model
	program *tea.Program
	out     *outlet.Outlet
	fault   atomic.Pointer[fault]
	hungUp  atomic.Bool

	mu      sync.Mutex
	pending []flow.Event
	wake    chan struct{} // holds one: there are pending events
	ended   chan struct{} // closed when line.done was told
	endOnce sync.Once
}

// redraw is the least time between two frames of progress: events that come
// faster are folded into one frame. Ten a second look alive and do not flicker.
const redraw = 100 * time.Millisecond

// maxPending is of events that a frame has not shown yet: progress beyond it is
// not shown at all. Everything else happens a few dozen times in a visit.
const maxPending = 4096

// NewScreen prepares a screen on a terminal: in is its keyboard. Without
// Config.Bell, results ring the terminal's bell.
func NewScreen(cfg Config, in io.Reader, out io.Writer) *Screen {
	return newScreen(cfg, in, out, func(cfg Config, r *lipgloss.Renderer) *Model { return New(cfg, r) })
}

func newScreen(cfg Config, in io.Reader, out io.Writer, model func(Config, *lipgloss.Renderer) *Model) *Screen {
	s := &Screen{cfg: cfg, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	// Frames that a terminal does not take are dropped, and all of it drawn again
	// when it does.
	s.out = outlet.New(out, func(int) []byte {
		go s.program.Send(tea.ClearScreen())
		return nil
	})
	out = onOutlet(out, s.out)
	if cfg.Bell == nil {
		// One byte between two frames; both are written with one call each.
		cfg.Bell = func() { _, _ = io.WriteString(out, "\a") }
	}
	r := lipgloss.NewRenderer(out)
	if cfg.NoColor && r.ColorProfile() == termenv.Ascii {
		r.SetColorProfile(termenv.ANSI) // bold and reverse are no colours
	}
	s.model = model(cfg, r)
	g := &guard{s.model, &s.fault, func() { s.program.Quit() }}
	if f, ok := in.(*os.File); ok {
		in = keyboard{f, func() { s.hungUp.Store(true); s.program.Quit() }}
	}
	s.program = tea.NewProgram(g, tea.WithInput(in), tea.WithOutput(out), tea.WithAltScreen(),
		tea.WithoutSignalHandler(), tea.WithFPS(20))
	return s
}

// Emit tells the screen what happened. It may be called from any goroutine,
// also before Run and after it.
func (s *Screen) Emit(e flow.Event) {
	s.mu.Lock()
	if e.Event != flow.StepProgress || len(s.pending) < maxPending {
		s.pending = append(s.pending, e)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	if e.Event == flow.LineDone {
		s.endOnce.Do(func() { close(s.ended) })
	}
}

// Run shows the screen until the line has ended and the operator has seen it,
// or until ctx ends and the line with it. The terminal is as before when it
// returns, also after a panic: then the line is asked to end and the error
// holds the stack.
func (s *Screen) Run(ctx context.Context) error {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { s.feed(running) })
	stop := context.AfterFunc(ctx, func() { s.program.Send(stopMsg{}) })
	_, err := s.program.Run()
	stop()
	cancel()
	wg.Wait()
	_, _ = s.out.Flush(s.cfg.Goodbye) // the terminal as it was, if somebody reads it
	if s.hungUp.Load() {
		err = errHungUp
	}
	if f := s.fault.Load(); f != nil {
		err = f
	}
	if err != nil {
		return s.broken(err)
	}
	return s.model.Err()
}

var errHungUp = errors.New("the terminal has hung up")

// keyboard is a terminal's input of which bubbletea reads. A terminal that has hung up
// says so by an error or by the end of its input, of which bubbletea tells nobody.
type keyboard struct {
	*os.File
	hungUp func()
}

func (k keyboard) Read(p []byte) (int, error) {
	n, err := k.File.Read(p)
	if errors.Is(err, io.EOF) {
		go k.hungUp()
	}
	return n, err
}

// terminal is a terminal whose output is behind an outlet.
type terminal struct {
	term.File
	out *outlet.Outlet
}

func (t terminal) Write(p []byte) (int, error) { return t.out.Write(p) }

// onOutlet is out with its writes behind an outlet, and still a terminal if it
// is one.
func onOutlet(out io.Writer, o *outlet.Outlet) io.Writer {
	if f, ok := out.(term.File); ok {
		return terminal{f, o}
	}
	return o
}

// feed hands events to the program, many at a time.
func (s *Screen) feed(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		s.mu.Lock()
		events := s.pending
		s.pending = nil
		s.mu.Unlock()
		s.program.Send(eventsMsg(events))
		select {
		case <-ctx.Done():
			return
		case <-time.After(redraw):
		}
	}
}

// broken brings a line to its end whose screen is gone.
func (s *Screen) broken(err error) error {
	if s.model.started && s.cfg.Quit != nil && s.cfg.Start != nil {
		s.cfg.Quit()
		<-s.ended
	}
	return fmt.Errorf("screen: %w", err)
}

// guard ends the program where the model or one of its commands panics, and
// keeps what it was about. bubbletea would print the stack over the restored
// terminal; an operator cannot use it there.
type guard struct {
	*Model
	fault *atomic.Pointer[fault]
	quit  func()
}

// fault is a panic as an error.
type fault struct {
	value any
	stack []byte
}

func (f *fault) Error() string { return fmt.Sprintf("panic: %v\n%s", f.value, f.stack) }

func (g *guard) Init() (cmd tea.Cmd) {
	defer g.keep()
	return g.safe(g.Model.Init())
}

func (g *guard) Update(msg tea.Msg) (model tea.Model, cmd tea.Cmd) {
	defer g.keep()
	model = g
	if g.fault.Load() == nil {
		_, cmd = g.Model.Update(msg)
	}
	return g, g.safe(cmd)
}

func (g *guard) View() string {
	defer g.keep()
	if g.fault.Load() != nil {
		return ""
	}
	return g.Model.View()
}

func (g *guard) keep() {
	if p := recover(); p != nil {
		g.fault.CompareAndSwap(nil, &fault{p, debug.Stack()})
		go g.quit() // the program's loop may be the one that panicked
	}
}

func (g *guard) safe(cmd tea.Cmd) tea.Cmd {
	if cmd == nil {
		return nil
	}
	return func() tea.Msg {
		defer g.keep()
		msg := cmd()
		if batch, ok := msg.(tea.BatchMsg); ok {
			for i := range batch {
				batch[i] = g.safe(batch[i])
			}
		}
		return msg
	}
}

// Replay shows a recorded run, speed times as fast, until somebody leaves.
func Replay(ctx context.Context, cfg Config, events []flow.Event, speed float64, in io.Reader, out io.Writer) error {
	if len(events) == 0 {
		return errors.New("replay: no events")
	}
	s := newScreen(cfg, in, out, func(cfg Config, r *lipgloss.Renderer) *Model { return newReplay(cfg, events, speed, r) })
	return s.Run(ctx)
}
