package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site/hub"
)

// siteFlags name the folder of a site.
type siteFlags struct {
	*options
	dir string
}

func siteCommand(o *options) *cobra.Command {
	s := &siteFlags{options: o}
	cmd := &cobra.Command{Use: "site", Short: "One record of many stations"}
	cmd.AddCommand(siteInitCommand(s), siteAddCommand(s), siteRevokeCommand(s), siteRunCommand(s), siteListCommand(s), siteShowCommand(s), siteVerifyCommand(s), siteReleaseCommand(s), sitePushCommand(o))
	return cmd
}

func (s *siteFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.dir, "dir", "site", "`DIR` of the site")
}

// apply lets the running site know who may come now.
func (s *siteFlags) apply(ctx context.Context, f *hub.Folder) error {
	err := f.Apply(ctx)
	if errors.Is(err, hub.ErrNotRunning) {
		plain.Fprintf(stderr, "station: the site does not run on this machine: it holds from its next start\n")
		return nil
	}
	return stationFault(err)
}
