package keyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

func put(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

// A file that appears while another is made under its name is not replaced.
func TestNothingIsReplacedInBetween(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	err := Write(path, false, func(io.Writer) error { put(t, path, "mine"); return nil })
	if b, _ := os.ReadFile(path); !errors.Is(err, fs.ErrExist) || string(b) != "mine" {
		t.Errorf("got %v, %q", err, b)
	}
	Protect("ledger", path)
	if err := rename(put(t, path+".new", "x"), path, false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
}

// What is protected after a file was begun, or linked meanwhile, is spared too.
func TestProtectedInBetween(t *testing.T) {
	dir := t.TempDir()
	path, kept := filepath.Join(dir, "out"), put(t, filepath.Join(dir, "kept"), "mine")
	put(t, path, "old")
	err := Write(path, true, func(io.Writer) error {
		Protect("key", kept)
		return errors.Join(os.Remove(path), os.Symlink(kept, path))
	})
	if b, _ := os.ReadFile(kept); !errors.Is(err, ErrProtected) || string(b) != "mine" {
		t.Errorf("got %v, %q", err, b)
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAppend(t *testing.T) {
	dir := t.TempDir()
	kept, log := put(t, filepath.Join(dir, "kept"), "mine"), filepath.Join(dir, "log")
	put(t, filepath.Join(dir, "other"), "a key")
	put(t, filepath.Join(dir, "short"), "x")
	Protect("ledger", kept)
	Protect("ledger", filepath.Join(dir, "later.db"))
	if err := errors.Join(os.Link(kept, filepath.Join(dir, "hard")), os.Symlink(kept, filepath.Join(dir, "soft")),
		os.Symlink(filepath.Join(dir, "later.db"), filepath.Join(dir, "dangling")), syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kept", "hard", "soft", "later.db", "dangling", "pipe", "other", "short"} {
		if f, err := Append(filepath.Join(dir, name), "x\n"); err == nil {
			f.Close()
			t.Errorf("%s: may be appended to", name)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "later.db")); err == nil {
		t.Error("a ledger's place was taken")
	}
	for range 2 {
		f, err := Append(log, "x\n")
		if err == nil {
			_, err = fmt.Fprintln(f, "x")
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if b, _ := os.ReadFile(log); string(b) != "x\nx\n" {
		t.Errorf("got %q", b)
	}
}

// A reader protects what it reads.
func TestWhatIsReadIsSpared(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "image"), "mine")
	if _, err := Read(path, Image); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, true, text("x")); !errors.Is(err, ErrProtected) {
		t.Errorf("got %v", err)
	}
	if err := Replace(path, 0o600, []byte("own")); err != nil { // the program's own side file
		t.Error(err)
	}
}

func TestWriteSyncsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	failed := errors.New("no")
	if err := Write(path, false, func(w io.Writer) error { return errors.Join(text("half")(w), failed) }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	// What cannot be synced is given no name.
	if err := WriteFile(path, false, 0o644, func(f *os.File) error { return errors.Join(text("all")(f), f.Close()) }); !errors.Is(err, os.ErrClosed) {
		t.Errorf("not synced: got %v", err)
	}
	left, _ := os.ReadDir(filepath.Dir(path))
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := Write(path, false, text("all")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if b, _ := os.ReadFile(path); err != nil || string(b) != "all" || info.Mode().Perm() != 0o644 {
		t.Errorf("got %q, %v, %v", b, info.Mode(), err)
	}
}

// A power cut leaves a temporary file behind. The next writer into that folder
// removes it; what is being written, and what is not ours, stays.
func TestLeftTemporaryFilesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{".station-123": 48 * time.Hour, ".station-456": time.Hour, ".station-mine": 48 * time.Hour, "station-123": 48 * time.Hour} {
		path, at := filepath.Join(dir, name), time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, []byte("half"), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	err := Write(filepath.Join(dir, "new"), false, text("whole"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(dir)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	if want := []string{".station-456", ".station-mine", "new", "station-123"}; !slices.Equal(names, want) || err != nil {
		t.Errorf("got %q, want %q (%v)", names, want, err)
	}
}
