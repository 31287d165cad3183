package main

import (
	"context"
	"errors"
	"fmt"

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
			ctx, end := whileSite(ctx, server)
			defer end()
			if err := page.start(ctx, server, s.dir, nil); err != nil {
				return err
			}
			<-ctx.Done()
			return errors.Join(replaced(ctx), page.close())
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

// whileSite ends with the context, or when another process has taken the site over.
func whileSite(ctx context.Context, at *hub.Server) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-at.Replaced():
			end(hub.ErrReplaced)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { end(nil) }
}

// replaced tells whether what has ended with whileSite did so because the site was taken over.
func replaced(ctx context.Context) error {
	if err := context.Cause(ctx); errors.Is(err, hub.ErrReplaced) {
		return stationFault(fmt.Errorf("site: %w", err))
	}
	return nil
}
