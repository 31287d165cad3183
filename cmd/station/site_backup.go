package main

import (
	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site/hub"
)

func siteBackupCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy the site into a folder while it runs",
		Long: `Write a copy of the site to a new folder DIR: its keys, who belongs to it, the copies of the
ledgers, names, numbers and conflicts. The site may run meanwhile, or not; each copy of a
ledger is held against its tree. DIR is the folder of a site: after the loss of the
original "station site run --dir DIR" goes on with it, and each bench sends what is newer
(docs/site.md). Never run both. DIR has the site's keys: keep it as you keep them. Of a
site on a NATS cluster the copies stay in the cluster.`,
		Example: `  station site backup /mnt/backup/site-2026-11-20`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := hub.Open(s.dir)
			if err != nil {
				return err
			}
			if err := f.Backup(cmd.Context(), args[0], func(text string) { plain.Fprintf(stderr, "station: site: %s\n", text) }); err != nil {
				return stationFault(err)
			}
			plain.Fprintf(cmd.OutOrStdout(), "wrote %s\n", args[0])
			return nil
		},
	}
	s.add(cmd)
	return cmd
}
