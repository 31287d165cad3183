//go:build cross

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A build without cgo does everything but what needs the token, and says so.
func TestWithoutCgo(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "station")
	build := exec.Command("go", "build", "-ldflags=-w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for from, to := range map[string]string{"../../fixtures/ledger/v1": "v1", "../../fixtures/example": "example"} {
		if err := os.CopyFS(filepath.Join(dir, to), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	const (
		book  = " --ledger v1/ledger.db"
		token = " --station example/station.toml"
		none  = "this build has no PKCS#11 (built without cgo)"
	)
	for _, c := range []struct {
		words string
		code  int
		want  string // in what it prints
	}{
		{"ledger verify --key v1/signer.pem" + book, 0, "94 entries, 6 devices"},
		{"ledger list" + book, 0, "24:0a:c4:00:00:01"},
		{"ledger check v1/devices.jsonl --key v1/signer.pem", 0, "devices.jsonl: OK"},
		{"ledger check v1/batch.certificate --key v1/signer.pem", 0, "batch.certificate: OK"},
		{"ledger check v1/devices.jsonl --ledger v1/ledger.db", 0, "devices.jsonl: OK"},
		{"ledger export --out devices.csv" + book, 0, "6 rows"},
		{"ledger export --out devices.xlsx" + book, 0, "6 rows"},
		{"ledger report --out report.html" + book, 0, "6 rows"},
		{"ledger prove 24:0a:c4:00:00:02" + book, 0, "24:0a:c4:00:00:02"},
		{"image info example/build/station-example.bin", 0, "app, 204880 bytes"},
		{"job check example/job.toml", 0, "plan digest  sha256:"},
		{"ports" + token, 0, "SLOT"},
		{"rehearse --headless --job example/job.toml", exitStation, none},
		{"demo --headless", exitStation, none},
		{"hsm status" + token, exitStation, none},
		{"key list" + token, exitStation, none},
		{"ledger report --sign --out signed.html" + token + book, exitStation, none},
		{"run --once --headless --operator anna --job example/job.toml --port socket://127.0.0.1:1" + token, exitStation, none},
	} {
		cmd := exec.Command(program, strings.Fields(c.words)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		code := 0
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("station %s: exit %d, want %d and %q:\n%s", c.words, code, c.code, c.want, out)
		}
	}
}
