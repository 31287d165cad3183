package sim

import (
	"bytes"
	"compress/zlib"
	"strings"
	"testing"

	"station/internal/slip"
)

// A client that is not there yet when the loader is: MAC, crystal and flash as tools find them.
func TestIdentity(t *testing.T) {
	for _, c := range []struct {
		o       Options
		divider uint32
		id      uint32
	}{
		{Options{}, 346, 0x1640ef},
		{Options{Crystal: 26, FlashSize: 16 << 20}, 224, 0x1840ef},
		{Options{FlashID: 0x1540c8}, 346, 0x1540c8},
	} {
		chip, h := loaderHost(t, c.o)
		if got := h.reg(regUARTDiv) & 0xfffff; got != c.divider {
			t.Errorf("UART divider: got %d, want %d", got, c.divider)
		}
		if got := h.spi(0x9f, 24, 0, 0); got != c.id {
			t.Errorf("RDID: got %06x, want %06x", got, c.id)
		}
		if want := 1 << (c.id >> 16); len(chip.Flash()) != want {
			t.Errorf("flash of %d bytes, want %d", len(chip.Flash()), want)
		}
		ck8m := h.rdata(4) & 0xff
		hz := float64(h.reg(regRTCCal)>>7) * 15625 * float64(ck8m) / 40
		if want := chip.romHz(); hz < 0.999*want || hz > 1.001*want {
			t.Errorf("the ROM's crystal: got %.0f Hz, want %.0f", hz, want)
		}
	}
}

// spi runs a flash command through SPI1 and returns up to 32 bits of answer.
func (h *host) spi(op, answerBits, addr, addrBits uint32, out ...uint32) uint32 {
	h.t.Helper()
	user := uint32(1 << 31)
	if answerBits > 0 {
		user |= userMISO
		h.setReg(spiBase+spiMISO, answerBits-1)
	}
	if addrBits > 0 {
		user |= userAddr
		h.setReg(spiBase+spiUSER1, (addrBits-1)<<26)
		h.setReg(spiBase+spiADDR, addr<<(32-addrBits))
	}
	if len(out) > 0 {
		user |= userMOSI
		h.setReg(spiBase+spiMOSI, uint32(len(out))*8-1)
		for i, v := range out {
			h.setReg(spiBase+spiW0+uint32(4*i), v)
		}
	} else {
		h.setReg(spiBase+spiW0, 0)
	}
	h.setReg(spiBase+spiUSER, user)
	h.setReg(spiBase+spiUSER2, 7<<28|op)
	h.setReg(spiBase+spiCMD, userGo)
	if got := h.reg(spiBase+spiCMD) & userGo; got != 0 {
		h.t.Errorf("SPI command %#x is not done", op)
	}
	return h.reg(spiBase + spiW0)
}

func TestFlashThroughSPI(t *testing.T) {
	c, h := loaderHost(t, Options{Flash: []byte{1, 2, 3, 4, 5}})
	if got := h.spi(0x5a, 32, 0, 24); got != 0x50444653 {
		t.Errorf("SFDP: got %08x", got)
	}
	if got := h.spi(0x03, 32, 1, 24); got != 0x05040302 {
		t.Errorf("read: got %08x", got)
	}
	h.spi(0x20, 0, 0, 24)
	if got := c.Flash()[0]; got != 1 {
		t.Errorf("erased without write enable: got %#x", got)
	}
	h.spi(0x06, 0, 0, 0)
	if got := h.spi(0x05, 8, 0, 0); got != 2 {
		t.Errorf("RDSR: got %#x, want WEL", got)
	}
	h.spi(0x02, 0, 4, 24, 0x0f)
	if got := c.Flash()[4]; got != 5&0x0f {
		t.Errorf("page program: got %#x", got)
	}
	h.spi(0x06, 0, 0, 0)
	h.spi(0x20, 0, 0, 24)
	if got := c.Flash()[:5]; !bytes.Equal(got, bytes.Repeat([]byte{0xff}, 5)) {
		t.Errorf("sector erase: got %x", got)
	}
	h.spi(0x06, 0, 0, 0)
	h.spi(0x31, 0, 0, 0, 2)
	if got := h.spi(0x35, 8, 0, 0); got != 2 {
		t.Errorf("status 2: got %#x", got)
	}
}

// Until told, the ROM believes in 2 MiB; and where told more than there is, the chip wraps.
func TestFlashSizes(t *testing.T) {
	c := newChip(t, Options{InLoader: true})
	h := &host{t: t, p: openPort(t, c)}
	h.send(opSync, 0, words(0x20120707))
	if r := h.one(opFlashMD5, 0, words(2<<20-0x1000, 0x1000, 0, 0)); r.status != 0 {
		t.Errorf("the last sector of 2 MiB: error %#x", r.code)
	}
	if r := h.one(opFlashBegin, 0, words(0x1000, 1, 0x400, 2<<20)); r.code != errFailed {
		t.Errorf("past 2 MiB: got %#x, want %#x", r.code, errFailed)
	}
	h.connect(8 << 20)
	h.flash(4<<20, []byte("wraps"))
	if got := string(c.Flash()[:5]); got != "wraps" {
		t.Errorf("got %q at 0", got)
	}
}

func TestWriteAndVerify(t *testing.T) {
	c, h := loaderHost(t, Options{Flash: bytes.Repeat([]byte{0}, 0x20000)})
	image := filled(0x3456, nil)
	h.flash(0x8000, image)
	if got := h.md5(0x8000, uint32(len(image))); got != md5Of(image) {
		t.Errorf("MD5: got %s", got)
	}
	flash := c.Flash()
	if flash[0x7fff] != 0 || flash[0xbfff] != 0xff || flash[0xc000] != 0 {
		t.Errorf("erased beyond its sectors, or not all of them: %x %x %x", flash[0x7fff], flash[0xbfff], flash[0xc000])
	}
	if m := c.Meter(); m.SectorsErased != 4 || m.PagesProgrammed != 0x35 || m.FlashBlocks != 4 || m.MD5Bytes != len(image) {
		t.Errorf("got %d sectors, %d pages, %d blocks, %d bytes of MD5", m.SectorsErased, m.PagesProgrammed, m.FlashBlocks, m.MD5Bytes)
	}
}

// A request without end keeps no more than the ROM's buffer holds.
func TestRequestWithoutEnd(t *testing.T) {
	frames := &newChip(t, Options{InLoader: true}).loader.frames
	for _, b := range slip.Append(nil, make([]byte, 1<<20)) {
		if frame, ok := frames.Push(b); ok && len(frame) != maxFrame {
			t.Errorf("%d bytes are kept", len(frame))
		}
	}
}

// A frame with a byte too few fails its checksum, one with a byte too many does not.
func TestLengthOfADataFrame(t *testing.T) {
	_, h := loaderHost(t, Options{})
	p := filled(0x400, nil)
	body := append(words(0x400, 0, 0, 0), p...)
	h.ok(opFlashBegin, words(0x1000, 4, 0x400, 0))
	if r := h.one(opFlashData, checksum(p), body[:len(body)-1]); r.code != errChecksum || r.status != 1 {
		t.Errorf("a byte too few: got %d, %#x", r.status, r.code)
	}
	h.ok(opFlashBegin, words(0x1000, 4, 0x400, 0))
	if r := h.one(opFlashData, checksum(p), append(body, 0)); r.status != 0 {
		t.Errorf("a byte too many: error %#x", r.code)
	}
}

func deflate(t *testing.T, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zlib.NewWriterLevel(&b, zlib.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	z.Write(p)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sendDeflated writes p compressed and returns the last answer.
func (h *host) sendDeflated(addr uint32, size int, z []byte) (last reply) {
	h.t.Helper()
	const block = 0x400
	n := (len(z) + block - 1) / block
	h.ok(opDeflBegin, words(uint32(size+block-1)/block*block, uint32(n), block, addr))
	for i := range n {
		p := z[i*block : min((i+1)*block, len(z))]
		for len(p)%4 != 0 {
			p = append(p[:len(p):len(p)], 0)
		}
		last = h.one(opDeflData, checksum(p), append(words(uint32(len(p)), uint32(i), 0, 0), p...))
		if last.status != 0 {
			return last
		}
	}
	return last
}

// Compressed writing as the real ROM does it: right where the data is, and
// destructive behind it.
func TestDeflateProgramsWholeWindows(t *testing.T) {
	for _, c := range []struct {
		name       string
		addr, size int
		zero       int // first address that is zeroed
		end        int // and the first that is not
	}{
		{"bootloader over the table", 0x1000, 26768, 0x1000 + 26768, 0x9000},
		{"table over nvs", 0x8000, 3072, 0x8c00, 0x10000},
	} {
		t.Run(c.name, func(t *testing.T) {
			chip, h := loaderHost(t, Options{Flash: bytes.Repeat([]byte{0x5a}, 0x20000)})
			image := filled(c.size, nil)
			if r := h.sendDeflated(uint32(c.addr), c.size, deflate(t, image)); r.status != 0 {
				t.Fatalf("error %#x", r.code)
			}
			if got := h.md5(uint32(c.addr), uint32(c.size)); got != md5Of(image) {
				t.Errorf("MD5: got %s", got)
			}
			flash := chip.Flash()
			if got := flash[c.zero:c.end]; !bytes.Equal(got, make([]byte, c.end-c.zero)) {
				t.Errorf("behind the data: got % x …", got[:16])
			}
			if flash[c.end] != 0x5a {
				t.Errorf("past the window: got %#x", flash[c.end])
			}
		})
	}
}

func TestDeflateOverSeveralWindows(t *testing.T) {
	chip, h := loaderHost(t, Options{})
	image := filled(3*deflateWindow, nil)
	if r := h.sendDeflated(0x10000, len(image), deflate(t, image)); r.status != 0 {
		t.Fatalf("error %#x", r.code)
	}
	if got := chip.Flash(); !bytes.Equal(got[0x10000:0x10000+len(image)], image) || got[0x10000+len(image)] != 0xff {
		t.Error("the flash holds something else")
	}
}

func TestDeflateErrors(t *testing.T) {
	image := filled(3000, nil)
	z := deflate(t, image)
	z = z[:len(z):len(z)]
	broken := append([]byte{0, 0}, z...)
	sum := bytes.Clone(z)
	sum[len(sum)-1] ^= 1
	for _, c := range []struct {
		name string
		z    []byte
		code byte
	}{{"not zlib", broken, errInflate}, {"Adler-32", sum, errAdler}} {
		_, h := loaderHost(t, Options{})
		if r := h.sendDeflated(0, len(image), c.z); r.status != 1 || r.code != c.code {
			t.Errorf("%s: got %d, %#x, want %#x", c.name, r.status, r.code, c.code)
		}
	}
	c, h := loaderHost(t, Options{})
	if r := h.one(opDeflData, checkSeed(), words(0, 0, 0, 0)); r.code != errFormat {
		t.Errorf("before BEGIN: got %#x", r.code)
	}
	h.sendDeflated(0, len(image), z)
	n := uint32(len(z)+0x3ff) / 0x400
	if got := h.send(opDeflData, checkSeed(), words(0, n, 0, 0)); len(got) != 0 || c.mode != hung {
		t.Errorf("after the end of the stream it answered %v", got)
	}
}

func checkSeed() uint32 { return checksumSeed }

// MEM_BEGIN, MEM_DATA, MEM_END: taken, and what is started is gone.
func TestRAMDownload(t *testing.T) {
	_, h := loaderHost(t, Options{})
	h.ok(opMemBegin, words(8, 1, 0x1800, 0x40080000))
	p := []byte("some code")[:8]
	if r := h.one(opMemData, 0, append(words(8, 0, 0, 0), p...)); r.code != errChecksum {
		t.Errorf("bad checksum: got %#x", r.code)
	}
	for _, seq := range []uint32{0, 2, 7} {
		if r := h.one(opMemData, checksum(p), append(words(8, seq, 0, 0), p...)); r.status != 1 || r.code != errFormat {
			t.Errorf("number %d: got %d %#x", seq, r.status, r.code)
		}
	}
	if r := h.one(opMemData, checksum(p), append(words(8, 1, 0, 0), p...)); r.status != 0 {
		t.Errorf("error %#x", r.code)
	}
	h.ok(opMemEnd, words(1, 0))
	h.reg(regMagic)
	h.ok(opMemEnd, words(0, 0x40080000))
	if got := h.send(opReadReg, 0, words(regMagic)); len(got) != 0 {
		t.Errorf("it still answers: %v", got)
	}
}

func TestRegistersOfOtherUse(t *testing.T) {
	_, h := loaderHost(t, Options{})
	h.setReg(0x3ffb0000, 0x11223344)
	if got := h.reg(0x3ffb0002); got != 0x1122 {
		t.Errorf("unaligned RAM: got %#x", got)
	}
	h.setReg(0x60000074, 7)
	if got := h.reg(0x3ff40074); got != 7 {
		t.Errorf("the peripherals' second address: got %d", got)
	}
	h.setReg(regMagic, 1)
	h.setReg(regStrap, 1)
	if h.reg(regMagic) != 0x00f01d83 || h.reg(regStrap) != 3 {
		t.Error("what cannot be written was written")
	}
	if got := h.reg(fuseBase + fuseDATE); got != 0x16042600 {
		t.Errorf("eFuse date: got %#x", got)
	}
	if got := h.send(opWriteReg, 0, words(0x10, 1, 1, 0)); len(got) != 0 {
		t.Errorf("a store to nowhere was answered: %v", got)
	}
}

// Both ways out of the loader end in the BASIC interpreter, which answers what
// is typed.
func TestEndsInTheInterpreter(t *testing.T) {
	w := FactoryWords(Options{})
	SetField(&w, "CONSOLE_DEBUG_DISABLE", 0)
	for _, begin := range []byte{opFlashBegin, opDeflBegin} {
		_, h := loaderHost(t, Options{Words: &w})
		h.ok(begin, words(0, 0, 0x400, 0))
		got := string(ask(h.p, request(begin+2, 0, words(1))))
		if !strings.HasSuffix(got, "Falling back to built-in command interpreter.\r\nOK\r\n>") {
			t.Errorf("%#x: got %q", begin+2, got)
		}
		if got := string(ask(h.p, []byte("hello\n"))); got != "hello\r\nHow?\r\n>" {
			t.Errorf("%#x: typed: %q", begin+2, got)
		}
	}
}

// Of the mask ROM five bytes are known. A strict chip refuses to make up others.
func TestReadsOfTheROM(t *testing.T) {
	for _, strict := range []bool{false, true} {
		_, h := loaderHost(t, Options{Strict: strict, Real: true})
		if h.reg(regMagic) != 0x00f01d83 || h.reg(regMagic+1) != 0x3600f01d {
			t.Error("the known words are wrong")
		}
		for _, addr := range []uint32{0x40000000, regMagic - 1, regMagic + 4, 0x4006fffc, 0x3ff90000} {
			if r := h.one(opReadReg, 0, words(addr)); (r.status != 0) != strict {
				t.Errorf("strict %t: %#x: status %d, value %#x", strict, addr, r.status, r.value)
			}
		}
	}
}

// FLASH_END ends in the interpreter, or, with that disabled, nowhere.
func TestFlashEndWithConsoleDisabled(t *testing.T) {
	_, h := loaderHost(t, Options{})
	h.ok(opFlashBegin, words(0, 0, 0x400, 0))
	got := string(ask(h.p, request(opFlashEnd, 0, words(1))))
	if strings.Contains(got, "interpreter") || len(ask(h.p, []byte("\n"))) != 0 {
		t.Errorf("got %q", got)
	}
}
