package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site/hub"
	"station/internal/site/replica"
	"station/internal/site/tables"
)

// syncEvery is how long it waits before it looks again, and tries a database again that
// cannot be reached. A variable for tests.
var syncEvery = 5 * time.Second

func siteSyncCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	var address string
	var once bool
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Keep tables of devices, visits and batches in a PostgreSQL database",
		Long: `Keep tables of devices, visits and batches of all benches in a PostgreSQL database, for
programs that speak SQL (docs/sql.md). It goes on with what comes as long as the site runs,
and tries again where the database cannot be reached; with --once it ends when the tables
have what the site has, also where the site does not run. Whatever ends it, the next one
goes on. What --postgres does not say, libpq's variables and files do (PGHOST, PGSERVICE,
…); a password may stand only there: ~/.pgpass, the file of PGPASSFILE, PGPASSWORD.`,
		Example: `  station site sync --postgres postgres://station@db.example/mes --once
  PGSERVICE=mes station site sync --postgres ""`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := tables.CheckAddress(address); err != nil {
				return err
			}
			ctx, stop := unbroken(cmd.Context())
			defer stop()
			if once {
				return s.syncOnce(ctx, address)
			}
			return s.syncOn(ctx, address)
		},
	}
	s.add(cmd)
	cmd.Flags().StringVar(&address, "postgres", "", "`URL` of the database, or libpq's words; without a password")
	cmd.Flags().BoolVar(&once, "once", false, "end when the tables have what the site has")
	_ = cmd.MarkFlagRequired("postgres")
	return cmd
}

// syncOn goes on until it is told to end. What is in the way is told once.
func (s *siteFlags) syncOn(ctx context.Context, address string) error {
	folder, err := hub.Open(s.dir)
	if err != nil {
		return err
	}
	last := ""
	for ctx.Err() == nil {
		if _, err = folder.List(ctx); err == nil { // else it would keep the site from starting
			err = s.syncOnce(ctx, address)
		}
		now := ""
		if err != nil && ctx.Err() == nil {
			now = err.Error()
		}
		if now != last && now != "" {
			plain.Fprintf(stderr, "station: site sync: %s; it tries again\n", now)
		}
		last = now
		select {
		case <-ctx.Done():
		case <-time.After(syncEvery):
		}
	}
	return nil
}

// syncOnce brings the tables up to what the site has.
func (s *siteFlags) syncOnce(ctx context.Context, address string) error {
	db, err := tables.Open(ctx, address)
	if err != nil {
		return stationFault(err)
	}
	defer db.Close(context.WithoutCancel(ctx))
	return s.use(ctx, func(f *hub.Folder, set *replica.Set) error {
		var all error
		for _, bench := range set.Benches() {
			b, err := f.Bench(bench)
			if err != nil && !errors.Is(err, hub.ErrNoBench) {
				return err
			}
			bar := newProgress("entries of "+bench, "entries")
			db.Told = func(_ string, entries, total uint64) { bar.tell(entries, total) }
			err = db.Bench(ctx, set, bench, b.Revoked)
			bar.end()
			all = errors.Join(all, err)
		}
		return stationFault(all)
	})
}
