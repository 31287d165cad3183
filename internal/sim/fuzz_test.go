package sim

import (
	"testing"
	"time"
)

// Whatever comes over the wire, the chip neither panics nor hangs its host,
// its answers stay bounded, and a reset brings the loader back.
func FuzzWire(f *testing.F) {
	f.Add([]byte{0xc0, 0, opSync, 0xc0})
	f.Add(request(opFlashBegin, 0, words(0xffffffff, 1, 0x1000, 0xfffff000)))
	f.Add(append(request(opDeflBegin, 0, words(0x1000, 1, 0x400, 0)),
		request(opDeflData, 0xef^0x78, append(words(4, 0, 0, 0), 0x78, 0, 0, 0))...))
	f.Add(request(opWriteReg, 0, words(spiBase+spiCMD, userGo, 0xffffffff, 0xffffffff)))
	f.Add(request(opWriteReg, 0, words(fuseBase+fuseCMD, 3, 0xffffffff, 0)))
	f.Add(request(opFlashMD5, 0, words(0, 0xffffffff)))
	f.Add(request(opFlashEnd, 0, words(1)))
	f.Add(request(opReadReg, 0, words(0xffffffff)))
	f.Add(request(opChangeBaud, 0, words(1, 0)))
	f.Fuzz(func(t *testing.T, in []byte) {
		c := newChip(t, Options{InLoader: true, FlashSize: 64 << 10})
		p := openPort(t, c)
		began := time.Now()
		for _, part := range [][]byte{request(opSync, 0, words(1)), request(opSetParams, 0, words(0, 64<<10, 0, 0, 0, 0)), in, in} {
			ask(p, part)
		}
		if d := time.Since(began); d > 30*time.Second {
			t.Errorf("it took %v", d)
		}
		p.SetBaud(consoleBaud)
		c.PressReset(true)
		drain(p)
		if got := ask(p, unhex(t, magicFrame)); len(got) != 14 {
			t.Errorf("after a reset it answers %x", got)
		}
	})
}

// Whatever stands in the flash and the fuses, a boot ends.
func FuzzBoot(f *testing.F) {
	f.Add(recordedBootloader()[:200], []byte{}, []byte{}, uint32(0))
	f.Add(bootloaderWith("flash_encrypt"), tableOf(row(0, 0, 0x10000, 0x8000, "a", 0)), stationApp(appHead("x", "1")), uint32(0))
	f.Add(bootloaderWith(""), tableOf(row(0, 0, 0xffff0000, 0x8000, "a", 0)), []byte{0xe9, 1}, uint32(1))
	f.Fuzz(func(t *testing.T, bootloader, table, app []byte, fuse uint32) {
		mem := lay(128<<10, nil)
		copy(mem[0x1000:0x8000], bootloader)
		copy(mem[0x8000:0x9000], table)
		copy(mem[0x10000:], app)
		w := FactoryWords(Options{})
		w[0] |= fuse
		c := newChip(t, Options{FlashSize: 128 << 10, Flash: mem, Words: &w})
		if got := bootText(t, c); len(got) == 0 || len(got) > 64<<10 {
			t.Errorf("got %d bytes", len(got))
		}
	})
}
