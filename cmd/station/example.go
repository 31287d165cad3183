package main

import (
	"fmt"
	"os"
	"path/filepath"

	"station/fixtures"
	"station/internal/flow"
)

// exampleJob unpacks the bundled example into dir and loads its job.
func exampleJob(dir string) (*flow.Job, error) {
	if err := os.CopyFS(dir, fixtures.Example); err != nil {
		return nil, fmt.Errorf("unpack the example: %w", err)
	}
	return flow.LoadJob(filepath.Join(dir, "example", "job.toml"))
}
