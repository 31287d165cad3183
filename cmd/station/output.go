package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"station/internal/flow"
)

// jsonLines prints events as JSON, one a line.
func jsonLines(w io.Writer) func(flow.Event) {
	enc := json.NewEncoder(w)
	return func(e flow.Event) { _ = enc.Encode(e) }
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

// openLog appends events to the file of --log.
func (o *options) openLog() (func(flow.Event), func() error, error) {
	if o.log == "" {
		return nil, func() error { return nil }, nil
	}
	f, err := os.OpenFile(o.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("log: %w", err)
	}
	return jsonLines(f), f.Close, nil
}

// lineExit is the exit code that a finished line deserves.
func lineExit(c flow.Counts) error {
	switch {
	case c.Station > 0:
		return &codedError{code: exitStation}
	case c.Failed() > 0:
		return &codedError{code: exitFailed}
	}
	return nil
}

// isTerminal reports whether f is a screen that a person looks at.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
