package main

import (
	"fmt"
	"strings"
	"time"

	"station/internal/site"
)

// text is a bench for a person.
func (b siteBenchAnswer) text() string {
	var w strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&w, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("bench", "%s, %s", b.Bench, b.state())
	line("added", "%s", b.Added.Format(time.RFC3339))
	if !b.Revoked.IsZero() {
		line("revoked", "%s", b.Revoked.Format(time.RFC3339))
	}
	if b.Size > 0 {
		line("ledger", "%s", b.Origin)
		line("mirror", "%d entries, root %s", b.Size, b.Root)
		line("last entry", "%s", b.Last.Format(time.RFC3339))
		line("signed", "%d entries, by both", b.Signed)
	}
	for _, c := range b.Conflicts {
		line("conflict", "entry %d, device %s: %v", c.Entry, c.Device, &c.Taken)
	}
	for _, r := range b.Releases {
		line("released", "%s by %s: %s", r.Time.Format(time.RFC3339), r.Operator, r.Reason)
		if r.Halt != nil {
			line("", "it was halted %s: %s", r.Halt.Time, r.Halt.Reason)
		}
	}
	if b.Halt != nil {
		w.WriteString(haltText(b.Halt))
	}
	return w.String()
}

// haltText is why a ledger is refused, with what proves it.
func haltText(h *site.Halt) string {
	var w strings.Builder
	fmt.Fprintf(&w, "%-12s %s: %s\n", "HALTED", h.Time, h.Reason)
	fmt.Fprintf(&w, "\nThe site has:\n%s", h.Site)
	if len(h.Before) > 0 {
		fmt.Fprintf(&w, "\nBoth signed before:\n%s", h.Before)
	}
	fmt.Fprintf(&w, "\nThe bench showed:\n%s\n%d\n%s\n", h.Shown.Origin, h.Shown.Size, h.Shown.Root)
	if len(h.Shown.Signed) > 0 {
		fmt.Fprintf(&w, "\nThe bench's own key signed:\n%s", h.Shown.Signed)
	}
	return w.String()
}
