package flow

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"station/internal/bootlog"
	"station/internal/record"
)

// boot resets the chip into its firmware and reads the console: encryption
// must be on and the job's marker seen. Every known way to fail is named.
func boot(ctx context.Context, s *Session) error {
	if s.inLoader && !s.Fuses.EncryptionOn() {
		return failf("E-FUSE-WRONG", "FLASH_CRYPT_CNT is even: the chip would not decrypt its flash")
	}
	timeout := time.Duration(s.Job.Boot.Timeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s.inLoader = false
	begin := time.Now()
	watch, seen := bootlog.NewWatch(s.Job.Boot.Marker), 0
	log, err := s.Chip.Boot(ctx, func(log []byte) bool {
		watch.Add(log[seen:])
		seen = len(log)
		_, found := watch.Marker()
		return found || decided(watch.Report())
	})
	seconds := time.Since(begin).Seconds()
	s.console = log
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	line, found := watch.Marker()
	report := watch.Report()
	if err := judge(report, len(log), found, s.Job.Boot.Marker, timeout); err != nil {
		return err
	}
	if err := s.Job.runs(report.Version); err != nil {
		return err
	}
	s.lastBoot = record.Boot{Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(log)), Marker: line, Seconds: seconds}
	return s.note(record.Entry{Kind: record.BootVerified, KeyID: s.Key.ID, Boot: &s.lastBoot})
}

// consoleKept is how much of the end of a console an event tells.
const consoleKept = 4 << 10

// takeConsole is the end of the console that no event has told yet.
func (s *Session) takeConsole() string {
	log := s.console
	s.console = nil
	return strings.ToValidUTF8(string(log[max(0, len(log)-consoleKept):]), "?")
}

// lastBoots is how often a closed device is started: it cannot be put back.
const lastBoots = 3

// lastBoot is boot after everything is burned.
func lastBoot(ctx context.Context, s *Session) error {
	for try := 1; ; try++ {
		err := boot(ctx, s)
		if err == nil || !s.closing || try == lastBoots || FailureFrom(err).Kind().Verdict != record.Retry {
			return err
		}
	}
}

// decided reports that waiting longer cannot turn the boot into a good one.
func decided(r bootlog.Report) bool {
	_, bad := r.Fault()
	return bad || r.Loop || r.Brownout
}

// runs reports that an application which says its version is the job's.
func (j *Job) runs(version string) error {
	var ours []string
	for _, r := range j.Regions {
		if r.Version != "" {
			ours = append(ours, r.Version)
		}
	}
	if version == "" || len(ours) == 0 || slices.Contains(ours, version) {
		return nil
	}
	return failf("E-BOOT-VERSION", "the application calls itself version %q, the job has %q", version, ours)
}

func judge(r bootlog.Report, size int, found bool, marker string, timeout time.Duration) error {
	f, bad := r.Fault()
	switch {
	case r.Brownout:
		return failf("E-BROWNOUT", "the console tells of a brownout")
	case bad && (f.Code == "self-encrypting" || f.Code == "self-encrypted"):
		return failf("E-BOOT-SELFKEY", "%s: %s", f.Line, f.Meaning)
	case bad:
		return failf("E-BOOT-FAILED", "%s: %s; %s", f.Line, f.Meaning, f.Cause)
	case r.Loop:
		return failf("E-BOOT-FAILED", "the chip resets again and again")
	case found:
		return nil
	case r.Found("app-crash"):
		return failf("E-BOOT-FAILED", "the application crashed, and %q did not appear within %v", marker, timeout)
	case size == 0:
		return failf("E-BOOT-SILENT", "no console text within %v", timeout)
	}
	return failf("E-BOOT-MARKER", "%q did not appear within %v", marker, timeout)
}
