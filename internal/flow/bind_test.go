package flow

import (
	"strings"
	"testing"
	"time"
)

// A pattern of absurd size is refused when the job is read, and so is what is
// scanned.
func TestAbsurdPatterns(t *testing.T) {
	for _, pattern := range []string{strings.Repeat("a", 1<<20), strings.Repeat("(a", 400) + strings.Repeat("){1,9}", 400), "((a{1000}){1000}){1000}", "("} {
		if _, err := (JobSerial{Pattern: pattern}).regexp(); err == nil {
			t.Errorf("%.20s... of %d bytes was taken", pattern, len(pattern))
		}
	}
	widest := JobSerial{Pattern: strings.Repeat("(a?){99}", 10)}
	s := (&Job{Serial: &widest}).Serials(nil)
	begun := time.Now()
	if err := s.Scan("", strings.Repeat("a", 64<<10)); err == nil {
		t.Error("a serial number of 64 KiB was taken")
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
