package esploader

import (
	"bytes"
	"slices"
	"testing"

	"station/internal/sim"
)

// keeper is the wire of a virtual chip behind an adapter that needs DTR.
type keeper struct {
	*sim.Port
	lines [][2]bool
}

func (*keeper) KeepDTR() bool { return true }

func (k *keeper) SetLines(dtr, rts bool) error {
	k.lines = append(k.lines, [2]bool{dtr, rts})
	return k.Port.SetLines(dtr, rts)
}

func TestAdapterThatNeedsDTR(t *testing.T) {
	chip, err := sim.New(sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer chip.Close()
	wire, err := chip.Open()
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{Port: wire}
	l := New(k, Options{})
	defer l.Close()
	if err := l.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if last := k.lines[len(k.lines)-1]; last != [2]bool{true, false} {
		t.Errorf("in the loader DTR and RTS are %v", last)
	}
	k.lines = nil
	log, err := l.Boot(t.Context(), func(log []byte) bool { return bytes.Contains(log, []byte("invalid header")) })
	if err != nil {
		t.Fatal(err)
	}
	// The console begins while the lines still move.
	if !bytes.HasPrefix(log, []byte("ets ")) || !bytes.Contains(log, []byte("SPI_FAST_FLASH_BOOT")) {
		t.Errorf("console %q", log)
	}
	if want := [][2]bool{{false, true}, {true, true}, {true, false}}; !slices.Equal(k.lines, want) {
		t.Errorf("DTR and RTS went %v, want %v", k.lines, want)
	}
}

// In each way the last state has DTR alone, and GPIO0 is low when EN rises.
func TestWaysThatEndWithDTR(t *testing.T) {
	for i, steps := range (&Loader{port: &keeper{}}).strategies() {
		last := steps[len(steps)-1]
		if !last.dtr || last.rts || last.wait == 0 {
			t.Errorf("way %d ends %+v", i, last)
		}
	}
}
