package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"station/internal/bench"
	"station/internal/flow"
	"station/internal/keyfile"
)

// jsonLines prints events as JSON, one a line. The first that cannot be
// written is the last: lost hears why.
func jsonLines(w io.Writer, lost func(error)) func(flow.Event) {
	enc := json.NewEncoder(w)
	dead := false
	return func(e flow.Event) {
		if dead {
			return
		}
		if err := enc.Encode(e); err != nil {
			dead = true
			lost(err)
		}
	}
}

// headless runs the line with its events as JSON lines on out; labels may be
// nil. A line that nobody hears of any more is stopped in good order.
func headless(ctx context.Context, line *flow.Line, out io.Writer, labels *bench.Labels, log func(flow.Event)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var lost error
	line.Emit = labelled(labels, tee(jsonLines(out, func(err error) { lost = err; stop() }), log))
	counts := line.Run(ctx)
	if lost != nil {
		return stationFault(fmt.Errorf("the events could not be told, so the line was stopped: %w", lost))
	}
	return lineExit(counts)
}

// tee sends each event to every sink that is not nil.
func tee(sinks ...func(flow.Event)) func(flow.Event) {
	return func(e flow.Event) {
		for _, sink := range sinks {
			if sink != nil {
				sink(e)
			}
		}
	}
}

// labelled is emit with the labels that a line prints by itself, if it does.
func labelled(labels *bench.Labels, emit func(flow.Event)) func(flow.Event) {
	if labels == nil {
		return emit
	}
	return labels.Watch(emit)
}

// openLog appends events to the file of --log.
func (o *options) openLog() (func(flow.Event), func() error, error) {
	if o.log == "" {
		return nil, func() error { return nil }, nil
	}
	f, err := keyfile.Append(o.log)
	if err != nil {
		return nil, nil, fmt.Errorf("log: %w", err)
	}
	lost := func(err error) { fmt.Fprintf(os.Stderr, "station: the line goes on without its log: %v\n", err) }
	return jsonLines(f, lost), f.Close, nil
}

// lineExit is the exit code that a finished line deserves.
func lineExit(c flow.Counts) error {
	switch {
	case c.Station > 0:
		return &codedError{code: exitStation}
	case c.Failed() > 0:
		return &codedError{code: exitFailed}
	case c.Missing > 0:
		return &codedError{exitFailed, fmt.Errorf("stopped; devices still to make: %d", c.Missing)}
	}
	return nil
}

// isTerminal reports whether f is a screen that a person looks at.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// narrate tells a person what happens, with the times of steps and the causes
// of failures, where --verbose asks for it; nil where it does not.
func (o *options) narrate(w io.Writer) func(flow.Event) {
	if !o.verbose {
		return nil
	}
	return func(e flow.Event) {
		if e.Event == flow.StepStarted || e.Event == flow.StepProgress {
			return
		}
		mac, _ := e.MAC.MarshalText() // nothing for a device that has not told it
		words := []string{"station:", e.Event}
		for _, s := range []string{e.Slot, string(mac), e.Step, string(e.Verdict), e.Code, e.Detail} {
			if s != "" {
				words = append(words, s)
			}
		}
		fmt.Fprintf(w, "%s (%.2f s)\n", strings.Join(words, " "), e.Seconds)
	}
}
