package station

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"station/internal/ledger"
	"station/internal/record"
)

// A server whose devices all come at the same time writes an entry for each.
func TestFieldBurst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := ledger.Create(path, record.Entry{Operator: "anna", Station: "bench-1"}); err != nil {
		t.Fatal(err)
	}
	book, err := OpenFieldLedger(path, "bench-1", "test")
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	const burst = 64
	var wg sync.WaitGroup
	for i := range burst {
		wg.Go(func() {
			about := fmt.Appendf(nil, `{"product":"lamp","release":%d}`, i+1)
			if err := book.Append(record.Entry{Kind: record.ReleaseMade, Operator: "anna", About: about}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if list, err := book.Fields(record.ReleaseMade); err != nil || len(list) != burst {
		t.Errorf("%d entries of %d, %v", len(list), burst, err)
	}
}
