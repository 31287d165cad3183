package flow_test

import (
	"bytes"
	"testing"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow/flowtest"
	"station/internal/sim"
	"station/internal/station"
)

// A used module holds something everywhere. What the job wants empty is empty
// when the device is sealed, what no image covers is else as it was, and the
// cost is one MD5 for each stretch that is empty already.
func TestErase(t *testing.T) {
	used := bytes.Repeat([]byte{0x5a}, 4<<20)
	for _, c := range []struct {
		erase string
		empty map[int]bool // addresses
	}{
		{"", map[int]bool{0x9000: true, 0xcfff: true, 0xf000: false, 0xd000: false, 0x3fffff: false}},
		{"images", map[int]bool{0x9000: false, 0xd000: false, 0x3fffff: false}},
		{"data", map[int]bool{0x9000: true, 0xd000: true, 0xefff: true, 0x3fffff: true}},
		{"chip", map[int]bool{0: true, 0x9000: true, 0xd000: true, 0xf000: true, 0x3fffff: true}},
	} {
		t.Run("erase "+c.erase, func(t *testing.T) {
			job := flowtest.ExampleJob
			if c.erase != "" {
				job = flowtest.EditJob(t, `baud = 921600`, "baud = 921600\nerase = \""+c.erase+"\"")
			}
			s := newBench(t, job)
			mac := chip.MAC(station.VirtualMAC(1))
			chip := flowtest.NewChip(t, sim.Options{MAC: mac, Flash: used})
			s.visitOf(t, chip, esploader.Options{})
			flash := chip.Flash()
			for at, want := range c.empty {
				if got := flash[at] == 0xff; got != want && !s.covers(at) {
					t.Errorf("%#x is empty: %t, want %t", at, got, want)
				}
			}
			if err := flashError(s.Job, chip, flowtest.DeviceKey(mac, 32)); err != nil {
				t.Error(err)
			}

			s.OpenLedger() // of another station: the flash is right, and nobody knows
			chip = flowtest.NewChip(t, sim.Options{MAC: mac, Flash: flash})
			steps := s.visitOf(t, chip, esploader.Options{})
			all, size := steps[len(steps)-1], 0
			for _, span := range s.Job.Erased {
				size += span.Size
			}
			if all.SectorsErased != 0 || all.MD5Bytes > s.stored()*2+size+64<<10 {
				t.Errorf("all there: %d sectors erased, MD5 of %d bytes", all.SectorsErased, all.MD5Bytes)
			}
			if want := len(s.Job.Erased) + len(s.Job.Regions); all.Commands["SPI_FLASH_MD5"] > want {
				t.Errorf("all there: %d MD5s, want %d", all.Commands["SPI_FLASH_MD5"], want)
			}
		})
	}
}

func (s *bench) covers(at int) bool {
	for _, r := range s.Job.Regions {
		if at >= int(r.Address) && at < int(r.Address)+r.Size {
			return true
		}
	}
	return false
}

// "chip" goes to the end of a flash that is larger than the job's.
func TestEraseOfALargerFlash(t *testing.T) {
	s := newBench(t, flowtest.EditJob(t, `baud = 921600`, "baud = 921600\nerase = \"chip\""))
	chip := flowtest.NewChip(t, sim.Options{FlashSize: 8 << 20, Flash: bytes.Repeat([]byte{0x5a}, 8<<20)})
	s.visitOf(t, chip, esploader.Options{})
	if flash := chip.Flash(); flash[4<<20] != 0xff || flash[8<<20-1] != 0xff {
		t.Error("the end of the flash is not empty")
	}
}
