package flow

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"station/internal/bootlog"
	"station/internal/job"
	"station/internal/record"
)

// boot resets the chip into its firmware and reads the console: encryption
// must be on and the job's marker seen. Every known way to fail is named.
func boot(ctx context.Context, s *Session) error {
	if s.inLoader && s.Job.Encrypts() && !s.Fuses.EncryptionOn() {
		return failf("E-FUSE-WRONG", "%s is even: the chip would not decrypt its flash", s.ID.Of().Seal.Count)
	}
	timeout := time.Duration(s.Job.Boot.Timeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	early := &lateStart{cancel: cancel}
	defer early.stop()
	s.inLoader = false
	begin := time.Now()
	watch, id, seen := bootlog.NewWatch(s.Job.Boot.Marker), bootlog.NewWatch(s.idLine()), 0
	s.Chip.SetConsole(s.Job.Boot.Rate())
	log, err := s.Chip.Boot(ctx, func(log []byte) bool {
		watch.Add(log[seen:])
		if s.idLine() != "" {
			id.Add(log[seen:])
		}
		seen = len(log)
		_, found := watch.Marker()
		_, known := id.Marker()
		report := watch.Report()
		early.see(report)
		return found && (known || s.idLine() == "") || decided(report)
	})
	seconds := time.Since(begin).Seconds()
	s.console = log
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && !early.done() {
		return err
	}
	line, found := watch.Marker()
	report := watch.Report()
	if err := judge(report, len(log), found, s.Job.Boot.Marker, timeout); err != nil {
		return err
	}
	if err := runs(s.Job, report.Version); err != nil {
		return err
	}
	if err := checksSignatures(s.Job, report); err != nil {
		return err
	}
	if _, known := id.Marker(); s.idLine() != "" && !known {
		return s.unknownToItself(log)
	}
	s.lastBoot = record.Boot{Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(log)), Marker: line, Seconds: seconds}
	return s.note(record.Entry{Kind: record.BootVerified, Keys: s.Held.named(), Boot: &s.lastBoot})
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

// decided reports that waiting longer cannot turn the boot into a good one: a
// fault of one start may be the supply that rose, of two it is the device's.
func decided(r bootlog.Report) bool {
	return r.Decided || r.Loop || r.Brownout || selfKey(r)
}

// selfKey reports a chip that makes a key of its own: nothing undoes it.
func selfKey(r bootlog.Report) bool { return r.Found("self-encrypting") || r.Found("self-encrypted") }

// restart is how long after a fault of ROM or bootloader the chip's watchdog
// has started it again.
const restart = 3 * time.Second

// lateStart ends the wait for a start that follows a fault and does not come.
type lateStart struct {
	cancel context.CancelFunc
	timer  *time.Timer
	ended  atomic.Bool
}

// see looks at a console: while its last start has a fault, time runs.
func (g *lateStart) see(r bootlog.Report) {
	if r.Failed == (g.timer != nil) {
		return
	}
	if !r.Failed {
		g.timer.Stop()
		g.timer = nil
		return
	}
	g.timer = time.AfterFunc(restart, func() { g.ended.Store(true); g.cancel() })
}

func (g *lateStart) stop() {
	if g.timer != nil {
		g.timer.Stop()
	}
}

func (g *lateStart) done() bool { return g.ended.Load() }

// runs reports that an application which says its version is the job's.
func runs(j *job.Job, version string) error {
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

// appFailures are the failures of an application that have a name of their own.
var appFailures = map[string]Code{
	"psram-missing": "E-BOOT-PSRAM", "single-core": "E-BOOT-CORES",
	"heap-corrupt": "E-BOOT-HEAP", "stack-overflow": "E-BOOT-STACK", "app-assert": "E-BOOT-ASSERT",
}

// refusals are the faults by which secure boot ends a start.
var refusals = map[string]Code{
	"secure-boot-v1": "E-SIGNATURE-BOOT", "secure-boot-v2": "E-SIGNATURE-BOOT",
	"app-signature": "E-SIGNATURE-APP", "app-unsigned": "E-SIGNATURE-APP",
}

// verified are the lines of a good start by which ROM or bootloader say that
// secure boot of a version is on.
var verified = map[int][]string{
	1: {"secure-boot-v1-on"},
	2: {"secure-boot-accepted", "secure-boot-v2-on"},
}

// checksSignatures reports that the device itself said that it checks what it
// starts. The fuses were read back; this is what they do.
func checksSignatures(j *job.Job, r bootlog.Report) error {
	said, wanted := verified[j.SecureBoot.Version]
	if !wanted || slices.ContainsFunc(said, r.Found) {
		return nil
	}
	return failf("E-SIGNATURE-UNSEEN", "neither ROM nor bootloader said that secure boot version %d is on; the bootloader says so where it was built with CONFIG_SECURE_BOOT and the log level Info", j.SecureBoot.Version)
}

// ofApp is the first of them in a start without an earlier fault: what follows
// it is mostly its consequence.
func ofApp(r bootlog.Report) *bootlog.Finding {
	for i, f := range r.Findings {
		switch {
		case appFailures[f.Code] != "":
			return &r.Findings[i]
		case f.Fatal:
			return nil
		}
	}
	return nil
}

func judge(r bootlog.Report, size int, found bool, marker string, timeout time.Duration) error {
	f, bad := r.Fault()
	switch {
	case found: // in the last start, and its ROM and bootloader found no fault
		return nil
	case r.Brownout:
		return failf("E-BROWNOUT", "the console tells of a brownout")
	case selfKey(r):
		return failf("E-BOOT-SELFKEY", "%s: %s", f.Line, f.Meaning)
	case ofApp(r) != nil:
		f := ofApp(r)
		return failf(appFailures[f.Code], "%s: %s; %s", f.Line, f.Meaning, f.Cause)
	case bad:
		return failf(cmp.Or(refusals[f.Code], "E-BOOT-FAILED"), "%s: %s; %s", f.Line, f.Meaning, f.Cause)
	case r.Loop:
		return failf("E-BOOT-FAILED", "the chip resets again and again")
	case r.Found("app-watchdog"):
		return failf("E-BOOT-FAILED", "the application hangs, and %q did not appear within %v", marker, timeout)
	case r.Found("app-crash"):
		return failf("E-BOOT-FAILED", "the application crashed, and %q did not appear within %v", marker, timeout)
	case size == 0:
		return failf("E-BOOT-SILENT", "no console text within %v", timeout)
	}
	return failf("E-BOOT-MARKER", "%q did not appear within %v", marker, timeout)
}
