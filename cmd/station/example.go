package main

import (
	"fmt"
	"os"
	"path/filepath"

	"station/fixtures"
	"station/internal/job"
)

// exampleJob unpacks the bundled example into dir and loads its job.
func exampleJob(dir string) (*job.Job, error) {
	if err := os.CopyFS(dir, fixtures.Example); err != nil {
		return nil, fmt.Errorf("unpack the example: %w", err)
	}
	return job.Load(filepath.Join(dir, "example", "job.toml"))
}
