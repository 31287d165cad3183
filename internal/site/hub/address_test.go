package hub

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"station/internal/keyfile"
	"station/internal/site"
)

// A site that does not run gets its address, the certificate with all of its names, and the
// port that it listens at.
func TestAddressOfStoppedSite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if err := Init(dir, Config{Name: "plant-1", URL: "tls://site.example:4222"}, []string{"10.0.0.7"}, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	was := f.Config
	for _, bad := range []string{"new.example:4222", "nats://new.example:4222", "tls://new.example", "tls://:4222", "tls://new.example:4222/x y", "tls://new.example:4222/", "tls://new.example:4222?x",
		"tls://new.example:4222#x", "tls://eve:secret@new.example:4222", "tls://*.example:4222", "tls://new,old:4222", "tls://new..example:4222", "tls://new.example.:4222", "tls://new.example:0",
		"tls://new.example:04222", "tls://new.example:65536", "tls://[fe80::1%25eth0]:4222", "tls://-new:4222", "tls://" + strings.Repeat("a", 64) + ":4222", "tls://new.example:4222,tls://old.example:4222"} {
		if _, err := f.Move(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "tls://HOST:PORT") || f.Config != was {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if m, err := f.Move(t.Context(), "tls://new.example:5222"); !errors.Is(err, ErrNotRunning) || !m.Certified || !m.Listens {
		t.Errorf("moved: %+v, %v", m, err)
	}
	first := f.Since
	if m, err := f.Move(t.Context(), "tls://site.example:5222"); !errors.Is(err, ErrNotRunning) || m.Certified || m.Listens || !f.Since.After(first) {
		t.Errorf("moved back: %+v, %v, since %s", m, err, f.Since)
	}
	now, err := Open(dir)
	if err != nil || now.URL != "tls://site.example:5222" || now.Listen != ":5222" || !now.Since.Equal(f.Since) {
		t.Errorf("site.json says %+v, %v", now, err)
	}
	pass, err := site.ReadPass(f.path("admin.pass"))
	if err != nil || pass.URL != now.URL {
		t.Errorf("the admin looks for it at %+v, %v", pass, err)
	}
	cert, err := keyfile.ReadCertificate(f.path("server.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"site.example", "new.example", "localhost", "127.0.0.1", "10.0.0.7"} {
		if err := cert.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := ReadOwn(f.path("server.pem"), f.path("server.key"), f.path("ca.pem")); err != nil {
		t.Errorf("it does not belong to its key and CA: %v", err)
	}
}

// A certificate of somebody else's CA is left alone: what to do is said, and nothing has changed.
func TestAddressNotInOwnCertificate(t *testing.T) {
	dir := t.TempDir()
	maker := &Folder{Dir: filepath.Join(dir, "plant-2")}
	if err := Init(maker.Dir, Config{Name: "plant-2", URL: "tls://site.example:4222"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	own, err := ReadOwn(maker.path("server.pem"), maker.path("server.key"), maker.path("ca.pem"))
	if err == nil {
		err = Init(filepath.Join(dir, "site"), Config{Name: "plant-1", URL: "tls://site.example:4222"}, nil, own)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(filepath.Join(dir, "site"))
	if err != nil {
		t.Fatal(err)
	}
	files := func() (all []byte) {
		for _, name := range []string{"site.json", "server.pem", "admin.pass"} {
			data, err := os.ReadFile(f.path(name))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, data...)
		}
		return all
	}
	was := files()
	if _, err := f.Move(t.Context(), "tls://new.example:4222"); err == nil || !strings.Contains(err.Error(), "let that CA make one with this name") {
		t.Errorf("a name that is not in it: %v", err)
	}
	if !bytes.Equal(files(), was) {
		t.Error("the folder has changed")
	}
	if m, err := f.Move(t.Context(), "tls://localhost:4222"); !errors.Is(err, ErrNotRunning) || m.Certified {
		t.Errorf("a name that is in it: %+v, %v", m, err)
	}
}

// A site that was killed does not run, though its folder has the address at which it listened:
// what commands change holds from its next start.
func TestKilledSiteDoesNotRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if err := Init(dir, Config{Name: "plant-1", URL: "tls://localhost:4222"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		err = errors.Join(os.WriteFile(f.path("address"), []byte(l.Addr().String()), 0o600), l.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.List(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("list: %v", err)
	}
	if m, err := f.Move(t.Context(), "tls://new.example:4222"); !errors.Is(err, ErrNotRunning) || !m.Certified {
		t.Errorf("moved: %+v, %v", m, err)
	}
	pass, err := site.ReadPass(f.path("admin.pass"))
	if err != nil || pass.Address != f.address() {
		t.Errorf("the admin looks for it at %+v: %v", pass.Address, err)
	}
}

// Of those who move the site, or let benches in and put them out, at the same time, each does
// it on what the one before has left.
func TestFolderIsChangedByOneAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if err := Init(dir, Config{Name: "plant-1", URL: "tls://site.example:4222"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	const many = 32
	var all sync.WaitGroup
	var added atomic.Int32
	for i := range many {
		all.Go(func() {
			f, err := Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := f.Move(t.Context(), fmt.Sprintf("tls://new-%d.example:4222", i)); !errors.Is(err, ErrNotRunning) {
				t.Error(err)
			}
			if f.Add("bench-1", filepath.Join(t.TempDir(), "pass"), false) == nil {
				added.Add(1)
			}
		})
	}
	all.Wait()
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := keyfile.ReadCertificate(f.path("server.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range many {
		if err := cert.VerifyHostname(fmt.Sprintf("new-%d.example", i)); err != nil {
			t.Error(err)
		}
	}
	pass, err := site.ReadPass(f.path("admin.pass"))
	if err != nil || pass.Address != f.address() {
		t.Errorf("the admin looks for it at %+v, and it is at %+v: %v", pass.Address, f.address(), err)
	}
	if added.Load() != 1 {
		t.Errorf("one bench was let in %d times", added.Load())
	}
}
