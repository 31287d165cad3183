package flow_test

import (
	"testing"

	"station/internal/flow/flowtest"
	"station/internal/record"
	"station/internal/sim"
)

// A firmware whose console is not at 115200 is read at the job's rate; a job
// that does not say it sees no marker.
func TestConsoleAtAnotherRate(t *testing.T) {
	t.Run("said", timeless(func(t *testing.T) {
		s := newBench(t, flowtest.EditJob(t, `timeout = "10s"`, "timeout = \"10s\"\nbaud = 921600"))
		flowtest.WantVerdict(t, s.Visit(flowtest.NewChip(t, sim.Options{Console: 921600})), record.Pass, "")
	}))
	t.Run("not said", timeless(func(t *testing.T) {
		s := newBench(t, flowtest.EditJob(t, `timeout = "10s"`, `timeout = "1s"`))
		flowtest.WantVerdict(t, s.Visit(flowtest.NewChip(t, sim.Options{Console: 921600})), record.Retry, "E-BOOT-MARKER")
	}))
}
