package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site/hub"
)

type siteBenchesAnswer struct {
	Site    string            `json:"site"`
	Benches []siteBenchAnswer `json:"benches"`
}

// siteBenchAnswer is a bench that belongs to a site, or did, and what the site has of it.
type siteBenchAnswer struct {
	hub.Status
	Added   time.Time `json:"added"`
	Revoked time.Time `json:"revoked,omitzero"`

	conflicts []conflictAt // of its devices
}

// conflictAt is a conflict, and the bench in whose ledger it was found.
type conflictAt struct {
	hub.Conflict
	bench string
}

// state is in a word how it stands.
func (b siteBenchAnswer) state() string {
	switch {
	case b.Halt != nil:
		return "HALTED"
	case !b.Revoked.IsZero():
		return "revoked"
	case b.Stuck != "":
		return "STUCK"
	case b.Size == 0:
		return "nothing yet"
	case slices.ContainsFunc(b.conflicts, func(c conflictAt) bool { return len(c.Open) > 0 }):
		return "CONFLICT"
	}
	return "ok"
}

// benches are all benches of the running site.
func (s *siteFlags) benches(ctx context.Context) (a siteBenchesAnswer, err error) {
	f, err := hub.Open(s.dir)
	if err != nil {
		return a, err
	}
	list, err := f.Members(ctx)
	if err != nil {
		return a, stationFault(err)
	}
	a = siteBenchesAnswer{f.Name, []siteBenchAnswer{}}
	for _, m := range list {
		a.Benches = append(a.Benches, siteBenchAnswer{m.Status, m.Added, m.Revoked, conflictsOf(m.Bench.Name, list)})
	}
	return a, nil
}

// conflictsOf are those in which devices of a bench are, whichever ledger they were found in.
func conflictsOf(bench string, all []hub.Member) (list []conflictAt) {
	for _, m := range all {
		for _, c := range m.Conflicts {
			if m.Bench.Name == bench || c.Taken.Bench == bench {
				list = append(list, conflictAt{c, m.Bench.Name})
			}
		}
	}
	return list
}

func siteListCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	var asJSON *bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the benches of the running site",
		Example: `  station site list`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := s.benches(cmd.Context())
			if err != nil {
				return err
			}
			if *asJSON {
				return answer(cmd.OutOrStdout(), a)
			}
			said := ""
			for _, b := range a.Benches {
				if b.Stuck != "" && b.Stuck != said { // it may be the same of all
					said = b.Stuck
					plain.Fprintf(stderr, "station: %s: %s\n", b.Bench, b.Stuck)
				}
				last := ""
				if !b.Last.IsZero() {
					last = b.Last.Format(time.RFC3339)
				}
				plain.Fprintf(cmd.OutOrStdout(), "%-24s %-12s %10d entries, signed to %-10d %s\n", b.Bench, b.state(), b.Size, b.Signed, last)
			}
			return nil
		},
	}
	s.add(cmd)
	asJSON = jsonFlag(cmd)
	return cmd
}
