package esploader

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/chip"
	"station/internal/slip"
)

// Registers of the ESP32, and what it is known by.
const (
	regMagic   = chip.MagicAddr
	regClkdiv  = 0x3ff4_0014
	regCalRC   = 0x3ff5_f06c
	spiCmd     = 0x3ff4_2000
	spiUser    = 0x3ff4_201c
	spiUser2   = 0x3ff4_2024
	spiMISOLen = 0x3ff4_202c
	spiW0      = 0x3ff4_2080
	chipMagic  = 0x00f0_1d83
)

// rom is a chip at the end of a port, as far as these tests need one: its
// loader has the habits of the traces in fixtures/rom, its faults are set by
// the tests. Time is the test's own (synctest).
type rom struct {
	t     testing.TB
	regs  map[uint32]uint32
	flash []byte

	mode      string // "loader", "flash", "deaf", "disabled", "stub", "off", "hung"
	reset     string // mode after a reset into the loader; "loader" where empty
	console   string // what the application prints
	noLines   bool
	ownSpeed  bool
	maxBlock  int
	hostBaud  int
	chipBaud  int
	gone      error
	lines     []string // history of SetLines
	dtr, rts  bool
	rising    time.Time
	events    []event
	chunk     int                                         // bytes at most of a Read, 0: all
	fault     func(n int, op byte, reply []byte) [][]byte // pieces to deliver instead
	lose      func(n int, op byte) bool                   // the request is not heard
	delay     time.Duration                               // of replies
	deadline  time.Time
	out       []byte
	later     []piece
	dec       slip.Decoder
	n         int // requests heard
	log       []byte
	accepted  byte
	value     uint32
	lastError byte
	left      [2]byte
	begun     bool
	seq       int
	at        int
	blockSize int
	erased    int
	written   int
}

type event struct {
	at time.Time
	do func()
}

type piece struct {
	at    time.Time
	bytes []byte
}

// newROM has the MAC and the revision of the trace's chip made valid.
func newROM(t testing.TB, size int) *rom {
	return &rom{
		t: t, flash: bytes.Repeat([]byte{0xff}, size), mode: "loader", maxBlock: 0x1000,
		hostBaud: InitialBaud, chipBaud: InitialBaud,
		regs: map[uint32]uint32{
			regMagic: chipMagic, regDate: 0x96042000, regClkdiv: 0x15a,
			regFuses + 4: 0xc4010203, regFuses + 8: 0x0038240a, regFuses + 12: 0x8000, regFuses + 20: 0x00100000,
			spiUser: 0x80000001, spiUser2: 0x70000005,
		},
	}
}

func (r *rom) Close() error { r.gone = os.ErrClosed; return nil }

func (r *rom) SetBaud(baud int) error {
	if r.ownSpeed {
		return fmt.Errorf("no speed: %w", errors.ErrUnsupported)
	}
	r.hostBaud = baud
	return nil
}

func (r *rom) SetReadDeadline(t time.Time) error { r.deadline = t; return nil }

func (r *rom) SetLines(dtr, rts bool) error {
	if r.noLines {
		return fmt.Errorf("no lines: %w", errors.ErrUnsupported)
	}
	r.lines = append(r.lines, fmt.Sprintf("%d%d", bit(dtr), bit(rts)))
	r.pass()
	before := r.rts && !r.dtr
	r.dtr, r.rts = dtr, rts
	switch low := rts && !dtr; {
	case low && !before:
		r.mode, r.out, r.later, r.rising = "off", nil, nil, time.Time{}
	case !low && before:
		r.rising = time.Now()
	}
	return nil
}

// pass lets happen what is due: EN rises slowly, and GPIO0 is looked at when it
// has risen.
func (r *rom) pass() {
	now := time.Now()
	if !r.rising.IsZero() && now.Sub(r.rising) >= 10*time.Millisecond {
		r.rising = time.Time{}
		r.enter(r.dtr && !r.rts)
	}
	for len(r.events) > 0 && !r.events[0].at.After(now) {
		do := r.events[0].do
		r.events = r.events[1:]
		do()
	}
	for len(r.later) > 0 && !r.later[0].at.After(now) {
		r.out = append(r.out, r.later[0].bytes...)
		r.later = r.later[1:]
	}
}

func (r *rom) after(d time.Duration, do func()) {
	r.events = append(r.events, event{time.Now().Add(d), do})
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (r *rom) enter(download bool) {
	r.chipBaud = InitialBaud
	r.dec.Reset()
	r.begun = false
	banner := "ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET),boot:"
	mode := r.reset
	if mode == "" {
		mode = "loader"
	}
	switch {
	case !download || mode == "flash":
		r.mode = "flash"
		r.say(banner + "0x13 (SPI_FAST_FLASH_BOOT)\r\n" + r.console)
	case mode == "off":
		r.mode = "off"
	case mode == "disabled":
		r.mode = mode
		r.say(banner + "0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))\r\nDownload mode is disabled. Restart with GPIO0 high.\r\n")
	default:
		r.mode = mode
		r.say(banner + "0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))\r\nwaiting for download\r\n")
	}
}

func (r *rom) say(s string) { r.out = append(r.out, s...) }

func (r *rom) Read(p []byte) (int, error) {
	for {
		r.pass()
		if r.gone != nil {
			return 0, r.gone
		}
		if len(r.out) > 0 {
			n := len(r.out)
			if r.chunk > 0 {
				n = min(n, r.chunk)
			}
			n = copy(p, r.out[:n])
			r.out = r.out[n:]
			return n, nil
		}
		wake := r.deadline
		if !wake.IsZero() && !time.Now().Before(wake) {
			return 0, os.ErrDeadlineExceeded
		}
		if len(r.later) > 0 {
			wake = sooner(wake, r.later[0].at)
		}
		if len(r.events) > 0 {
			wake = sooner(wake, r.events[0].at)
		}
		if !r.rising.IsZero() {
			wake = sooner(wake, r.rising.Add(10*time.Millisecond))
		}
		time.Sleep(time.Until(wake))
	}
}

func (r *rom) Write(p []byte) (int, error) {
	r.pass()
	if r.gone != nil {
		return 0, r.gone
	}
	r.log = append(r.log, p...)
	if r.mode != "loader" && r.mode != "stub" || r.hostBaud != r.chipBaud {
		return len(p), nil
	}
	for _, b := range p {
		if f, ok := r.dec.Push(b); ok && r.mode != "hung" {
			r.hear(bytes.Clone(f))
		}
	}
	return len(p), nil
}

func (r *rom) hear(f []byte) {
	if len(f) < 2 {
		return
	}
	n, op := r.n, f[1]
	r.n++
	if r.lose != nil && r.lose(n, op) {
		return
	}
	reply := r.answer(op, f)
	if reply == nil {
		return
	}
	pieces := [][]byte{reply}
	if r.fault != nil {
		pieces = r.fault(n, op, reply)
	}
	at := time.Now().Add(r.delay)
	for _, p := range pieces {
		r.later = append(r.later, piece{at, p})
	}
}

func (r *rom) frame(op byte, data []byte, status ...byte) []byte {
	body := append(bytes.Clone(data), status...)
	f := binary.LittleEndian.AppendUint16([]byte{1, op}, uint16(len(body)))
	f = binary.LittleEndian.AppendUint32(f, r.value)
	return slip.Append(nil, append(f, body...))
}

func (r *rom) ok(op byte, data ...byte) []byte {
	r.accepted = op
	return r.frame(op, data, 0, r.lastError, r.left[0], r.left[1])
}

func (r *rom) refuse(op, code byte, data ...byte) []byte {
	r.lastError = code
	return r.frame(op, data, 1, code, r.left[0], r.left[1])
}

func (r *rom) answer(op byte, f []byte) []byte {
	if r.mode == "stub" {
		r.value = 0
		return r.frame(op, nil, 0, 0)
	}
	if len(f) < 8 {
		r.mode = "hung"
		return nil
	}
	data := f[8:]
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(data[4*i:]) }
	switch op {
	case 0x08:
		r.value, r.lastError = 0x20120707, 0
		return bytes.Repeat(r.ok(op), 8)
	case 0x0a:
		if len(data) < 4 || word(0) == 0 {
			r.mode = "hung"
			return nil
		}
		r.value = r.regs[word(0)]
		return r.ok(op)
	case 0x09:
		for i := 0; i+16 <= len(data); i += 16 {
			r.store(binary.LittleEndian.Uint32(data[i:]), binary.LittleEndian.Uint32(data[i+4:]), binary.LittleEndian.Uint32(data[i+8:]))
		}
		return r.ok(op)
	case 0x0b:
		if len(data) != 24 {
			return r.refuse(op, 5)
		}
		return r.ok(op)
	case 0x0d:
		return r.ok(op)
	case 0x0f:
		reply := append(r.ok(op), 0xc0, 0xc0)
		r.chipBaud = int(word(0))
		return reply
	case 0x02, 0x03, 0x0e, 0x13:
		return r.flashCommand(op, f)
	}
	times := 1
	if r.accepted == 0x08 {
		times = 8
	}
	return bytes.Repeat(r.refuse(r.accepted, 5), times)
}

func (r *rom) store(addr, value, mask uint32) {
	r.regs[addr] = r.regs[addr]&^mask | value&mask
	if addr == spiCmd && r.regs[spiUser2] == 0x7000009f && r.regs[spiUser] == 0x90000000 && r.regs[spiMISOLen] == 23 {
		r.regs[spiCmd] = 0
		r.regs[spiW0] = 0x1640ef
	}
}

func (r *rom) flashCommand(op byte, f []byte) []byte {
	data := f[8:]
	word := func(i int) int { return int(binary.LittleEndian.Uint32(data[4*i:])) }
	switch op {
	case 0x02:
		if len(data) != 16 || word(2) > r.maxBlock {
			return r.refuse(op, 5)
		}
		sectors := (word(0) + 4095) / 4096
		if word(3)%4096 != 0 || word(3)+sectors*4096 > len(r.flash) {
			return r.refuse(op, 6)
		}
		for i := range sectors * 4096 {
			r.flash[word(3)+i] = 0xff
		}
		r.erased += sectors
		r.begun, r.seq, r.at, r.blockSize = true, 0, word(3), word(2)
		return r.ok(op)
	case 0x03:
		if !r.begun || word(1) != r.seq || word(0) != len(data)-16 || word(0) > r.blockSize || word(0)%4 != 0 {
			return r.refuse(op, 5)
		}
		r.seq++
		if f[4] != checksum(data[16:]) {
			return r.refuse(op, 7)
		}
		for i, b := range data[16:] {
			r.flash[r.at+i] &= b
		}
		r.at += word(0)
		r.written += word(0)
		return r.ok(op)
	case 0x13:
		if word(0)+word(1) > len(r.flash) {
			return r.refuse(op, 9, make([]byte, 32)...)
		}
		sum := md5.Sum(r.flash[word(0) : word(0)+word(1)])
		digest := fmt.Appendf(nil, "%x", sum)
		copy(r.left[:], digest[30:])
		return r.ok(op, digest...)
	}
	page := make([]byte, 64)
	copy(page, r.flash[word(0):][:min(word(1), 64)])
	return r.ok(op, page...)
}

// connected runs f with a loader in step with the chip, on a clock of its own.
func connected(t *testing.T, r *rom, opts Options, f func(ctx context.Context, l *Loader)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := New(r, opts)
		if err := l.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.n, r.log = 0, nil
		f(t.Context(), l)
	})
}
