package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"station/fixtures"
	"station/internal/job"
)

func demoCommand(o *options) *cobra.Command {
	r := &rehearseFlags{options: o}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Seal virtual devices with the bundled example job, set up from nothing",
		Example: `  station demo
  station demo --slots 8 --count 24 --headless`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := os.MkdirTemp("", "station-demo-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			job, err := exampleJob(dir)
			if err != nil {
				return err
			}
			r.teach = true
			return r.run(cmd.Context(), job)
		},
	}
	r.add(cmd)
	return cmd
}

// exampleJob unpacks the bundled example into dir and loads its job.
func exampleJob(dir string) (*job.Job, error) {
	if err := os.CopyFS(dir, fixtures.Example); err != nil {
		return nil, fmt.Errorf("unpack the example: %w", err)
	}
	return job.Load(filepath.Join(dir, "example", "job.toml"))
}
