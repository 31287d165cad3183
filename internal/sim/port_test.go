package sim

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func lines(t *testing.T, p *Port, steps ...[2]bool) {
	t.Helper()
	for _, s := range steps {
		if err := p.SetLines(s[0], s[1]); err != nil {
			t.Fatal(err)
		}
	}
}

var (
	free   = [2]bool{false, false}
	enLow  = [2]bool{false, true}
	io0Low = [2]bool{true, false}
	both   = [2]bool{true, true}
)

// The two usual reset sequences enter the loader, RTS alone the application.
func TestResetByLines(t *testing.T) {
	for _, s := range []struct {
		name  string
		steps [][2]bool
		want  string
	}{
		{"tight", [][2]bool{free, both, enLow, io0Low}, "waiting for download"},
		{"classic, line by line", [][2]bool{free, enLow, both, io0Low}, "waiting for download"},
		{"to the application", [][2]bool{free, enLow, free}, "boot:0x13 (SPI_FAST_FLASH_BOOT)"},
	} {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := openPort(t, newChip(t, Options{}))
				lines(t, p, s.steps...)
				if got := string(readFor(p, afterRise)); !strings.Contains(got, s.want) {
					t.Errorf("got %q, want %q", got, s.want)
				}
			})
		})
	}
}

const afterRise = 5 * time.Millisecond // a chip that EN starts has printed by then

// Both lines together, or GPIO0 alone, do nothing to a chip that runs.
func TestLinesThatDoNothing(t *testing.T) { synctest.Test(t, checkLinesThatDoNothing) }

func checkLinesThatDoNothing(t *testing.T) {
	c := newChip(t, Options{})
	p := openPort(t, c)
	lines(t, p, enLow, io0Low)
	readFor(p, afterRise)
	resets := c.Meter().Resets
	lines(t, p, both, free, io0Low, free, both)
	if got := readFor(p, afterRise); len(got) > 0 || c.Meter().Resets != resets {
		t.Errorf("lines that do not touch EN did: %q", got)
	}
	if got := ask(p, unhex(t, magicFrame)); len(got) == 0 {
		t.Error("the loader is gone")
	}
}

// Released before EN's capacitor is charged, GPIO0 is not low when it counts.
func TestSlowCapacitorWantsALongerHold(t *testing.T) {
	synctest.Test(t, checkSlowCapacitorWantsALongerHold)
}

func checkSlowCapacitorWantsALongerHold(t *testing.T) {
	p := openPort(t, newChip(t, Options{Rise: 30 * time.Millisecond}))
	lines(t, p, enLow, io0Low)
	time.Sleep(time.Millisecond)
	lines(t, p, free)
	if got := string(readFor(p, 60*time.Millisecond)); !strings.Contains(got, "SPI_FAST_FLASH_BOOT") {
		t.Errorf("short hold: got %q", got)
	}
	lines(t, p, enLow, io0Low)
	time.Sleep(40 * time.Millisecond)
	lines(t, p, free)
	if got := string(drain(p)); !strings.Contains(got, "waiting for download") {
		t.Errorf("long hold: got %q", got)
	}
}

func TestNothingIsHeardInReset(t *testing.T) {
	p := openPort(t, newChip(t, Options{InLoader: true}))
	lines(t, p, enLow)
	if got := ask(p, unhex(t, magicFrame)); len(got) != 0 {
		t.Errorf("in reset: got %x", got)
	}
	lines(t, p, io0Low)
	if got := ask(p, unhex(t, magicFrame)); !bytes.Contains(got, []byte{0x83, 0x1d, 0xf0}) {
		t.Errorf("after it: got %x", got)
	}
}

func TestNoLines(t *testing.T) {
	p := openPort(t, newChip(t, Options{NoLines: true}))
	if err := p.SetLines(true, false); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestDownloadModeDisabled(t *testing.T) {
	for _, c := range []struct {
		revision int
		want     string
	}{{3, "Download mode is disabled. Restart with GPIO0 high.\r\n"}, {1, "waiting for download\r\n"}} {
		o := Options{Revision: c.revision, InLoader: true}
		w := FactoryWords(o)
		SetField(&w, "UART_DOWNLOAD_DIS", 1)
		o.Words = &w
		chip := newChip(t, o)
		p := openPort(t, chip)
		chip.PressReset(true)
		if got := string(drain(p)); !strings.HasSuffix(got, c.want) {
			t.Errorf("revision %d: got %q", c.revision, got)
		}
		answered := len(ask(p, unhex(t, magicFrame))) > 0
		if answered != (c.revision == 1) {
			t.Errorf("revision %d: answered: %v", c.revision, answered)
		}
	}
}

func TestStrapNames(t *testing.T) {
	for straps, want := range map[byte]string{
		0x03: "DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2)",
		0x00: "DOWNLOAD_BOOT(UART0/UART1/SDIO_FEI_FEO_V2)",
		0x0f: "UART_BOOT(UART0)",
		0x33: "SPI_FAST_FLASH_BOOT",
	} {
		if got := strapMode(straps); got != want {
			t.Errorf("%#x: got %s, want %s", straps, got, want)
		}
	}
}

// Until the first byte the loader takes any rate; after CHANGE_BAUDRATE only
// the new one, off by the drift of what the ROM takes its crystal for.
func TestBaudRates(t *testing.T) {
	for _, c := range []struct {
		name    string
		o       Options
		request float64 // times 921600
		clean   bool
	}{
		{"exact", Options{}, 1, true},
		{"drift", Options{Drift: 0.06}, 1, false},
		{"drift corrected", Options{Drift: 0.06}, 1.06, true},
		{"26 MHz, drift corrected", Options{Crystal: 26, Drift: -0.08}, 0.92, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			chip := newChip(t, c.o)
			p := openPort(t, chip)
			p.SetBaud(230400)
			chip.PressReset(true)
			if got := drain(p); bytes.Contains(got, []byte("rst:")) {
				t.Error("the console was clean at another rate")
			}
			h := &host{t: t, p: p}
			h.connect(4 << 20)
			h.ok(opChangeBaud, words(uint32(921600*c.request), 0))
			drain(p)
			if got := ask(p, unhex(t, magicFrame)); len(h.parse(got)) != 0 {
				t.Error("it heard the old rate")
			}
			p.SetBaud(921600)
			got := h.parse(ask(p, slipMagic()))
			if clean := len(got) == 1 && got[0].value == 0x00f01d83; clean != c.clean {
				t.Errorf("clean: %v, want %v", clean, c.clean)
			}
			if chip.PressReset(false); bytes.Contains(drain(p), []byte("rst:")) {
				t.Error("the console was clean at 921600")
			}
			p.SetBaud(consoleBaud)
			if chip.PressReset(false); !bytes.Contains(drain(p), []byte("rst:")) {
				t.Error("the console is not at 115200")
			}
		})
	}
}

// slipMagic is READ_REG of the magic after two C0, which end whatever garbage began.
func slipMagic() []byte { return append([]byte{0xc0, 0xc0}, request(opReadReg, 0, words(regMagic))...) }

func TestPortDeadlines(t *testing.T) { synctest.Test(t, checkPortDeadlines) }

func checkPortDeadlines(t *testing.T) {
	c := newChip(t, Options{InLoader: true})
	p := openPort(t, c)
	began := time.Now()
	p.SetReadDeadline(began.Add(20 * time.Millisecond))
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(began); d != 20*time.Millisecond {
		t.Errorf("it took %v", d)
	}
	p.SetReadDeadline(time.Time{})
	got := make(chan int)
	go func() {
		n, _ := p.Read(make([]byte, 100))
		got <- n
	}()
	p.Write(unhex(t, magicFrame))
	if n := <-got; n != 14 {
		t.Errorf("got %d bytes", n)
	}
}

func TestOnePortAtATime(t *testing.T) {
	c := newChip(t, Options{InLoader: true})
	p := openPort(t, c)
	if _, err := c.Open(); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
	h := &host{t: t, p: p}
	h.connect(4 << 20)
	h.setReg(0x3ffb0000, 42)
	p.Close()
	if _, err := p.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: got %v", err)
	}
	h.p = openPort(t, c)
	if got := h.reg(0x3ffb0000); got != 42 {
		t.Errorf("the chip was reset by a reconnect: got %d", got)
	}
}

// A pulled cable is an error, not silence; a chip without power is silence.
func TestCableAndPower(t *testing.T) { synctest.Test(t, checkCableAndPower) }

func checkCableAndPower(t *testing.T) {
	c := newChip(t, Options{InLoader: true})
	p := openPort(t, c)
	c.PowerOff()
	if got := ask(p, unhex(t, magicFrame)); len(got) != 0 || c.Powered() {
		t.Errorf("without power: got %x", got)
	}
	c.PowerOn()
	if got := string(drain(p)); !strings.Contains(got, "waiting for download") {
		t.Errorf("powered on: got %q", got)
	}
	failed := make(chan error)
	go func() {
		_, err := p.Read(make([]byte, 1))
		failed <- err
	}()
	synctest.Wait() // it reads
	c.Unplug()
	if err := <-failed; !errors.Is(err, ErrUnplugged) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: got %v", err)
	}
	if _, err := p.Write([]byte{1}); !errors.Is(err, ErrUnplugged) {
		t.Errorf("write: got %v", err)
	}
	if _, err := c.Open(); !errors.Is(err, ErrUnplugged) {
		t.Errorf("open: got %v", err)
	}
	if c.Powered() || c.plugged() {
		t.Error("powered or plugged")
	}
	c.Replug()
	p = openPort(t, c)
	if got := ask(p, unhex(t, magicFrame)); len(got) == 0 {
		t.Error("plugged again, no answer")
	}
	lines(t, p, enLow)
	c.Vanish()
	if !c.Powered() {
		t.Error("the adapter took the power along")
	}
	c.Replug()
	p = openPort(t, c)
	if got := ask(p, unhex(t, magicFrame)); len(got) == 0 {
		t.Error("a line of the adapter that is gone still holds the chip in reset")
	}
}

// A boot that goes round is a loop to its reader, and no flood.
func TestBootLoopIsBounded(t *testing.T) { synctest.Test(t, checkBootLoopIsBounded) }

func checkBootLoopIsBounded(t *testing.T) {
	c := newChip(t, Options{})
	p := openPort(t, c)
	c.PressReset(false)
	got := readFor(p, 250*time.Millisecond)
	if n := bytes.Count(got, []byte("rst:0x10 (RTCWDT_RTC_RESET)")); n < 3 || n > 8 {
		t.Errorf("got %d rounds in 250 ms", n)
	}
	if len(got) > 4096 {
		t.Errorf("got %d bytes", len(got))
	}
}

// A host that never reads loses answers, not memory.
func TestUnreadAnswersAreBounded(t *testing.T) {
	c := newChip(t, Options{InLoader: true})
	p := openPort(t, c)
	frames := bytes.Repeat(request(opReadFlash, 0, words(0, 64)), 1000)
	for range 10 {
		p.Write(frames)
	}
	if got := len(drain(p)); got > maxQueued || got < maxQueued/2 {
		t.Errorf("got %d bytes", got)
	}
	if m := c.Meter(); m.Commands["READ_FLASH_SLOW"] != 10000 {
		t.Errorf("got %v", m.Commands)
	}
}

// A chip that keeps time takes what its model says.
func TestPace(t *testing.T) { synctest.Test(t, checkPace) }

func checkPace(t *testing.T) {
	c, h := loaderHost(t, Options{})
	c.opts.Pace = true // from here on
	c.opts.Times = Times{BitsPerByte: 10, PageProgram: time.Millisecond, SectorErase: 20 * time.Millisecond}
	h.p.SetBaud(921600)
	c.baud = 921600
	timed := func(op byte, sum uint32, body []byte) time.Duration {
		began := time.Now()
		h.p.Write(request(op, sum, body))
		h.p.SetReadDeadline(began.Add(2 * time.Second))
		for got := 0; got < 14; {
			n, err := h.p.Read(make([]byte, 64))
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
		return time.Since(began)
	}
	if d := timed(opFlashBegin, 0, words(0x1000, 1, 0x1000, 0)); d < 20*time.Millisecond || d > 24*time.Millisecond {
		t.Errorf("an erase took %v", d)
	}
	block := filled(0x1000, nil)
	if d := timed(opFlashData, checksum(block), append(words(0x1000, 0, 0, 0), block...)); d < 60*time.Millisecond || d > 66*time.Millisecond {
		t.Errorf("a block took %v, want 16 pages and 45 ms of wire", d)
	}
}

func TestLatency(t *testing.T) { synctest.Test(t, checkLatency) }

func checkLatency(t *testing.T) {
	p := openPort(t, newChip(t, Options{InLoader: true, Latency: 15 * time.Millisecond}))
	p.Write(unhex(t, magicFrame))
	if got := drain(p); len(got) != 0 {
		t.Errorf("at once: got %x", got)
	}
	if got := readFor(p, 100*time.Millisecond); len(got) != 14 {
		t.Errorf("got %x", got)
	}
}
