package station

import (
	"errors"
	"os"
	"strings"
	"testing"

	"station/internal/record"
	"station/internal/release"
	"station/internal/store"
)

// The next number is the one after the highest within bounds, whatever an older program took; after
// the last one there is none.
func TestNextNumber(t *testing.T) {
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &Releases{Store: kept}
	made := []record.Field{{Release: 3}, {Release: -9223372036854775808}, {Release: 9223372036854775807}}
	for _, v := range []struct {
		claimed, want int64
	}{{9223372036854775807, 4}, {6, 7}, {release.MaxID, 0}} {
		if _, err := kept.Set(release.ClaimKey(v.claimed), []byte("lamp"), 0); err != nil {
			t.Fatal(err)
		}
		id, err := r.next(made)
		if v.want == 0 && (err == nil || !strings.Contains(err.Error(), "999999999, the last number that there is, is taken: give one that is free with --id")) || v.want != 0 && (err != nil || id != v.want) {
			t.Errorf("after %d: got %d, %v, want %d", v.claimed, id, err, v.want)
		}
	}
}

// A number that the ledger has for something else is taken, whatever else would be wrong, and
// also where the store was lost.
func TestNumberTaken(t *testing.T) {
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	app, err := os.ReadFile("../../fixtures/small/app.bin")
	if err != nil {
		t.Fatal(err)
	}
	r := &Releases{Ledger: emptyField(t), Store: kept, Operator: "anna"}
	for id, f := range map[int64]record.Field{7: {Product: "lamp", SecureVersion: 9}, 8: {Product: "kettle"}} {
		f.Release, f.Input = id, digestOf([]byte("another app"))
		if err := r.append(record.ReleaseMade, f, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []int64{7, 8} {
		if _, err := r.Make(t.Context(), NewRelease{App: app, Product: "lamp", ID: id}); !errors.Is(err, ErrNumberTaken) {
			t.Errorf("number %d: %v", id, err)
		}
	}
}
