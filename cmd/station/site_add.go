package main

import (
	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site/hub"
)

func siteAddCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	var out output
	cmd := &cobra.Command{
		Use:   "add BENCH",
		Short: "Let a bench in: one file for it",
		Long: `Let a bench in, also while the site runs. The file is all that the bench needs: the
address, the CA and the key of the site, and a key of the bench's own, which is a
secret. Bring it to the bench, name it as pass under [site] in the station file there,
and leave no copy. BENCH is the id of that station file.`,
		Example: `  station site add bench-7 --out bench-7.pass`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := hub.Open(s.dir)
			if err != nil {
				return err
			}
			if err := f.Add(args[0], out.path, out.overwrite); err != nil {
				return err
			}
			plain.Fprintf(cmd.OutOrStdout(), "%s belongs to the site %s with %s\n", args[0], f.Name, out.path)
			return s.apply(cmd.Context(), f, "it lets the bench in from its next start, or revoke the bench and add it again")
		},
	}
	s.add(cmd)
	out.add(cmd, "out", "", "`FILE` for the bench, which nobody else may read")
	_ = cmd.MarkFlagRequired("out")
	return cmd
}
