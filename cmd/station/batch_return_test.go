package main

import (
	"path/filepath"
	"strings"
	"testing"

	"station/internal/ledger"
	"station/internal/record"
)

// The numbers that a bench has left of a batch go back, by a person's word, and when the
// batch is closed.
func TestBatchReturn(t *testing.T) {
	w := newWorkplace(t)
	w.run(0, "batch", "open", "b1", "--devices", "9", "--operator", "anna")
	leased := func(turn, first int) {
		t.Helper()
		book, err := ledger.Open(filepath.Join(w.dir, "ledger.db"), ledger.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer book.Close()
		if _, err := book.Append(record.Entry{Kind: record.NumbersLeased, Batch: "b1", About: record.AboutOf(record.Lease{Turn: turn, Numbers: record.Numbers{First: first, Count: 2}})}); err != nil {
			t.Fatal(err)
		}
	}
	leased(1, 3)
	if out, _ := w.run(0, "batch", "return", "b1", "--operator", "anna", "--reason", "others make the rest"); !strings.Contains(out, "given back") {
		t.Errorf("it says %q", out)
	}
	leased(2, 7)
	w.run(0, "batch", "close", "b1", "--operator", "anna", "--anyway", "test")
	book, err := ledger.Open(filepath.Join(w.dir, "ledger.db"), ledger.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	var back []string
	for e, err := range book.Entries(0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == record.NumbersReturned {
			back = append(back, e.Operator+" "+string(e.About))
		}
	}
	if want := `anna {"blocks":[{"first":3,"count":2}]} anna {"blocks":[{"first":7,"count":2}]}`; strings.Join(back, " ") != want {
		t.Errorf("what went back: %q, want %q", back, want)
	}
}
