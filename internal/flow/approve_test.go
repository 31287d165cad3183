package flow_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/job"
)

// load reads a job that must be good.
func load(t *testing.T, path string) *job.Job {
	t.Helper()
	job, err := job.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// rewrite changes the text of a file.
func rewrite(t *testing.T, path, from, to string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(b), from) {
		t.Fatalf("%s holds no %q: %v", path, from, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), from, to, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func wantRefused(t *testing.T, err error, words ...string) {
	t.Helper()
	if !errors.Is(err, flow.ErrNotApproved) {
		t.Errorf("got %v, want a refusal", err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("no %q in %v", w, err)
		}
	}
}

// Whatever changes under an approved revision, it is not that revision any more.
func TestAnotherJobUnderTheSameRevision(t *testing.T) {
	path := flowtest.EditCopy(t, flowtest.SmallProductDir)
	s := newBench(t, path)
	r := s.Runner()
	r.Job, r.Operator = load(t, path), "eve"
	if err := r.Approve(r.Job.PlanDigest()); err != nil {
		t.Fatal(err)
	}
	approved, _, err := s.Ledger.Approval(r.Station, r.Job.PlanDigest())
	if err != nil || approved.Operator != "eve" || len(approved.Described) != len(r.Job.Description()) {
		t.Errorf("approved: %+v, %v", approved, err)
	}

	dir := filepath.Dir(path)
	app := filepath.Join(dir, "sys.bin")
	b, err := os.ReadFile(app)
	if err != nil {
		t.Fatal(err)
	}
	b[7] ^= 1
	if err := os.WriteFile(app, b, 0o644); err != nil {
		t.Fatal(err)
	}
	rewrite(t, path, `timeout = "10s"`, "timeout = \"11s\"\n[quota]\ndevices = 7")
	other := s.Runner()
	other.Job, other.Operator = load(t, path), "mallory"
	for _, digest := range []string{"", other.Job.PlanDigest()} {
		wantRefused(t, other.Approve(digest), "revision 1 of "+other.Job.Name+" was approved by eve on", "image at 0x000", `was "sys", `,
			"boot.timeout was 10s, is 11s", "quota.devices is new: 7", "count the revision up")
	}
	if ok, err := other.CheckApproval(); ok || !errors.Is(err, flow.ErrNotApproved) {
		t.Errorf("the screen is told %t, %v", ok, err)
	}

	rewrite(t, path, `revision = "1"`, `revision = "2"`)
	next := s.Runner()
	next.Job, next.Operator = load(t, path), "eve"
	wantRefused(t, next.Approve(""), "--approve "+next.Job.PlanDigest(), "mode release", "sys, ")
	wantRefused(t, next.Approve("sha256:00"), "not sha256:00", "app version", "encrypted, sha256:")
	if err := next.Approve(next.Job.PlanDigest()); err != nil {
		t.Error(err)
	}
}

// Where two people are wanted, nobody works with a plan that he approved.
func TestTwoPeople(t *testing.T) {
	s := newBench(t, flowtest.EditCopy(t, flowtest.SmallProductDir, `revision = "1"`, `revision = "2"`)) // not yet approved
	as := func(operator, approver string) *flow.Runner {
		r := s.Runner()
		r.TwoPeople, r.Operator, r.Approver = true, operator, approver
		return r
	}
	digest := s.Job.PlanDigest()
	wantRefused(t, as("anna", "").Approve(digest), "anna would approve and work", "--approver NAME")
	wantRefused(t, as("anna", " Anna ").Approve(digest), "anna would approve and work")
	wantRefused(t, as("", "eve").Approve(digest), "say who works with --operator")
	wantRefused(t, as(" ", "eve").Approve(digest), "say who works with --operator")
	if err := as("anna", "eve").Approve(digest); err != nil {
		t.Fatal(err)
	}
	e, _, err := s.Ledger.Approval(s.Runner().Station, digest)
	if err != nil || e.Operator != "eve" || e.LineOperator != "anna" {
		t.Errorf("approved: %+v, %v", e, err)
	}
	if err := as("bob", "").Approve(""); err != nil {
		t.Errorf("another operator: %v", err)
	}
	wantRefused(t, as("EVE", "").Approve(""), "EVE would approve and work")
	wantRefused(t, as("", "").Approve(""), "say who works")
	if ok, err := as("eve", "").CheckApproval(); ok || err != nil {
		t.Errorf("the screen of eve is told %t, %v", ok, err)
	}
	if err := as("eve", "bob").Approve(digest); err != nil { // somebody else has approved it now
		t.Error(err)
	}
	wantRefused(t, as("bob", "").Approve(""), "bob would approve and work")
	wantRefused(t, as("mia", "nobody").Approve("sha256:00"), "not sha256:00")
}
