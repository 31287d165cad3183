package esploader

import (
	"bytes"
	"testing"

	"station/internal/chip"
	"station/internal/sim"
)

// own is the wire of a virtual chip that is the chip's own.
type own struct{ *sim.Port }

func (own) USBJTAG() bool { return true }

// The chip's own USB port reads DTR and RTS as words: one sequence enters the
// loader, and a plain reset starts the firmware again.
func TestUSBSerialJTAG(t *testing.T) {
	c, err := sim.New(sim.Options{Chip: chip.ESP32C3, USBJTAG: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wire, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	l := New(own{wire}, Options{})
	defer l.Close()
	for range 2 {
		if err := l.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		log, err := l.Boot(t.Context(), func(log []byte) bool { return bytes.Contains(log, []byte("invalid header")) })
		if err != nil || !bytes.Contains(log, []byte("SPI_FAST_FLASH_BOOT")) {
			t.Errorf("console %q, %v", log, err)
		}
	}
}
