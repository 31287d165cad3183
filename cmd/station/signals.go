package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// unbroken is for commands that must not die between two commands to a chip.
// The first signal that asks the program to stop ends the context, and so the
// line in good order; later ones change nothing, so that an impatient second
// Ctrl-C cannot break a burn. That nobody reads the output any more is an error
// of the write and kills nobody.
//
// A signal that the caller has the program ignore (nohup) stays ignored.
func unbroken(ctx context.Context) (context.Context, context.CancelFunc) {
	return until(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
}

// unattended is unbroken for a line. One that tells nobody at a terminal what it
// does is not stopped by SIGHUP: the file of --log is opened anew (logFile).
func unattended(ctx context.Context) (context.Context, context.CancelFunc) {
	if term.IsTerminal(int(os.Stdout.Fd())) {
		return unbroken(ctx)
	}
	return until(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
}

func until(ctx context.Context, stops ...os.Signal) (context.Context, context.CancelFunc) {
	var asked []os.Signal
	for _, s := range stops {
		if !signal.Ignored(s) {
			asked = append(asked, s)
		}
	}
	unheard := make(chan os.Signal, 1)
	signal.Notify(unheard, syscall.SIGPIPE, syscall.SIGHUP) // else they end the program
	ctx, stop := signal.NotifyContext(ctx, asked...)
	return ctx, func() {
		stop()
		signal.Stop(unheard)
	}
}
