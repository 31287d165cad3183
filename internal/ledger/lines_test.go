package ledger

import (
	"encoding/json"
	"testing"

	"station/internal/record"
)

func TestLinesAt(t *testing.T) {
	l := start(t, bench)
	stored := add(t, l, run(1)...)
	for i := range 300 {
		if _, err := l.AppendAll(run(2 + i)); err != nil {
			t.Fatal(err)
		}
	}
	indexes := []uint64{stored[3].Index, 0, 2500, stored[1].Index, stored[3].Index}
	got, err := l.LinesAt(indexes...)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range indexes {
		want, err := l.Entry(n)
		if err != nil {
			t.Fatal(err)
		}
		var e record.Entry
		if err := json.Unmarshal(got[i], &e); err != nil || e.Index != want.Index || e.Kind != want.Kind {
			t.Errorf("entry %d: got %s, %v", n, got[i], err)
		}
	}
	if got, err := l.LinesAt(1, 1<<40); err == nil || got != nil {
		t.Errorf("an entry that is not there: got %d lines, %v", len(got), err)
	}
}
