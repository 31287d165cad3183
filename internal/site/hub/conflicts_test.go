package hub

import (
	"errors"
	"slices"
	"testing"

	"station/internal/chip"
	"station/internal/site"
)

// A conflict that was settled is not found again when the ledgers are read once more, also
// where the device was in another one since, or was freed.
func TestSettledConflictsStaySettled(t *testing.T) {
	_, s := started(t)
	defer s.Close()
	device := func(n byte) chip.MAC { return chip.MAC{0x24, 5: n} }
	find := func(others ...byte) {
		t.Helper()
		for _, n := range others {
			taken := &site.Taken{Name: site.Name{Kind: site.NameSerial, Value: string('A' + rune(n))}, Bench: "bench-1", MAC: device(1).String()}
			if err := s.hub.quarantine(t.Context(), site.Names{MAC: device(n).String()}, taken, "bench-2"); err != nil {
				t.Fatal(err)
			}
		}
	}
	by := site.Settled{Operator: "eve", Reason: "the other is scrap"}
	settle := func(want ...byte) {
		t.Helper()
		for n := range byte(5) {
			if err := s.hub.settleConflict(t.Context(), device(n), by); (err == nil) != slices.Contains(want, n) {
				t.Errorf("%s is settled: %v", device(n), err)
			}
		}
	}
	find(2, 3)
	settle(1, 2, 3)
	find(2, 3)
	settle()
	find(4, 2, 3)
	if err := s.hub.tellFreed(t.Context(), device(1), "bench-1", by); !errors.As(err, new(Refusal)) {
		t.Errorf("a device in an open conflict is freed: %v", err)
	}
	settle(1, 4)
	if err := s.hub.tellFreed(t.Context(), device(1), "bench-1", by); err != nil {
		t.Fatal(err)
	}
	find(2, 3, 4)
	settle()
}
