package hsmtest

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"station/internal/hsm"
)

//go:embed testdata/faulty.c
var faultyModule []byte

// Faults tells the module of a Faulty token which calls to fail.
type Faults struct {
	t      testing.TB
	module string
}

// Faulty puts a PKCS#11 module between us and the real one, which fails on
// demand.
func Faulty(t testing.TB, cfg hsm.Config) (hsm.Config, *Faults) {
	t.Helper()
	b, err := faulty()
	if err != nil {
		t.Fatalf("build the faulty module: %v", err)
	}
	f := &Faults{t, filepath.Join(t.TempDir(), "faulty.so")}
	if err := errors.Join(os.WriteFile(f.module, b, 0o755), os.Symlink(cfg.URI.ModulePath, f.module+".real")); err != nil {
		t.Fatal(err)
	}
	cfg.URI.ModulePath = f.module
	return cfg, f
}

// faulty is the module, built once with the C compiler that cgo needs anyway.
var faulty = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "faulty")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, module := filepath.Join(dir, "faulty.c"), filepath.Join(dir, "faulty.so")
	if err := os.WriteFile(source, faultyModule, 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-O1", "-o", module, source, "-ldl").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return os.ReadFile(module)
})

// Set replaces the faults. Each is a line "NAME CODE COUNT MILLISECONDS", see
// testdata/faulty.c. No line: no fault.
func (f *Faults) Set(lines ...string) {
	f.t.Helper()
	if err := os.WriteFile(f.module+".faults", []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// All counts the calls of every function since the beginning.
func (f *Faults) All() int {
	b, err := os.ReadFile(f.module + ".calls")
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.Count(string(b), "\n") - f.Calls("FOR_GOOD") - f.Calls("TWO")
}

// Calls counts the calls of a function since the beginning.
func (f *Faults) Calls(name string) int {
	b, err := os.ReadFile(f.module + ".calls")
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.Count("\n"+strings.ReplaceAll(string(b), "\n", "\n\n"), "\n"+name+"\n")
}
