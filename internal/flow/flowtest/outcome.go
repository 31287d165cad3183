package flowtest

import (
	"testing"

	"station/internal/flow"
	"station/internal/record"
)

// WantVerdict ends the test where a visit ended otherwise.
func WantVerdict(t *testing.T, out flow.Outcome, verdict record.Verdict, code flow.Code) {
	t.Helper()
	var got flow.Code
	if out.Failure != nil {
		got = out.Failure.Code
	}
	if out.Verdict != verdict || got != code {
		t.Fatalf("got %s %v, want %s %s", out.Verdict, out.Failure, verdict, code)
	}
}

// CodeOf is the code with which a visit ended, or the verdict of one without a failure.
func CodeOf(out flow.Outcome) flow.Code {
	if out.Failure == nil {
		return flow.Code(out.Verdict)
	}
	return out.Failure.Code
}

// OfASite are the failures that a bench has by its site. The tests of package
// station provoke them, which knows sites; those of flow all others.
var OfASite = []flow.Code{"E-LEDGER-SITE", "E-SITE", "E-CLAIMED", record.Conflicting, record.ElsewhereCode}
