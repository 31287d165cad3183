package main

import (
	"time"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site/hub"
)

// siteReader is who has a token; the digest is nobody's business.
type siteReader struct {
	Name string    `json:"name"`
	Made time.Time `json:"made"`
}

type siteReadersAnswer struct {
	Readers []siteReader `json:"readers"`
}

func siteTokenListCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	var asJSON *bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List who has a token",
		Example: `  station site token list`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := hub.Open(s.dir); err != nil {
				return err
			}
			list, err := readersOf(s.dir).List()
			if err != nil {
				return err
			}
			a := siteReadersAnswer{[]siteReader{}}
			for _, r := range list {
				a.Readers = append(a.Readers, siteReader{r.Name, r.Made})
			}
			if *asJSON {
				return answer(cmd.OutOrStdout(), a)
			}
			for _, r := range a.Readers {
				plain.Fprintf(cmd.OutOrStdout(), "%-24s made %s\n", r.Name, r.Made.Format(time.RFC3339))
			}
			return nil
		},
	}
	s.add(cmd)
	asJSON = jsonFlag(cmd)
	return cmd
}
