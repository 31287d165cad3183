package station

import (
	"testing"

	"station/internal/record"
	"station/internal/sim"
)

// A firmware whose console is not at 115200 is read at the job's rate; a job
// that does not say it sees no marker.
func TestConsoleAtAnotherRate(t *testing.T) {
	t.Run("said", timeless(func(t *testing.T) {
		s := newStation(t, editJob(t, `timeout = "10s"`, "timeout = \"10s\"\nbaud = 921600"))
		wantVerdict(t, s.visit(newChip(t, sim.Options{Console: 921600})), record.Pass, "")
	}))
	t.Run("not said", timeless(func(t *testing.T) {
		s := newStation(t, editJob(t, `timeout = "10s"`, `timeout = "1s"`))
		wantVerdict(t, s.visit(newChip(t, sim.Options{Console: 921600})), record.Retry, "E-BOOT-MARKER")
	}))
}
