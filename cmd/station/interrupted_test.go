package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/record"
)

// The program "interrupted" is station run to which something happens at one
// of its moments: before or after an entry of the ledger, before or after a
// write of the chip's registers, after an event has been told.
//
//	INTERRUPT=list FILE      writes the names of all moments, one a line
//	INTERRUPT=kill N         kill -9 at the N-th, from 0
//	INTERRUPT=signal N S...  sends itself these signals (numbers) there
//	INTERRUPT=hold N         waits there as long as somebody has the pipe "moment" open
//	INTERRUPT=tell N         opens the pipe "moment" there, and waits for its end
//	INTERRUPT=full N         from there on no file may be written
//	INTERRUPT=slow N         an entry takes N milliseconds to reach the disk
//	INTERRUPT=nobody         it has no rights from the start, whoever starts it

// moments counts what happens and acts at one of them.
type moments struct {
	mu    sync.Mutex
	names []string
	at    int
	act   func()
	slow  int             // milliseconds
	line  context.Context // of whoever works on a device; nil before
}

// stopped waits until a stop has come to the bottom: contexts hear of it one
// after the other, those of a visit last.
func (m *moments) stopped(ctx context.Context) {
	<-ctx.Done()
	if m.line != nil {
		<-m.line.Done()
	}
}

func (m *moments) pass(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.names = append(m.names, fmt.Sprintf(format, args...))
	if len(m.names) == m.at+1 {
		m.act()
	}
}

func interrupted() {
	if os.Getenv("INTERRUPT") == "nobody" && os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			panic(err)
		}
	}
	// Whoever starts the tests may have them ignore signals, as nohup does.
	signal.Notify(make(chan os.Signal, 4), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	r := &runFlags{options: &options{station: "station.toml"}}
	cmd := r.command()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return r.interrupted(cmd.Context()) }
	os.Exit(report(cmd.ExecuteContext(context.Background())))
}

// interrupted is run without a screen.
func (r *runFlags) interrupted(ctx context.Context) error {
	ctx, stop := unattended(ctx)
	defer stop()
	w := &works{runFlags: r}
	defer w.Close()
	if err := w.loadFiles(); err != nil {
		return err
	}
	if err := w.open(ctx, nil); err != nil {
		return err
	}
	m := &moments{at: -1}
	what, rest, _ := strings.Cut(os.Getenv("INTERRUPT"), " ")
	switch what {
	case "list":
		defer func() { _ = os.WriteFile(rest, []byte(strings.Join(m.names, "\n")), 0o600) }()
	case "kill":
		fmt.Sscan(rest, &m.at)
		m.act = func() { sendSelf(syscall.SIGKILL); select {} }
	case "signal":
		signals := []syscall.Signal{0, 0, 0}
		n, _ := fmt.Sscan(rest, &m.at, &signals[0], &signals[1], &signals[2])
		m.act = func() { sendSelf(signals[:n-1]...); m.stopped(ctx) }
	case "hold":
		fmt.Sscan(rest, &m.at)
		m.act = func() { _, _ = os.ReadFile("moment") }
	case "tell":
		fmt.Sscan(rest, &m.at)
		m.act = func() {
			if f, err := os.OpenFile("moment", os.O_WRONLY, 0); err == nil {
				f.Close()
			}
			m.stopped(ctx)
		}
	case "slow":
		fmt.Sscan(rest, &m.slow)
	case "full":
		fmt.Sscan(rest, &m.at)
		m.act = func() { limitFiles(os.Getpid(), 0) }
	}
	w.line().Ledger = watchedLedger{w.line().Ledger, m}
	for i, s := range w.line().Slots {
		w.line().Slots[i].Next = func(ctx context.Context, removed func()) (flow.Loader, error) {
			m.mu.Lock()
			m.line = ctx
			m.mu.Unlock()
			l, err := s.Next(ctx, removed)
			return watchedLoader{l, m}, err
		}
	}
	if err := w.approveAs(r.approve); err != nil {
		return err
	}
	return headless(ctx, w.line(), os.Stdout, asJSON, w.labels(), tee(w.log, m.told))
}

const nobody = 65534

func sendSelf(signals ...syscall.Signal) {
	for _, s := range signals {
		_ = syscall.Kill(os.Getpid(), s)
	}
}

// limitFiles lets a process write no file beyond n bytes from its beginning,
// as a full disk does; -1 lifts the limit. Any user may do that to his own.
var limitFiles func(pid, n int)

type watchedLedger struct {
	flow.Ledger
	m *moments
}

func (l watchedLedger) Append(e record.Entry) (record.Entry, error) {
	name := strings.TrimSpace(fmt.Sprint(e.Kind, " ", e.Stage))
	l.m.pass("before the entry %s", name)
	time.Sleep(time.Duration(l.m.slow) * time.Millisecond)
	e, err := l.Ledger.Append(e)
	l.m.pass("after the entry %s", name)
	return e, err
}

func (l watchedLedger) Reserve(e record.Entry) (int, error) {
	l.m.pass("before the entry %s", record.NumberTaken)
	n, err := l.Ledger.Reserve(e)
	l.m.pass("after the entry %s", record.NumberTaken)
	return n, err
}

type watchedLoader struct {
	flow.Loader
	m *moments
}

func (l watchedLoader) WriteRead(ctx context.Context, writes []chip.RegWrite, addrs ...uint32) ([]uint32, error) {
	if len(writes) == 0 {
		return l.Loader.WriteRead(ctx, writes, addrs...)
	}
	l.m.pass("before a write of %d registers", len(writes))
	values, err := l.Loader.WriteRead(ctx, writes, addrs...)
	l.m.pass("after a write of %d registers", len(writes))
	return values, err
}

// told passes an event that has been told. Progress and what a hand has to do
// are told as time goes by: how often differs from run to run.
func (m *moments) told(e flow.Event) {
	if e.Event != flow.StepProgress && e.Event != flow.DeviceHand {
		m.pass("%s", strings.TrimSpace(e.Event+" "+string(e.Step)))
	}
}

// momentsOf are the moments whose names begin so.
func momentsOf(names []string, prefixes ...string) []int {
	var list []int
	for i, name := range names {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			list = append(list, i)
		}
	}
	return list
}
