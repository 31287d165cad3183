package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site/hub"
)

type siteVerifyAnswer struct {
	Whole   bool           `json:"whole"`
	Benches []hub.Verified `json:"benches"`
}

func siteVerifyCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "verify [BENCH]",
		Short: "Reread what the running site has of its benches",
		Long: `Reread the copies that the running site has, of one bench or of all: each entry, its
place, the tree over all of them as it was when they came, and the newest checkpoint
that both signed. Exit code 3 means faults.`,
		Example: `  station site verify`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := hub.Open(s.dir)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				known, err := f.List(cmd.Context())
				if err != nil {
					return stationFault(err)
				}
				for _, b := range known {
					args = append(args, b.Bench)
				}
			}
			a := siteVerifyAnswer{true, []hub.Verified{}}
			for _, bench := range args {
				v, err := f.Verify(cmd.Context(), bench)
				if err != nil {
					return siteFault(err)
				}
				a.Whole = a.Whole && len(v.Faults) == 0
				a.Benches = append(a.Benches, v)
			}
			return a.tell(cmd.OutOrStdout(), *asJSON)
		},
	}
	s.add(cmd)
	asJSON = jsonFlag(cmd)
	return cmd
}

func (a siteVerifyAnswer) tell(out io.Writer, asJSON bool) error {
	if asJSON {
		if err := answer(out, a); err != nil {
			return err
		}
	} else {
		a.print(out)
	}
	if !a.Whole {
		return stationFault(fmt.Errorf("site: a copy is not what came; docs/site.md says what to do"))
	}
	return nil
}

// print is the verdict for a person.
func (a siteVerifyAnswer) print(out io.Writer) {
	for _, v := range a.Benches {
		for _, fault := range v.Faults {
			plain.Fprintf(out, "FAULT %s: %s\n", v.Bench, fault)
		}
		if len(v.Faults) == 0 {
			plain.Fprintf(out, "%s is whole: %s, signed by both to %d\n", v.Bench, plain.Count(v.Size, "entry"), v.Signed)
		}
	}
}
