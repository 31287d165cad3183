package hsmtest

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/hsm"
)

//go:embed testdata/faulty.c
var faultyModule []byte

// Faults tells the module of a Faulty token which calls to fail.
type Faults struct {
	t    testing.TB
	file string
}

// Faulty puts a PKCS#11 module between us and the real one, which fails on
// demand. It is built with the C compiler that cgo needs anyway.
func Faulty(t testing.TB, cfg hsm.Config) (hsm.Config, *Faults) {
	t.Helper()
	dir := t.TempDir()
	f := &Faults{t, filepath.Join(dir, "faults")}
	source, module := filepath.Join(dir, "faulty.c"), filepath.Join(dir, "faulty.so")
	if err := os.WriteFile(source, faultyModule, 0o600); err != nil {
		t.Fatal(err)
	}
	cc := exec.Command("cc", "-shared", "-fPIC", "-O1", "-o", module, fmt.Sprintf("-DREAL=%q", cfg.URI.ModulePath),
		fmt.Sprintf("-DFAULTS=%q", f.file), source, "-ldl")
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("build the faulty module: %v\n%s", err, out)
	}
	cfg.URI.ModulePath = module
	return cfg, f
}

// Set replaces the faults. Each is a line "NAME CODE COUNT MILLISECONDS", see
// testdata/faulty.c. No line: no fault.
func (f *Faults) Set(lines ...string) {
	f.t.Helper()
	if err := os.WriteFile(f.file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// All counts the calls of every function since the beginning.
func (f *Faults) All() int {
	b, err := os.ReadFile(f.file + ".calls")
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.Count(string(b), "\n") - f.Calls("FOR_GOOD") - f.Calls("TWO")
}

// Calls counts the calls of a function since the beginning.
func (f *Faults) Calls(name string) int {
	b, err := os.ReadFile(f.file + ".calls")
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.Count("\n"+strings.ReplaceAll(string(b), "\n", "\n\n"), "\n"+name+"\n")
}
