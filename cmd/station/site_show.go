package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site"
	"station/internal/site/hub"
)

func siteShowCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "show BENCH",
		Short: "Show what the running site has of a bench",
		Long: `Show what the running site has of a bench. Where it refuses the bench's ledger, it
shows why, with both proofs: what the site has, under its signature, and what the
bench said of its ledger, with the newest checkpoint that the bench's own key signed.`,
		Example: `  station site show bench-7`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := s.benches(cmd.Context())
			if err != nil {
				return err
			}
			for _, b := range a.Benches {
				if b.Bench != args[0] {
					continue
				}
				if *asJSON {
					return answer(cmd.OutOrStdout(), b)
				}
				_, err := io.WriteString(cmd.OutOrStdout(), b.text())
				return err
			}
			return fmt.Errorf("%w: %s", hub.ErrNoBench, args[0])
		},
	}
	s.add(cmd)
	asJSON = jsonFlag(cmd)
	return cmd
}

// text is a bench for a person.
func (b siteBenchAnswer) text() string {
	var w strings.Builder
	line := func(name, format string, args ...any) {
		plain.Fprintf(&w, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("bench", "%s, %s", b.Bench, b.state())
	line("added", "%s", b.Added.Format(time.RFC3339))
	if !b.Revoked.IsZero() {
		line("revoked", "%s", b.Revoked.Format(time.RFC3339))
	}
	if b.Size > 0 {
		line("ledger", "%s", b.Origin)
		line("mirror", "%s, root %s", plain.Count(b.Size, "entry"), b.Root)
		line("last entry", "%s", b.Last.Format(time.RFC3339))
		line("signed", "%s, by both", plain.Count(b.Signed, "entry"))
	}
	if b.Stuck != "" {
		line("STUCK", "%s", b.Stuck)
	}
	for _, c := range b.conflicts {
		state := "settled"
		if len(c.Open) > 0 {
			state = "open: " + commas(c.Open)
		}
		line("conflict", "%s, entry %d, device %s: %v; %s", c.bench, c.Entry, c.Device, &c.Taken, state)
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
	note := func(title, signed string) {
		plain.Fprintf(&w, "\n%s:\n", title)
		for line := range strings.Lines(signed) {
			plain.Fprintf(&w, "%s\n", strings.TrimSuffix(line, "\n"))
		}
	}
	plain.Fprintf(&w, "%-12s %s: %s\n", "HALTED", h.Time, h.Reason)
	note("The site has", string(h.Site))
	if len(h.Before) > 0 {
		note("Both signed before", string(h.Before))
	}
	note("The bench showed", fmt.Sprintf("%s\n%d\n%s\n", h.Shown.Origin, h.Shown.Size, h.Shown.Root))
	if len(h.Shown.Signed) > 0 {
		note("The bench's own key signed", string(h.Shown.Signed))
	}
	return w.String()
}
