package esploader

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/chip"
	"station/internal/slip"
)

// once applies a fault to the first reply to a command.
func once(op byte, f func(reply []byte) [][]byte) func(int, byte, []byte) [][]byte {
	used := false
	return func(_ int, got byte, reply []byte) [][]byte {
		if got != op || used {
			return [][]byte{reply}
		}
		used = true
		return f(reply)
	}
}

// Whatever happens to one reply, the value read afterwards is the register's
// own, and so is the next one's.
func TestFaultyReplies(t *testing.T) {
	text := []byte("\r\nE (9) noise\r\n")
	for name, fault := range map[string]func(reply []byte) [][]byte{
		"whole":          func(r []byte) [][]byte { return [][]byte{r} },
		"lost":           func([]byte) [][]byte { return nil },
		"doubled":        func(r []byte) [][]byte { return [][]byte{r, r} },
		"torn":           func(r []byte) [][]byte { return [][]byte{r[:5], r[5:9], r[9:]} },
		"a byte missing": func(r []byte) [][]byte { return [][]byte{r[:6], r[7:]} },
		"no leading C0":  func(r []byte) [][]byte { return [][]byte{r[1:]} },
		"no trailing C0": func(r []byte) [][]byte { return [][]byte{r[:len(r)-1]} },
		"text before":    func(r []byte) [][]byte { return [][]byte{text, r} },
		"text and C0":    func(r []byte) [][]byte { return [][]byte{text, {0xc0}, text, {0xc0}, r} },
		"stale reply": func(r []byte) [][]byte {
			return [][]byte{slip.Append(nil, []byte("\x01\x13\x04\x00\x00\x00\x00\x00\x00\x05ab")), r}
		},
		"stale SYNC reply": func(r []byte) [][]byte { return [][]byte{unhexed("c0010804000707122000000000c0"), r} },
		"endless frame":    func(r []byte) [][]byte { return [][]byte{append([]byte{0xc0}, bytes.Repeat([]byte{7}, 500)...), r, r} },
	} {
		for _, chunk := range []int{0, 1} {
			r := newROM(t, 0)
			r.regs[0x3ff44038], r.regs[0x3ff44000] = 0xc0dbdc12, 0x55
			connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
				r.chunk = chunk
				r.fault = once(cmdReadReg.op, fault)
				v, err := l.ReadReg(ctx, 0x3ff44038)
				if err != nil || v != 0xc0dbdc12 {
					t.Errorf("%s: got %#x, %v", name, v, err)
				}
				v, err = l.ReadReg(ctx, 0x3ff44000)
				if err != nil || v != 0x55 {
					t.Errorf("%s: the next: got %#x, %v", name, v, err)
				}
			})
		}
	}
}

func unhexed(s string) []byte {
	b := make([]byte, len(s)/2)
	for i := range b {
		b[i] = byte(strings.IndexByte("0123456789abcdef", s[2*i])<<4 | strings.IndexByte("0123456789abcdef", s[2*i+1]))
	}
	return b
}

// A reply that comes after its time must not be taken for the next command's.
func TestLateReply(t *testing.T) {
	r := newROM(t, 0)
	r.regs[0x3ff44038], r.regs[0x3ff44000] = 1, 2
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		r.fault = once(cmdReadReg.op, func(reply []byte) [][]byte {
			r.later = append(r.later, piece{time.Now().Add(3200 * time.Millisecond), reply})
			return nil
		})
		if v, err := l.ReadReg(ctx, 0x3ff44038); err != nil || v != 1 {
			t.Errorf("got %d, %v", v, err)
		}
		if v, err := l.ReadReg(ctx, 0x3ff44000); err != nil || v != 2 {
			t.Errorf("next: got %d, %v", v, err)
		}
		if s := l.Stats(); s.Resyncs == 0 || s.Retries == 0 {
			t.Errorf("not counted: %+v", s)
		}
	})
}

// What hangs the ROM is never sent: READ_REG of address 0, a C0 in the middle.
func TestNothingThatHangsTheROM(t *testing.T) {
	r := newROM(t, 0)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		if _, err := l.ReadReg(ctx, 0); err == nil || len(r.log) != 0 {
			t.Errorf("READ_REG 0: %v, sent % x", err, r.log)
		}
		if _, err := l.ReadRegs(ctx, regMagic, 0); err == nil || len(r.log) != 0 {
			t.Errorf("READ_REG 0: %v, sent % x", err, r.log)
		}
		if err := l.SetBaud(ctx, 0); err == nil || len(r.log) != 0 {
			t.Errorf("CHANGE_BAUDRATE 0: %v, sent % x", err, r.log)
		}
		r.lose = func(int, byte) bool { return true }
		if _, err := l.ReadReg(ctx, regMagic); !errors.Is(err, chip.ErrNoAnswer) {
			t.Errorf("silent chip: got %v", err)
		}
		for len(r.log) > 0 { // whole frames only
			if r.log[0] != 0xc0 {
				t.Fatalf("sent % x outside a frame", r.log)
			}
			end := bytes.IndexByte(r.log[1:], 0xc0) + 2
			if end < 12 {
				t.Fatalf("sent % x", r.log[:end])
			}
			r.log = r.log[end:]
		}
	})
}

func TestRefusals(t *testing.T) {
	for _, after := range []byte{cmdReadReg.op, cmdSync.op} {
		r := newROM(t, 0)
		connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
			if after == cmdSync.op {
				if _, err := l.sync(1); err != nil {
					t.Fatal(err)
				}
			}
			unknown := &command{0x42, "UNKNOWN", 0, always(time.Second)}
			_, err := l.do(ctx, unknown, unknown.words(nil, 1), time.Second)
			var s *StatusError
			if !errors.As(err, &s) || s.Code != 5 || s.Op != "UNKNOWN" || !errors.Is(err, chip.ErrRefused) {
				t.Errorf("after %02x: got %v", after, err)
			}
			if want := "UNKNOWN: refused by the ROM loader: status 0x05 (bad message)"; err == nil || err.Error() != want {
				t.Errorf("got %q, want %q", err, want)
			}
			// Seven more refusals may follow; none is for the next command.
			if v, err := l.ReadReg(ctx, regMagic); err != nil || v != chipMagic {
				t.Errorf("next: got %#x, %v", v, err)
			}
		})
	}
}

// A pulled cable is not a timeout, and is not waited out.
func TestPulledCable(t *testing.T) {
	r := newROM(t, 0)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		begin := time.Now()
		r.fault = once(cmdReadReg.op, func([]byte) [][]byte { r.gone = errors.New("input/output error"); return nil })
		_, err := l.ReadReg(ctx, regMagic)
		if !errors.Is(err, chip.ErrPortGone) || errors.Is(err, chip.ErrNoAnswer) {
			t.Errorf("read: got %v", err)
		}
		if err := l.WriteReg(ctx, chip.Set(4, 4)); !errors.Is(err, chip.ErrPortGone) {
			t.Errorf("write: got %v", err)
		}
		if _, err := l.FlashMD5(ctx, 0, 0); !errors.Is(err, chip.ErrPortGone) {
			t.Errorf("MD5: got %v", err)
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("it took %v", d)
		}
	})
}

// A chip that restarts forgets its flash pins and its speed: it is not spoken
// to as if nothing had happened.
func TestRestartInMidSession(t *testing.T) {
	r := newROM(t, 0)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		const banner = "ets Jul 29 2019 12:21:46\r\n\r\nrst:0xf (RTCWDT_BROWN_OUT_RESET),boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))\r\nwaiting for download\r\n"
		r.fault = once(cmdReadReg.op, func([]byte) [][]byte { return [][]byte{[]byte(banner)} })
		_, err := l.ReadReg(ctx, regMagic)
		if !errors.Is(err, chip.ErrNoAnswer) || !strings.Contains(err.Error(), "RTCWDT_BROWN_OUT_RESET") {
			t.Errorf("got %v", err)
		}
		if err := l.WriteReg(ctx, chip.Set(4, 4)); err == nil || r.regs[4] == 4 || strings.Contains(err.Error(), "may have") {
			t.Errorf("write after a restart: %v, register %d", err, r.regs[4])
		}
		if err := l.Connect(ctx); err != nil {
			t.Error(err)
		}
		if err := l.WriteReg(ctx, chip.Set(4, 4)); err != nil || r.regs[4] != 4 {
			t.Errorf("after connecting anew: %v", err)
		}
	})
}

func TestContextEndsBetweenCommands(t *testing.T) {
	r := newROM(t, 0x10000)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		ctx, cancel := context.WithCancel(ctx)
		r.fault = func(n int, _ byte, reply []byte) [][]byte {
			if n == 1 {
				cancel() // while the command is under way
			}
			return [][]byte{reply}
		}
		err := l.ReadFlash(ctx, 0, make([]byte, 640))
		if !errors.Is(err, context.Canceled) || r.n != 2 {
			t.Errorf("got %v after %d commands, want the second to be the last", err, r.n)
		}
		if err := l.WriteReg(ctx, chip.Set(4, 4)); !errors.Is(err, context.Canceled) || r.regs[4] == 4 {
			t.Errorf("a write after the end: %v", err)
		}
	})
}

// Whatever a chip is doing that says nothing any more, a stop does not wait for
// the end of its time-out; an answer that comes at once is taken.
func TestStopWhileTheChipIsSilent(t *testing.T) {
	for name, op := range map[string]func(ctx context.Context, l *Loader) error{
		"MD5": func(ctx context.Context, l *Loader) error {
			_, err := l.FlashMD5(ctx, 0, 4<<20)
			return err
		},
		"erase": func(ctx context.Context, l *Loader) error { return l.begin(ctx, 0, eraseChunk, 0, smallBlock) },
		"data":  func(ctx context.Context, l *Loader) error { return l.data(ctx, 0, make([]byte, smallBlock), func() {}) },
		"read registers": func(ctx context.Context, l *Loader) error {
			_, err := l.ReadRegs(ctx, 4, 8)
			return err
		},
		"write registers": func(ctx context.Context, l *Loader) error { return l.WriteReg(ctx, chip.Set(4, 4)) },
	} {
		for _, after := range []time.Duration{0, 50 * time.Millisecond, 2 * time.Second} {
			r := newROM(t, 0x10000)
			connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
				ctx, cancel := context.WithCancel(ctx)
				var stopped time.Time
				r.fault = func(int, byte, []byte) [][]byte {
					if stopped.IsZero() {
						stopped = time.Now().Add(after)
						time.AfterFunc(after, cancel)
					}
					return nil
				}
				err := op(ctx, l)
				if !errors.Is(err, context.Canceled) || errors.Is(err, chip.ErrNoAnswer) {
					t.Errorf("%s, stopped after %v: got %v", name, after, err)
				}
				if took := time.Since(stopped); took > 2*time.Second {
					t.Errorf("%s, stopped after %v: it took another %v", name, after, took)
				}
			})
		}
	}
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newROM(t, 0x1000)
		l := New(r, Options{})
		if err := l.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := l.FlashMD5(t.Context(), 0, 0x1000); err != nil {
			t.Fatal(err)
		}
		s := l.Stats()
		if s.RoundTrips != 3 || s.Commands["SYNC"] != 1 || s.Commands["READ_REG"] != 1 || s.Commands["SPI_FLASH_MD5"] != 1 {
			t.Errorf("got %+v", s)
		}
		if s.Sent != int64(len(r.log)) || s.Received < 8*14+14+46 || s.Retries != 0 || s.Resyncs != 0 {
			t.Errorf("got %+v, %d bytes sent", s, len(r.log))
		}
		s.Commands["SYNC"] = 99
		if l.Stats().Commands["SYNC"] == 99 {
			t.Error("the counters are shared")
		}
	})
}

// A frame without end keeps no more than the longest reply has.
func TestFrameWithoutEnd(t *testing.T) {
	l := New(nil, Options{})
	l.have = append(append([]byte{0xc0}, make([]byte, 1<<20)...), 0xc0)
	if frame := l.buffered(); len(frame) != maxReply || cap(frame) > 4*maxReply || !l.dec.Damaged() {
		t.Errorf("a frame of %d bytes in %d", len(frame), cap(frame))
	}
}

func FuzzReply(f *testing.F) {
	for _, x := range traces(f) {
		for _, frame := range unslip(x.rx) {
			f.Add(frame, byte(0x0a))
		}
	}
	commands := []*command{cmdFlashBegin, cmdFlashData, cmdSync, cmdWriteReg, cmdReadReg, cmdReadFlashSlow, cmdFlashMD5}
	f.Fuzz(func(t *testing.T, frame []byte, before byte) {
		r, err := parseReply(frame)
		if err != nil {
			return
		}
		if frame[0] != 1 || len(frame) != 8+int(binary.LittleEndian.Uint16(frame[2:])) {
			t.Fatalf("% x was taken for a reply", frame)
		}
		for _, c := range commands {
			mine, err := r.answers(c, before)
			if mine && err == nil && (r.op != c.op || r.n != c.payload || r.status != 0) {
				t.Fatalf("% x was taken for success of %s", frame, c.name)
			}
			if refusedWith(err) && r.status == 0 {
				t.Fatalf("% x was taken for a refusal", frame)
			}
		}
	})
}

// Whatever arrives, a value is believed only out of a whole reply.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0xc0, 1, 0x0a, 4, 0, 0x83, 0x1d, 0xf0, 0, 0, 0, 0, 0, 0xc0}, byte(3))
	f.Add([]byte("\xc0\x01\x0a\x04\x00rst:0x1 (POWERON_RESET)\r\n\xc0\xc0"), byte(1))
	f.Fuzz(func(t *testing.T, stream []byte, chunk byte) {
		synctest.Test(t, func(t *testing.T) {
			s := &script{rom: rom{t: t, chunk: int(chunk)}, want: slip.Append(nil, appendReadReg(nil, regMagic)), reply: stream}
			var v [1]uint32
			if _, _, err := New(s, Options{}).together(t.Context(), nil, []uint32{regMagic}, v[:]); err != nil {
				return
			}
			want := binary.LittleEndian.AppendUint32([]byte{1, 0x0a, 4, 0}, v[0])
			for _, frame := range unslip(stream) {
				if bytes.HasPrefix(frame, append(want, 0)) {
					return
				}
			}
			t.Fatalf("%#x out of % x", v[0], stream)
		})
	})
}

func BenchmarkEncodeBlock(b *testing.B) {
	block := make([]byte, maxData)
	for i := range block {
		block[i] = byte(i * 7)
	}
	payload, frame := make([]byte, 0, maxData+64), make([]byte, 0, 2*maxData+128)
	b.SetBytes(maxData)
	b.ReportAllocs()
	for b.Loop() {
		payload = appendData(payload[:0], cmdFlashData, 1, block)
		frame = slip.Append(frame[:0], payload)
	}
}
