package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site/hub"
)

func siteRunCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	var page pageFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the site by itself",
		Long: `Run the site by itself; "station serve --site DIR" runs it beside the update server.
Benches come by TLS. --page serves the site's page to people: who has a token
("station site token add") sees every bench live. What it acknowledges is on the disk. Ctrl-C ends it; the benches
go on, and send later what it missed.`,
		Example: `  station site run --dir site
  station site run --dir site --page :8444`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := unbroken(cmd.Context())
			defer stop()
			if err := page.read(s.dir); err != nil {
				return err
			}
			server, err := startSite(ctx, s.dir)
			if err != nil {
				return err
			}
			defer server.Close()
			if err := page.start(ctx, server, s.dir, nil); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return page.close()
			case <-server.Replaced():
				return stationFault(errors.Join(hub.ErrReplaced, page.close()))
			}
		},
	}
	s.add(cmd)
	page.add(cmd)
	return cmd
}

// startSite runs the site of a folder until it is closed.
func startSite(ctx context.Context, dir string) (*hub.Server, error) {
	f, err := hub.Open(dir)
	if err != nil {
		return nil, err
	}
	server, err := f.Start(ctx, func(text string) { plain.Fprintf(stderr, "station: site: %s\n", text) })
	if err != nil {
		return nil, stationFault(err)
	}
	plain.Fprintf(stderr, "station: site %s at %s\n", f.Name, server.Address())
	return server, nil
}
