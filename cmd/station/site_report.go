package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"station/internal/plain"
	qa "station/internal/report"
	"station/internal/site/hub"
	"station/internal/site/replica"
)

func siteReportCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	var title string
	var limit int
	var filter filterFlags
	var out output
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Write a page about a batch, a day or a range of all benches",
		Long: `Write one HTML page as "station ledger report" does, of all benches: devices by
verdict, each once, first-pass yield, failures by code, times, slots. It names the ledger,
size and root of each bench. It reads the copies of the site that runs here, or of the
folder of one that does not. Benches with virtual devices are left out where there are
real ones. Virtual devices are never counted with real ones: --simulated counts them alone.`,
		Example: `  station site report --day 2026-11-20 --out day.html
  station site report --batch 2026-47 --out batch.html`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			defer debug.SetGCPercent(debug.SetGCPercent(400)) // a fifth less time: entries are read and forgotten by the thousand
			f, err := filter.filter()
			if err != nil {
				return fmt.Errorf("site report: %w", err)
			}
			if limit < 0 {
				return fmt.Errorf("site report: --limit %d: write a number of devices, or 0 for all", limit)
			}
			if err := out.check(); err != nil {
				return err
			}
			return s.use(cmd.Context(), func(folder *hub.Folder, set *replica.Set) error {
				benches, err := benchesToList(set, filter.simulated)
				if err != nil {
					return err
				}
				r := qa.Report{File: filepath.Base(out.path), Title: title, Filter: f, Software: version(), Made: time.Now(), Zone: time.Local, Limit: limit}
				if r.Title == "" {
					r.Title = "Report of " + cmp.Or(filter.name(), "everything") + " of the site " + folder.Name
				}
				write := func(w io.Writer) error { return r.WriteSite(w, benches) }
				if out.path == "" {
					return notTrue(write(cmd.OutOrStdout()))
				}
				if err := out.write(write); err != nil {
					return notTrue(err)
				}
				simulation := ""
				if f.Simulated {
					simulation = "SIMULATION, "
				}
				f.Simulated = false
				plain.Fprintf(cmd.ErrOrStderr(), "wrote %s (%s%d benches, %s)\n", out.path, simulation, len(benches), f)
				return nil
			})
		},
	}
	s.add(cmd)
	filter.addTimes(cmd)
	cmd.Flags().BoolVar(&filter.simulated, "simulated", false, "virtual devices instead of real ones, marked SIMULATION; of benches that have them alone, if there are any")
	cmd.Flags().StringVar(&title, "title", "", "title of the page")
	cmd.Flags().IntVar(&limit, "limit", 2000, "devices listed at most; 0 is all")
	out.add(cmd, "out", "", "`FILE` to write (default: standard output)")
	return cmd
}
