package main

import (
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"

	"station/internal/plain"
	qa "station/internal/report"
	"station/internal/site/hub"
	"station/internal/site/replica"
)

func siteExportCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	var of exportFlags
	var out output
	var device string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write devices or entries of all benches as CSV, JSON lines or XLSX",
		Long: `Write the table of devices or of entries of all benches as "station ledger export"
does, with the bench behind the other columns. A device stands there once, as the bench
has it whose device it is, also where it was tried at others. It reads the copies of the
site that runs here, or of the folder of one that does not. Benches with virtual devices
are left out where there are real ones. Where nothing is as wanted the exit code is 1.`,
		Example: `  station site export --batch 2026-47 --out devices.csv
  station site export --table entries --day 2026-11-20 --out day.xlsx`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			defer debug.SetGCPercent(debug.SetGCPercent(400)) // rows are made and forgotten by the thousand
			x, err := of.export(out.path)
			if err != nil {
				return fmt.Errorf("site export: %w", err)
			}
			if err := out.check(); err != nil {
				return err
			}
			return s.use(cmd.Context(), func(f *hub.Folder, set *replica.Set) error {
				site := qa.SiteExport{Export: x, Site: f.Name}
				if site.Benches, err = benchesToList(set, of.simulated); err != nil {
					return err
				}
				if site.Filter.MAC, err = macsOf(set, device); err != nil {
					return fmt.Errorf("site export: --mac: %w", err)
				}
				bar := newProgress("exporting", "rows")
				defer bar.end()
				site.Progress = func(rows uint64) { bar.tell(rows, 0) }
				stream := cmd.OutOrStdout()
				if x.Format == qa.XLSX {
					stream = plain.Raw(stream)
				}
				var rows uint64
				write := func(w io.Writer) (err error) { rows, err = site.Write(w); return err }
				if out.path == "" {
					err = write(stream)
				} else if err = out.write(write); err == nil {
					bar.end()
					plain.Fprintf(cmd.ErrOrStderr(), "wrote %s (%s, %s)\n", out.path, plain.Count(rows, "row"), site.Filter)
				}
				if err == nil && rows == 0 {
					return &codedError{exitFailed, fmt.Errorf("site export: the site has no %s (%s): what was written has the columns alone", x.Table.Name, site.Filter)}
				}
				return notTrue(err)
			})
		},
	}
	s.add(cmd)
	of.add(cmd)
	cmd.Flags().StringVar(&device, "mac", "", "one device by its MAC, serial number or ID (`NAME`), or a range MAC..MAC")
	cmd.Flags().BoolVar(&of.simulated, "simulated", false, "virtual devices too, marked SIMULATION; of benches that have them alone, if there are any")
	out.add(cmd, "out", "", "`FILE` to write (default: standard output)")
	return cmd
}

// macsOf is the device of a name at any bench, or a range of MACs.
func macsOf(set *replica.Set, text string) (qa.Range, error) {
	if text == "" {
		return qa.Range{}, nil
	}
	if r, err := qa.ParseMACs(text); err == nil {
		return r, nil
	}
	mac, err := oneMAC(set, text)
	if err != nil {
		return qa.Range{}, err
	}
	return qa.Range{From: mac.String(), To: mac.String()}, nil
}
