package flow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/matrixtest"
	"station/internal/record"
)

func TestFailuresAreWholeAndUnique(t *testing.T) {
	seen := map[Code]bool{}
	for _, k := range Failures {
		if seen[k.Code] || !strings.HasPrefix(string(k.Code), "E-") {
			t.Errorf("%s: stands twice or has no E-", k.Code)
		}
		seen[k.Code] = true
		if k.Verdict == "" || (k.Verdict == record.Pass) != (k.Code == LabelMissing) || !strings.HasSuffix(k.Sentence, ".") || !strings.HasSuffix(k.Action, ".") {
			t.Errorf("%s: %+v", k.Code, k)
		}
	}
	for _, s := range sentinels {
		if !seen[s.code] {
			t.Errorf("%v leads to %s, which is not in the table", s.is, s.code)
		}
	}
}

func TestFailureFrom(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Code
	}{
		{fmt.Errorf("read: %w", chip.ErrPortGone), "E-PORT-GONE"},
		{Fail("E-BAUD", chip.ErrNoAnswer), "E-BAUD"},
		{fmt.Errorf("flash: %w", Fail("E-ROM", chip.ErrPortGone)), "E-ROM"},
		{context.Canceled, "E-STOPPED"},
	} {
		if got := FailureFrom(c.err).Code; got != c.want {
			t.Errorf("%v: got %s, want %s", c.err, got, c.want)
		}
	}
	if kind := FailureOf("E-UNHEARD-OF"); kind.Verdict != record.Quarantine {
		t.Errorf("an unknown code is %s", kind.Verdict)
	}
	if Fail("E-ROM", nil) != nil || !errors.Is(Fail("E-ROM", chip.ErrDeaf), chip.ErrDeaf) {
		t.Error("Fail loses its cause")
	}
}

// docs/failures.md is the table, rendered. Run with -update after a change.
func TestFailuresDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Failures\n\nEvery way to fail has a stable code, a sentence for the operator and an action. Generated from\n`internal/flow/failure.go`.\n\n| code | verdict | what the operator reads | what to do |\n|---|---|---|---|\n")
	for _, k := range Failures {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Code, k.Verdict, k.Sentence, k.Action)
	}
	const path = "../../docs/failures.md"
	if *matrixtest.Update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || string(have) != b.String() {
		t.Errorf("%s is not the table (%v); go test ./internal/flow -update", path, err)
	}
}

// No right to a port is a fault of the port, whoever asks; no device has said
// anything yet.
func TestPortFailure(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Code
	}{
		{fmt.Errorf("port /dev/ttyUSB0: %w: add this user to the group dialout", fs.ErrPermission), "E-PORT"},
		{errors.New("not a serial port"), "E-PORT"},
		{fmt.Errorf("port: %w", chip.ErrPortBusy), "E-PORT-BUSY"},
		{fmt.Errorf("port: %w", chip.ErrPortAbsent), "E-PORT"},
	} {
		if f := PortFailure(c.err); f.Code != c.want || f.Kind().Verdict != record.Station {
			t.Errorf("%v: got %s", c.err, f.Code)
		}
	}
}
