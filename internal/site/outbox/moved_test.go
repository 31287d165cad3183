package outbox

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/site"
	"station/internal/site/hub"
)

// The folder of a site that was stopped is the site: a copy of it goes on elsewhere, with
// the same passes, in which only the address is another.
func TestMovedSite(t *testing.T) {
	dir := t.TempDir()
	old, moved, file := filepath.Join(dir, "old"), filepath.Join(dir, "new"), filepath.Join(dir, "pass")
	start := func(path string) (*hub.Folder, *hub.Server) {
		f, err := hub.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.Start(t.Context(), func(text string) { t.Log(text) })
		if err != nil {
			t.Fatal(err)
		}
		return f, s
	}
	if err := hub.Init(old, hub.Config{Name: "plant-3", URL: "tls://localhost:4222", Listen: "127.0.0.1:0"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	folder, server := start(old)
	if err := errors.Join(folder.Add("bench-1", file, false), folder.Apply(t.Context())); err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	at := "localhost:4222"
	visit := func() {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		here := server.Address()
		if err := os.WriteFile(file, bytes.Replace(text, []byte("URL: tls://"+at), []byte("URL: tls://"+here), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		if b.Pass, err = site.ReadPass(file); err != nil || !strings.HasSuffix(b.Pass.URL, here) {
			t.Fatalf("the pass leads to %s: %v", b.Pass.URL, err)
		}
		at = here
		b.work(20)
		b.sign()
		if _, err := b.Push(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	visit()
	server.Close()
	if said, err := exec.Command("cp", "-a", old, moved).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v", said, err)
	}
	if err := os.RemoveAll(old); err != nil {
		t.Fatal(err)
	}
	folder, server = start(moved)
	defer server.Close()
	was, err := folder.List(t.Context())
	if err != nil || len(was) != 1 || was[0].Size < 21 || was[0].Signed == 0 {
		t.Errorf("what moved: %+v, %v", was, err)
	}
	visit()
	if v, err := folder.Verify(t.Context(), "bench-1"); err != nil || len(v.Faults) > 0 || v.Size != was[0].Size+20 {
		t.Errorf("afterwards: %+v, %v", v, err)
	}
}
