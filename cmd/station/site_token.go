package main

import (
	"time"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site/hub"
)

func siteTokenCommand(s *siteFlags) *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Who may read the site's page"}
	cmd.AddCommand(siteTokenAddCommand(s), siteTokenListCommand(s), siteTokenRevokeCommand(s))
	return cmd
}

func siteTokenAddCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a token by which somebody reads the page",
		Long: `Make a token by which somebody reads the site's page, also while it is served. It is
told once, on standard output: the site's folder has only its digest. Who has it can
read all that the page shows, and change nothing.`,
		Example: `  station site token add wall-screen`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := hub.Open(s.dir); err != nil {
				return err
			}
			token, err := readersOf(s.dir).Add(args[0])
			if err != nil {
				return err
			}
			plain.Fprintf(cmd.OutOrStdout(), "%s\n", token)
			return nil
		},
	}
	s.add(cmd)
	return cmd
}

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

func siteTokenRevokeCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	cmd := &cobra.Command{
		Use:     "revoke NAME",
		Short:   "Take a token away",
		Long:    `Take a token away, also while the page is served: whoever reads with it is logged out.`,
		Example: `  station site token revoke wall-screen`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := hub.Open(s.dir); err != nil {
				return err
			}
			if err := readersOf(s.dir).Revoke(args[0]); err != nil {
				return err
			}
			plain.Fprintf(cmd.OutOrStdout(), "%s reads the page no more\n", args[0])
			return nil
		},
	}
	s.add(cmd)
	return cmd
}
