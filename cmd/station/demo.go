package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"station/fixtures"
	"station/internal/chip"
	"station/internal/job"
	"station/internal/sim"
)

func demoCommand(o *options) *cobra.Command {
	r, name := &rehearseFlags{options: o}, ""
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Seal virtual devices with a bundled example job, set up from nothing",
		Example: `  station demo
  station demo --chip ` + sim.Families()[1].Name + `
  station demo --slots 8 --count 24 --headless`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := os.MkdirTemp("", "station-demo-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			job, err := exampleOf(dir, name)
			if err != nil {
				return err
			}
			r.teach = true
			return r.run(cmd.Context(), job)
		},
	}
	r.add(cmd)
	cmd.Flags().StringVar(&name, "chip", chip.Known(nil).Name, "the example for this chip: "+chipNames())
	return cmd
}

// exampleOf unpacks the bundled example for a chip into dir and loads its job.
func exampleOf(dir, name string) (*job.Job, error) {
	switch f := chip.ByName(name); f {
	case nil:
		return nil, fmt.Errorf("demo: --chip %q: write one of %s", name, chipNames())
	case chip.Known(nil):
		return exampleJob(dir)
	}
	if err := os.CopyFS(dir, fixtures.Chips); err != nil {
		return nil, fmt.Errorf("unpack the example: %w", err)
	}
	return job.Load(filepath.Join(dir, "chips", name, "job.toml"))
}

// exampleJob unpacks the bundled example into dir and loads its job.
func exampleJob(dir string) (*job.Job, error) {
	if err := os.CopyFS(dir, fixtures.Example); err != nil {
		return nil, fmt.Errorf("unpack the example: %w", err)
	}
	return job.Load(filepath.Join(dir, "example", "job.toml"))
}
