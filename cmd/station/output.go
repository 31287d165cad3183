package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"station/internal/flow"
	"station/internal/record"
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

// verdictMark is a shape for each verdict, so that colour never speaks alone.
var verdictMark = map[record.Verdict]string{
	record.Pass: "[OK]", record.Retry: "[<-]", record.Scrap: "[XX]", record.Quarantine: "[??]", record.Station: "[!!]",
}

// plainLines tells a person what happens, a line for each thing worth one.
func plainLines(w io.Writer) func(flow.Event) {
	return func(e flow.Event) {
		switch e.Event {
		case flow.LineReady:
			fmt.Fprintf(w, "%s revision %s, %d slots\n", e.Job, e.Revision, len(e.Slots))
		case flow.StepStarted:
			note := ""
			if e.Burning {
				note = "   DO NOT UNPLUG"
			}
			fmt.Fprintf(w, "  %-8s %-17s %s%s\n", e.Slot, e.MAC, e.Message, note)
		case flow.StepProgress:
			if e.Percent%25 == 0 {
				fmt.Fprintf(w, "  %-8s %-17s %3d %%\n", e.Slot, e.MAC, e.Percent)
			}
		case flow.DevicePassed, flow.DeviceFailed, flow.DeviceQuarantined:
			fmt.Fprintf(w, "%s %-10s %-8s %s  %s %s (%.1f s)\n", verdictMark[e.Verdict], e.Verdict, e.Slot, e.MAC, e.Message, e.Action, e.Seconds)
			if e.Detail != "" {
				fmt.Fprintf(w, "     %s: %s\n", e.Code, e.Detail)
			}
		case flow.LineDone:
			fmt.Fprintf(w, "%d passed, %d failed\n", e.Counts.Passed, e.Counts.Failed()+e.Counts.Station)
		}
	}
}
