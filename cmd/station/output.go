package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"station/internal/flow"
	"station/internal/outlet"
	"station/internal/plain"
	"station/internal/station"
)

// What commands say. Text that somebody else wrote is harmless behind these,
// and a person who does not read messages keeps no line waiting.
var (
	stdout   = plain.NewWriter(os.Stdout)
	messages = outlet.New(os.Stderr, func(n int) []byte {
		return fmt.Appendf(nil, "station: %d messages were dropped: nobody read them\n", n)
	})
	stderr = plain.NewWriter(messages)

	leaving outlet.Goodbye // of all of them, and of screen and log
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

// plainLines tells the events in words, for a person who has no screen.
func plainLines(w io.Writer, lost func(error)) func(flow.Event) {
	dead := false
	return func(e flow.Event) {
		text := inWords(e)
		if dead || text == "" {
			return
		}
		if _, err := plain.Fprintf(w, "%s\n", text); err != nil {
			dead = true
			lost(err)
		}
	}
}

// form is how a line without a screen tells its events on standard output.
type form struct {
	tell    func(io.Writer, func(error)) func(flow.Event)
	missing func(n int) []byte // says that some were dropped
}

var (
	asJSON = form{jsonLines, droppedEvents}
	asText = form{plainLines, func(n int) []byte {
		return fmt.Appendf(nil, "station: %d lines were dropped: nobody read them\n", n)
	}}
)

// formOf is JSON for a script, which asks for it, and words for everybody else.
func formOf(headless bool) form {
	if headless {
		return asJSON
	}
	return asText
}

// summary is what a line did, in one sentence.
func summary(c flow.Counts) string {
	text := fmt.Sprintf("%d passed (%d of them sealed before), %d to put back, %d scrap, %d in quarantine", c.Passed, c.Already, c.Retry, c.Scrap, c.Quarantined)
	if c.Station > 0 {
		text += fmt.Sprintf(", %d met a fault of the station", c.Station)
	}
	return text
}

// headless runs the line with its events told on out in the given form; labels
// may be nil. A line that nobody hears of any more is stopped in good order.
func headless(ctx context.Context, line *flow.Line, out io.Writer, form form, labels *station.Labels, log func(flow.Event)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var lost error
	events := outlet.New(out, form.missing)
	line.Emit = labelled(labels, tee(form.tell(plain.NewWriter(events), func(err error) { lost = err; stop() }), log))
	counts := line.Run(ctx)
	if n, err := events.Flush(&leaving); n > 0 {
		warning(fmt.Sprintf("nobody read standard output: %d events were dropped", n))
	} else if lost == nil && !errors.Is(err, outlet.ErrUnread) {
		lost = err
	}
	if lost != nil {
		return stationFault(fmt.Errorf("the events could not be told, so the line was stopped: %w", lost))
	}
	return lineExit(counts)
}

// droppedEvents says in a stream of events that some are missing.
func droppedEvents(n int) []byte {
	line, err := json.Marshal(flow.Event{Time: time.Now(), Event: flow.EventsDropped, Dropped: n})
	if err != nil {
		return nil // times and numbers always marshal
	}
	return append(line, '\n')
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
func labelled(labels *station.Labels, emit func(flow.Event)) func(flow.Event) {
	if labels == nil {
		return emit
	}
	return labels.Watch(emit)
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
		if text := inWords(e); text != "" {
			plain.Fprintf(w, "%s\n", text)
		}
	}
}

// inWords is an event as a line for a person; empty for progress.
func inWords(e flow.Event) string {
	if e.Event == flow.StepStarted || e.Event == flow.StepProgress {
		return ""
	}
	mac, _ := e.MAC.MarshalText() // nothing for a device that has not told it
	words := []string{"station:", e.Event}
	more := []string{e.Slot, string(mac), string(e.Step), string(e.Hand), string(e.Verdict), string(e.Code), e.Detail}
	if e.Counts != nil {
		more = append(more, summary(*e.Counts))
	}
	if e.Seconds > 0 {
		more = append(more, fmt.Sprintf("(%.2f s)", e.Seconds))
	}
	for _, s := range more {
		if s != "" {
			words = append(words, s)
		}
	}
	text := strings.Join(words, " ")
	if said := strings.TrimSpace(e.Message + " " + e.Action); said != "" {
		text += ": " + said
	}
	return text
}
