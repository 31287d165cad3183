package flow_test

import (
	"crypto/x509"
	"testing"

	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/hsm"
	"station/internal/job"
	"station/internal/station"
)

func tokenKeys(token *hsm.Token) flowtest.Keys { return station.Keys{Token: token} }

// bench is a station with a real token and a real ledger.
type bench struct{ *flowtest.Bench }

func newBench(t testing.TB, jobPath string) *bench {
	t.Helper()
	return &bench{flowtest.New(t, tokenKeys, jobPath)}
}

func newSmallBench(t testing.TB, pairs ...string) *bench {
	t.Helper()
	return &bench{flowtest.NewSmall(t, tokenKeys, pairs...)}
}

func newIdentityBench(t testing.TB, version int, form string, pairs ...string) (*bench, *x509.Certificate) {
	t.Helper()
	s, ca := flowtest.NewIdentity(t, tokenKeys, version, form, pairs...)
	return &bench{s}, ca
}

// shift is a line with real parts around it.
type shift struct{ *flowtest.Shift }

func newShift(t *testing.T, token *hsm.Token, j *job.Job, slots ...flow.Slot) *shift {
	t.Helper()
	return &shift{flowtest.NewShift(t, tokenKeys, token, j, slots...)}
}
