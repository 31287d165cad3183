package flow

import (
	"strings"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/job"
)

// A pattern of absurd size is refused when the job is read, and so is what is
// scanned.
func TestAbsurdPatterns(t *testing.T) {
	for _, pattern := range []string{strings.Repeat("a", 1<<20), strings.Repeat("(a", 400) + strings.Repeat("){1,9}", 400), "((a{1000}){1000}){1000}", "("} {
		if _, err := (job.Serial{Pattern: pattern}).Regexp(); err == nil {
			t.Errorf("%.20s... of %d bytes was taken", pattern, len(pattern))
		}
	}
	widest := job.Serial{Pattern: strings.Repeat("(a?){99}", 10)}
	s := NewSerials(&job.Job{Serial: &widest}, nil)
	begun := time.Now()
	if err := s.Scan("", strings.Repeat("a", 64<<10)); err == nil {
		t.Error("a serial number of 64 KiB was taken")
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	s = NewSerials(&job.Job{Serial: &job.Serial{Pattern: "a+"}}, func(string) (chip.MAC, bool, error) { return chip.MAC{}, false, nil })
	if err := s.Scan("", strings.Repeat("a", maxSerial+1)); err == nil {
		t.Errorf("a serial number of %d bytes was taken", maxSerial+1)
	}
	if err := s.Scan("", strings.Repeat("a", maxSerial)); err != nil {
		t.Errorf("a serial number of %d bytes: %v", maxSerial, err)
	}
}
