package station

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// editJob copies the example and changes its job file.
func editJob(t testing.TB, pairs ...string) string {
	t.Helper()
	return editCopy(t, "../../fixtures/example", pairs...)
}

// editCopy copies the folder of a job and changes its job file.
func editCopy(t testing.TB, from string, pairs ...string) string {
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
