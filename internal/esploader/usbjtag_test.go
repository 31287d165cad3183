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
// loader, and a plain reset starts the firmware again. The watchdogs that such a reset leaves
// running are stopped before they bite, and what would send each later reset into the loader is cleared.
func TestUSBSerialJTAG(t *testing.T) {
	ports := 0
	for _, f := range chip.Families {
		if f.Loader.USB == (chip.OwnUSB{}) {
			continue
		}
		ports++
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			c, err := sim.New(sim.Options{Chip: f, USBJTAG: true})
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
				super := f.Loader.USB.Super
				for range 60 {
					if v, err := l.ReadReg(t.Context(), super); err != nil || v != f.Loader.USB.SuperFeeding {
						t.Fatalf("the super watchdog's register is %08x, %v", v, err)
					}
				}
				log, err := l.Boot(t.Context(), func(log []byte) bool { return bytes.Contains(log, []byte("boot:0x")) })
				if err != nil || !bytes.Contains(log, []byte("SPI_FAST_FLASH_BOOT")) {
					t.Errorf("console %q, %v", log, err)
				}
			}
		})
	}
	if ports < 7 {
		t.Errorf("%d chips have such a port", ports)
	}
}
