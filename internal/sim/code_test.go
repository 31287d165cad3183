package sim

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// probe speaks to testdata/code/probe.c, which runs in the chip's RAM and pokes
// at its hardware as it is told.
type probe struct {
	t testing.TB
	c *Chip
	p *Port
}

const codeAt = 0x40090000

// load brings code into RAM through the ROM's own commands and starts it.
func (h *host) load(addr, entry uint32, code []byte) {
	h.t.Helper()
	h.ok(opMemBegin, words(uint32(len(code)), 1, 0x1800, addr))
	if r := h.one(opMemData, checksum(code), append(words(uint32(len(code)), 0, 0, 0), code...)); r.status != 0 {
		h.t.Fatalf("MEM_DATA: error %#x", r.code)
	}
	h.ok(opMemEnd, words(0, entry))
}

func newProbe(t testing.TB, o Options, dogs bool) *probe {
	t.Helper()
	code, err := os.ReadFile("testdata/code/probe.bin")
	if err != nil {
		t.Fatal(err)
	}
	c, h := loaderHost(t, o)
	h.load(codeAt, codeAt, code)
	p := &probe{t, c, h.p}
	if !dogs {
		for _, r := range dogRegs {
			p.poke(r.protect, dogKey)
			p.poke(r.config, 0)
		}
	}
	return p
}

func (p *probe) send(b ...byte) {
	p.t.Helper()
	if _, err := p.p.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *probe) poke(addr, v uint32) {
	p.t.Helper()
	p.send(append([]byte{'w'}, words(addr, v)...)...)
}

func (p *probe) peek(addr uint32) uint32 {
	p.t.Helper()
	p.send(append([]byte{'r'}, words(addr)...)...)
	return p.answer()
}

// answer is a word of the program's.
func (p *probe) answer() uint32 {
	p.t.Helper()
	p.p.SetReadDeadline(time.Now().Add(time.Second))
	defer p.p.SetReadDeadline(time.Time{})
	var b [4]byte
	if _, err := io.ReadFull(p.p, b[:]); err != nil {
		p.t.Fatalf("no answer: %v, %v", err, p.c.CodeFault())
	}
	return binary.LittleEndian.Uint32(b[:])
}

// The code that was tried on the real ROM: it prints H, I, PS, VECBASE and SP.
func TestCodeStartsAsOnTheRealROM(t *testing.T) { synctest.Test(t, checkCodeStartsAsOnTheRealROM) }

func checkCodeStartsAsOnTheRealROM(t *testing.T) {
	code, _ := hex.DecodeString("060300000000f43f1c00f43f4941484f0c0560e60370e70321fbff4c8339024c93390242a00469026068410b445654ff0c4479027078410b445654ff6d010c4469026068410b445654ff06ffff000000")
	_, h := loaderHost(t, Options{})
	h.load(codeAt, codeAt, code)
	var got [14]byte
	if _, err := io.ReadFull(h.p, got[:]); err != nil || hex.EncodeToString(got[:]) != "4849"+"20030600"+"00000040"+"b03efe3f" {
		t.Errorf("it prints %x, %v", got, err)
	}
}

// FIPS 197, C.3, both ways; and a unit that is dead without its clock.
func TestAESAccelerator(t *testing.T) { synctest.Test(t, checkAESAccelerator) }

func checkAESAccelerator(t *testing.T) {
	p := newProbe(t, Options{}, false)
	put := func(at uint32, text string) {
		b, _ := hex.DecodeString(text)
		for i := 0; i < len(b); i += 4 {
			p.poke(at+uint32(i), binary.LittleEndian.Uint32(b[i:]))
		}
	}
	text := func() string {
		var b []byte
		for i := range uint32(4) {
			b = binary.LittleEndian.AppendUint32(b, p.peek(aesBase+aesText+4*i))
		}
		return hex.EncodeToString(b)
	}
	const key, plain = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "00112233445566778899aabbccddeeff"
	put(aesBase+aesText, plain)
	if got := text(); got != strings.Repeat("0", 32) {
		t.Errorf("without its clock it holds %s", got)
	}
	p.poke(dportClock, 1)
	p.poke(dportReset, 0)
	for _, c := range []struct {
		mode     uint32
		in, want string
	}{
		{2, plain, "8ea2b7ca516745bfeafc49904b496089"},
		{6, "8ea2b7ca516745bfeafc49904b496089", plain},
		{0, plain, "69c4e0d86a7b0430d8cdb78070b4c55a"},
		{1, plain, "dda97ca4864cdfe06eaf70a0ec0d7191"},
	} {
		put(aesBase+aesKey, key)
		put(aesBase+aesText, c.in)
		p.poke(aesBase+aesMode, c.mode)
		p.poke(aesBase+aesStart, 1)
		if got := text(); got != c.want || p.peek(aesBase+aesIdle) != 1 {
			t.Errorf("mode %d: %s, want %s", c.mode, got, c.want)
		}
	}
	p.poke(dportReset, aesHolders)
	if got := text(); got != strings.Repeat("0", 32) {
		t.Errorf("held in reset it holds %s", got)
	}
}

// nor is one command to the flash, by the registers of SPI1.
func (p *probe) nor(op byte, flags, addr uint32, data ...uint32) uint32 {
	p.t.Helper()
	for i, v := range data {
		p.poke(spiBase+spiW0+4*uint32(i), v)
	}
	p.poke(spiBase+spiUSER1, 23<<26)
	p.poke(spiBase+spiADDR, addr<<8)
	p.poke(spiBase+spiMOSI, uint32(32*len(data)-1)&0xfff)
	p.poke(spiBase+spiMISO, 31)
	p.poke(spiBase+spiUSER, 1<<31|flags)
	p.poke(spiBase+spiUSER2, 7<<28|uint32(op))
	p.poke(spiBase+spiCMD, userGo)
	return p.peek(spiBase + spiW0)
}

// The flash programs only zeros, erases sectors, and is busy meanwhile: then it
// answers its status and hears nothing else.
func TestFlashBehindSPI1(t *testing.T) { synctest.Test(t, checkFlashBehindSPI1) }

func checkFlashBehindSPI1(t *testing.T) {
	p := newProbe(t, Options{}, false)
	const at = 0x5000
	p.nor(0x02, userAddr|userMOSI, at, 0x0)
	if got := p.c.Flash()[at]; got != 0xff {
		t.Errorf("without the write enable latch it programs %#x", got)
	}
	p.nor(0x06, 0, 0)
	p.nor(0x02, userAddr|userMOSI, at, 0xf0f0f0f0, 0x12345678)
	p.nor(0x06, 0, 0)
	p.nor(0x02, userAddr|userMOSI, at, 0x0ff00ff0)
	if got := p.c.Flash()[at : at+8]; !bytes.Equal(got, []byte{0xf0, 0, 0xf0, 0, 0x78, 0x56, 0x34, 0x12}) {
		t.Errorf("programming over it leaves % x", got)
	}
	p.nor(0x06, 0, 0)
	p.nor(0x20, userAddr, at)
	if got := p.nor(0x05, userMISO, 0) & 1; got != 1 {
		t.Error("it is not busy while it erases")
	}
	p.nor(0x06, 0, 0)
	p.nor(0x02, userAddr|userMOSI, at, 0)
	if got := p.nor(0x03, userAddr|userMISO, at); got != 0xffffffff {
		t.Errorf("while it erases it answers %#x to a read", got)
	}
	polls := 0
	for ; p.nor(0x05, userMISO, 0)&1 != 0; polls++ {
	}
	if polls == 0 {
		t.Error("the erasing was over at once")
	}
	if got := p.c.Flash()[at : at+8]; !bytes.Equal(got, bytes.Repeat([]byte{0xff}, 8)) {
		t.Errorf("after erasing it holds % x", got)
	}
	if m := p.c.meter.Code; m.Programs != 2 || m.FlashTime < DefaultTimes.SectorErase {
		t.Errorf("the meter has %d programs and %v", m.Programs, m.FlashTime)
	}
}

// A FIFO of 128 bytes: what arrives while it is full is lost, and nothing else is.
func TestUARTLosesWhatItHasNoRoomFor(t *testing.T) {
	synctest.Test(t, checkUARTLosesWhatItHasNoRoomFor)
}

func checkUARTLosesWhatItHasNoRoomFor(t *testing.T) {
	p := newProbe(t, Options{}, false)
	for _, n := range []int{uartDepth, uartDepth + 40} {
		p.send(append([]byte{'s'}, words(4_000_000)...)...) // 100 ms without a look
		var burst []byte
		for i := range n / 2 {
			burst = append(burst, 'q', byte(i))
		}
		p.send(burst...)
		var want []byte
		for i := range uartDepth / 2 {
			want = append(want, byte(i))
		}
		if got := readFor(p.p, time.Second); !bytes.Equal(got, want) {
			t.Errorf("of %d bytes: % x", n, got)
		}
	}
	if got := p.peek(uartBase+uartRaw) & uartOverflow; got == 0 {
		t.Error("the overrun is not noted")
	}
	p.poke(uartBase+uartClear, uartOverflow)
	if got := p.peek(uartBase+uartRaw) & uartOverflow; got != 0 {
		t.Error("the note cannot be cleared")
	}
}

// Code that looks for a byte while it counts is at work: its clock does not run on to
// the next byte, or to when somebody looks.
func TestCodeThatLooksAndCountsDoesNotWait(t *testing.T) {
	synctest.Test(t, checkCodeThatLooksAndCountsDoesNotWait)
}

func checkCodeThatLooksAndCountsDoesNotWait(t *testing.T) {
	const looks, most = 1000, 100 // cycles of one
	p := newProbe(t, Options{}, false)
	p.send(append([]byte{'l'}, words(looks)...)...)
	if got := p.answer(); got < looks || got > looks*most {
		t.Errorf("%d looks took %d cycles", looks, got)
	}
}

func TestWatchdogsBiteCode(t *testing.T) { synctest.Test(t, checkWatchdogsBiteCode) }

func checkWatchdogsBiteCode(t *testing.T) {
	p := newProbe(t, Options{}, true)
	p.send(append([]byte{'s'}, words(60_000_000)...)...) // 1.5 s
	if got := string(readFor(p.p, time.Second)); !strings.Contains(got, "rst:0x10 (RTCWDT_RTC_RESET)") || !strings.Contains(got, "waiting for download") {
		t.Errorf("it prints %q", got)
	}
	for i, locked := range dogRegs {
		p = newProbe(t, Options{}, true)
		p.poke(dogRegs[1-i].protect, dogKey)
		p.poke(dogRegs[1-i].config, 0)
		p.poke(locked.config, 0)
		p.send(append([]byte{'s'}, words(60_000_000)...)...)
		if got := string(readFor(p.p, time.Second)); !strings.Contains(got, "rst:0x10") {
			t.Errorf("locked watchdog %d can be stopped: %q", i, got)
		}
	}
}

// A reset by software keeps the straps, and what is in RAM.
func TestCodeResetsTheChip(t *testing.T) { synctest.Test(t, checkCodeResetsTheChip) }

func checkCodeResetsTheChip(t *testing.T) {
	p := newProbe(t, Options{}, false)
	p.poke(0x3ffb1000, 0xcafef00d)
	p.poke(rtcOptions, softwareRST)
	if got := string(readFor(p.p, time.Second)); !strings.Contains(got, "rst:0x3 (SW_RESET),boot:0x3") || !strings.Contains(got, "waiting for download") {
		t.Errorf("it prints %q", got)
	}
	h := &host{t: t, p: p.p}
	h.connect(4 << 20)
	if got := h.reg(0x3ffb1000); got != 0xcafef00d {
		t.Errorf("RAM holds %#x after it", got)
	}
	p.c.PowerOff()
	p.c.PowerOn()
	h.connect(4 << 20)
	if got := h.reg(0x3ffb1000); got != 0 {
		t.Errorf("RAM holds %#x without power", got)
	}
}

// What the interpreter does not know stops the chip, and says so.
func TestCodeThatCannotGoOn(t *testing.T) { synctest.Test(t, checkCodeThatCannotGoOn) }

func checkCodeThatCannotGoOn(t *testing.T) {
	for name, code := range map[string][]byte{
		"a window":     {0x36, 0x41, 0x00, 0},
		"no code":      nil,
		"nothing here": {0x0c, 0x02, 0x22, 0x22, 0x00, 0}, // movi.n a2, 0 ; l32i a2, a2, 0
	} {
		c, h := loaderHost(t, Options{})
		if code == nil {
			h.ok(opMemEnd, words(0, 0x50000000))
		} else {
			h.load(codeAt, codeAt, code)
		}
		ask(h.p, request(opReadReg, 0, words(regMagic)))
		if err := c.CodeFault(); err == nil || !strings.Contains(err.Error(), "xtensa: at 0x") {
			t.Errorf("%s: %v", name, err)
		}
		if c.PressReset(true); !strings.Contains(string(drain(h.p)), "waiting for download") {
			t.Errorf("%s: it does not come back", name)
		}
	}
}
