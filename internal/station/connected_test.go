package station

import (
	"testing"

	"station/internal/esploader"
	"station/internal/flow/flowtest"
	"station/internal/sim"
)

// Whom the slot has just connected and identified is not asked again, until it
// is connected anew.
func TestConnectedIsNotAskedAgain(t *testing.T) {
	chip := flowtest.NewChip(t, sim.Options{})
	p, err := chip.Open()
	if err != nil {
		t.Fatal(err)
	}
	l := esploader.New(p, esploader.Options{})
	defer l.Close()
	id, err := identify(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	c := &connected{Loader: l, id: &id}
	for n, want := range []bool{false, true} {
		before := chip.Meter()
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Identify(t.Context()); err != nil || got != id {
			t.Errorf("got %+v, %v", got, err)
		}
		if asked := chip.Meter().Since(before).RoundTrips > 0; asked != want {
			t.Errorf("time %d: asked %t", n+1, asked)
		}
	}
}
