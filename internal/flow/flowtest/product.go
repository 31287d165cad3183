package flowtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/job"
)

// ExampleJob is the job file of the bundled example.
const ExampleJob = "../../fixtures/example/job.toml"

// SmallProductDir is the folder of the small product.
const SmallProductDir = "../../fixtures/small"

// SmallJob is the job file of the small product, which has a flash of 1 MB.
const SmallJob = "../../fixtures/small/job.toml"

// SmallProduct is the job of the small product, edited by pairs.
func SmallProduct(t *testing.T, pairs ...string) *job.Job {
	t.Helper()
	job, err := job.Load(EditCopy(t, SmallProductDir, pairs...))
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// EditJob copies the example and changes its job file: pairs are old and new texts.
func EditJob(t testing.TB, pairs ...string) string {
	t.Helper()
	return EditCopy(t, "../../fixtures/example", pairs...)
}

// EditCopy copies the folder of a job and changes its job file. It returns the path
// of the copied file.
func EditCopy(t testing.TB, from string, pairs ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "job.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(string(b), pairs[i]) {
			t.Fatalf("the job holds no %q", pairs[i])
		}
	}
	if err := os.WriteFile(path, []byte(strings.NewReplacer(pairs...).Replace(string(b))), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Write writes a file that a test needs.
func Write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
