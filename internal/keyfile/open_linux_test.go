package keyfile

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What is no file, or too large a one, is an error before anything is read; what
// grows meanwhile is read no further than its kind goes.
func TestOnlyFilesOfASensibleSizeAreRead(t *testing.T) {
	dir := t.TempDir()
	pipe, sparse := filepath.Join(dir, "pipe"), filepath.Join(dir, "sparse")
	for _, err := range []error{syscall.Mkfifo(pipe, 0o600), os.WriteFile(sparse, nil, 0o600), os.Truncate(sparse, 4<<30)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	small := Kind{"export", 10}
	for path, want := range map[string]string{
		pipe: "it is a pipe, not a regular file", dir: "it is a folder", "/dev/zero": "it is a device",
		sparse:            "it has 4294967296 bytes, more than the 10 of the largest export",
		"/proc/self/maps": "it grows while it is read", // has no size before
	} {
		if b, err := Read(path, small); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %d bytes, %v; want %q", path, len(b), err, want)
		}
	}
}
