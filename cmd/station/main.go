// Command station seals blank ESP32s on a production line.
//
// Output rules. With --headless events go to standard output as JSON lines, one
// a line, and nothing else does. Without it and without a screen they go there in
// words. Everything else meant for a person goes to the screen or to standard
// error. A secret goes nowhere.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/flow"
	"station/internal/plain"
	"station/internal/record"
	"station/internal/secret"
)

// Exit codes.
const (
	exitOK      = 0 // every device passed
	exitFailed  = 1 // at least one device failed or is in quarantine
	exitUsage   = 2 // wrong usage or a bad file
	exitStation = 3 // the station itself: token, ledger, disk
)

// codedError is an error that knows its exit code.
type codedError struct {
	code int
	err  error // nil where everything has been said already
}

func (e *codedError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *codedError) Unwrap() error { return e.err }

// stationFault marks an error as the station's own fault: exit code 3.
func stationFault(err error) error {
	if err == nil {
		return nil
	}
	return &codedError{exitStation, err}
}

// exitCode is the only place that turns errors into exit codes. A failure of
// the table has that of its verdict; what nobody marked is wrong usage.
func exitCode(err error) int {
	var coded *codedError
	var failure *flow.Failure
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	case !errors.As(err, &failure):
		return exitUsage
	case failure.Kind().Verdict == record.Station:
		return exitStation
	}
	return exitFailed
}

// explain is what a person reads of an error.
func explain(err error) string {
	var f *flow.Failure
	if errors.As(err, &f) {
		kind := f.Kind()
		return fmt.Sprintf("%s: %s %s\n%v", f.Code, kind.Sentence, kind.Action, f.Err)
	}
	return err.Error()
}

// indented sets off every line but the first: what an error quotes of others
// cannot pass for a line of ours.
func indented(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }

func main() { os.Exit(run()) }

func run() int {
	modules.listen(os.Args[1:])
	defer func() {
		messages.Flush(&leaving)
		modules.end(stderr)
		messages.Flush(&leaving)
	}()
	if err := secret.NoCoreDumps(); err != nil {
		plain.Fprintf(stderr, "station: core dumps stay on: %v\n", err)
	}
	root := rootCommand()
	if err := mistyped(root, os.Args[1:]); err != nil {
		return report(err)
	}
	return report(root.ExecuteContext(context.Background()))
}

// mistyped finds a word that is no command of a group such as "station ledger",
// for which cobra would show the help and call it a success.
func mistyped(root *cobra.Command, args []string) error {
	group, rest, err := root.Find(args)
	if err != nil || group.Runnable() || group.ParseFlags(rest) != nil || group.Flags().NArg() == 0 {
		return nil // cobra says what is wrong, if anything is
	}
	return fmt.Errorf("unknown command %q for %q; see \"%[2]s --help\"", group.Flags().Arg(0), group.CommandPath())
}

// report says what went wrong, once, and turns it into the exit code.
func report(err error) int {
	if err != nil && err.Error() != "" {
		fmt.Fprintf(stderr, "station: %s\n", indented(explain(err)))
	}
	return exitCode(err)
}
