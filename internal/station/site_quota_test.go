package station

import (
	"errors"
	"strings"
	"testing"

	"station/internal/flow/flowtest"
	"station/internal/record"
)

// Benches share the quota of a batch: no number is given twice, and no device is made
// too many, whether a bench may work without the site or not.
func TestQuotaOfASite(t *testing.T) {
	for _, offline := range []Offline{OfflineStop, OfflineLease} {
		t.Run(string(offline), func(t *testing.T) {
			b := lines(t, offline, 2, 5, "bench-1", "bench-2")
			flowtest.WantVerdict(t, b[0].visit(b[0].chip(0)), record.Pass, "")
			took := 1
			for n := range 8 {
				if code, err := b[n%2].take(1 + n); err == nil {
					took++
				} else if code != "E-QUOTA" {
					t.Fatal(err)
				}
			}
			beyond := b[1].chip(20)
			factory := beyond.Fuses()
			flowtest.WantVerdict(t, b[1].visit(beyond), record.Station, "E-QUOTA")
			if took != 5 || different(t, b...) != 5 || beyond.Fuses() != factory {
				t.Errorf("%d numbers of 5 were taken, %v and %v", took, b[0].taken(), b[1].taken())
			}
			amended := record.Entry{Kind: record.BatchAmended, Batch: "b", Quota: 6, Operator: "anna", Message: "one more was ordered"}
			b[0].note(amended)
			if code, err := b[0].take(21); code != "E-QUOTA" || !strings.Contains(err.Error(), "5 devices, as bench-2 says") {
				t.Errorf("amended at one bench: %v", err)
			}
			b[1].note(amended)
			if _, err := b[1].take(21); err != nil {
				t.Error(err)
			}
			if code, err := b[0].take(22); code != "E-QUOTA" || strings.Count(err.Error(), record.ErrQuota.Error()) != 1 {
				t.Errorf("behind the quota: %v", err)
			}
			if err := errors.Join(b[0].folder.Revoke("bench-2"), b[0].folder.Apply(t.Context())); err != nil {
				t.Fatal(err)
			}
			amended.Quota = 7
			b[0].note(amended)
			if _, err := b[0].take(22); err != nil {
				t.Errorf("what a bench says that was put out does not count: %v", err)
			}
			if different(t, b...) != 7 {
				t.Errorf("numbers %v and %v", b[0].taken(), b[1].taken())
			}
		})
	}
}

// Slots that want the last number at the same instant each get one while there are any.
func TestSlotsShareNumbers(t *testing.T) {
	b := lines(t, OfflineStop, 0, 8, "bench-1")[0]
	answers := make(chan error, 9)
	for n := range 9 {
		go func() { _, err := b.take(n); answers <- err }()
	}
	full := 0
	for range 9 {
		if err := <-answers; errors.Is(err, record.ErrQuota) {
			full++
		} else if err != nil {
			t.Error(err)
		}
	}
	if full != 1 || different(t, b) != 8 {
		t.Errorf("%d were refused; numbers %v", full, b.taken())
	}
}
