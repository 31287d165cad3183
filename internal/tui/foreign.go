package tui

import (
	"github.com/charmbracelet/x/ansi"

	"station/internal/board"
	"station/internal/chip"
	"station/internal/flow"
	"station/internal/plain"
	"station/internal/record"
)

// What is shown was written by others: names in jobs, ledgers and recordings,
// errors, consoles. It is made plain where it comes in, all of it: nothing in
// the model can move the cursor, change colours or turn the text around.

// clean is one line from outside, without the colours of its own.
func clean(s string) string { return plain.Line(ansi.Strip(s)) }

// cleanEvent is an event as the screen may show it.
func cleanEvent(e flow.Event) flow.Event {
	console := plain.Console(e.Console)
	plain.Value(&e)
	e.Console = console
	return e
}

// cleaned is what a function of Config has answered.
func cleaned[T any](v T, err error) (T, error) {
	plain.Value(&v)
	return v, err
}

// plainConfig is a configuration all of whose answers are clean.
func plainConfig(cfg Config) Config {
	plain.Value(&cfg.Day)
	if ask := cfg.Today; ask != nil {
		cfg.Today = func() (board.Day, error) { return cleaned(ask()) }
	}
	if ask := cfg.Health; ask != nil {
		cfg.Health = func() board.Health { h, _ := cleaned(ask(), nil); return h }
	}
	if ask := cfg.History; ask != nil {
		cfg.History = func(query string) ([]record.Visit, error) { return cleaned(ask(query)) }
	}
	if ask := cfg.Detail; ask != nil {
		cfg.Detail = func(mac chip.MAC) (board.Detail, error) {
			d, err := ask(mac)
			boot := plain.Console(d.Boot)
			plain.Value(&d)
			d.Boot = boot
			return d, err
		}
	}
	if cfg.Shift != nil {
		shift := *cfg.Shift
		names := shift.Jobs
		shift.Jobs = append([]Job(nil), names...)
		for i := range shift.Jobs { // not the path, by which it is chosen
			shift.Jobs[i].Name, shift.Jobs[i].Revision = plain.Line(names[i].Name), plain.Line(names[i].Revision)
		}
		if ask := shift.Plan; ask != nil {
			shift.Plan = func() (Plan, error) { return cleaned(ask()) }
		}
		cfg.Shift = &shift
	}
	return cfg
}
