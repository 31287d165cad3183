package esploader

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/slip"
)

// Words that look like nothing else.
var keyWords = [8]uint32{0xa1b2c3d4, 0xb2c3d4e5, 0xc3d4e5f6, 0xd4e5f6a7, 0xe5f6a7b8, 0xf6a7b8c9, 0xa7b8c9da, 0xb8c9dacb}

func leaks(b []byte) bool {
	for _, w := range keyWords {
		le := binary.LittleEndian.AppendUint32(nil, w)
		be := binary.BigEndian.AppendUint32(nil, w)
		if bytes.Contains(b, le) || bytes.Contains(b, be) || bytes.Contains(b, slip.Append(nil, le)[1:5]) {
			return true
		}
	}
	return false
}

// burn writes the key, reads it back and does other things after it, with a
// reply lost on the way.
func burn(t *testing.T, ctx context.Context, r *rom, l *Loader) {
	t.Helper()
	var writes []chip.RegWrite
	var addrs []uint32
	for i, w := range keyWords {
		writes = append(writes, chip.Set(0x3ff5a098+4*uint32(i), w))
		addrs = append(addrs, 0x3ff5a038+4*uint32(i))
		r.regs[0x3ff5a038+4*uint32(i)] = w
	}
	if err := l.WriteReg(ctx, append(writes, chip.Set(0x3ff5a0fc, 0x5a5a))...); err != nil {
		t.Fatal(err)
	}
	for _, fault := range []func([]byte) [][]byte{
		func(reply []byte) [][]byte { return [][]byte{reply} },
		func([]byte) [][]byte { return nil },
		func(reply []byte) [][]byte { return [][]byte{reply[1:]} },
		func(reply []byte) [][]byte { return [][]byte{reply[:len(reply)-1]} },
	} {
		r.fault = once(cmdReadReg.op, fault)
		got, err := l.ReadRegs(ctx, addrs...)
		if err != nil || [8]uint32(got) != keyWords {
			t.Fatalf("got %x, %v", got, err)
		}
		clear(got)
	}
	// The ROM repeats the last word read in these.
	if err := l.WriteReg(ctx, chip.Set(0x3ff5a0fc, 0x5aa5)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.FlashMD5(ctx, 0, 16); err != nil {
		t.Fatal(err)
	}
	if _, err := l.FlashMD5(ctx, 0, 1<<30); !errors.Is(err, chip.ErrRefused) {
		t.Fatal(err)
	}
	if v, err := l.ReadReg(ctx, regMagic); err != nil || v != chipMagic {
		t.Fatal(err)
	}
	if err := l.WriteReg(ctx, chip.Set(0x3ff5a0fc, 0x5aa5)); err != nil {
		t.Fatal(err)
	}
}

func TestTraceShowsNoKey(t *testing.T) {
	var all bytes.Buffer
	frames := map[byte]int{}
	redactedFrames := 0
	trace := func(dir byte, frame []byte) {
		frames[dir]++
		all.Write(frame)
		redactedFrames += bit(bytes.Contains(frame, []byte(redacted)))
	}
	r := newROM(t, 0x1000)
	connected(t, r, Options{Trace: trace}, func(ctx context.Context, l *Loader) {
		burn(t, ctx, r, l)
		if leaks(all.Bytes()) {
			t.Error("the trace holds words of the key")
		}
		for what, want := range map[string][]byte{
			"fuse controller's code": appendWriteReg(nil, []chip.RegWrite{chip.Set(0x3ff5a0fc, 0x5aa5)}),
			"key request":            appendReadReg(nil, 0x3ff5a038),
			"magic":                  {1, 0x0a, 4, 0, 0x83, 0x1d, 0xf0, 0},
			"key's mask":             {0x98, 0xa0, 0xf5, 0x3f, '*', '*', '*', '*', 0xff, 0xff, 0xff, 0xff},
		} {
			if !bytes.Contains(all.Bytes(), want) {
				t.Errorf("the trace lacks the %s", what)
			}
		}
		if frames['>'] == 0 || frames['<'] == 0 || redactedFrames < 1+4*8+3 {
			t.Errorf("%v frames, %d redacted", frames, redactedFrames)
		}
	})
}

// Nothing of the key stays in a buffer of the loader.
func TestBuffersAreWiped(t *testing.T) {
	r := newROM(t, 0x1000)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		burn(t, ctx, r, l)
		var decoded []byte
		for _, b := range slip.Append(nil, []byte{1}) {
			if f, ok := l.dec.Push(b); ok {
				decoded = f[:cap(f)]
			}
		}
		if len(decoded) < maxReply {
			t.Fatalf("the decoder's buffer has %d bytes", len(decoded))
		}
		for name, b := range map[string][]byte{
			"request": l.payload[:cap(l.payload)], "frame": l.frame[:cap(l.frame)], "received": l.rx, "decoded": decoded, "console": l.text.text[:cap(l.text.text)],
		} {
			if leaks(b) {
				t.Errorf("the buffer %s holds words of the key", name)
			}
		}
	})
}

func TestErrorsShowNoKey(t *testing.T) {
	r := newROM(t, 0)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		r.lose = func(int, byte) bool { return true }
		err := l.WriteReg(ctx, chip.Set(0x3ff5a098, keyWords[0]))
		if err == nil || strings.Contains(err.Error(), "a1b2c3d4") || leaks([]byte(err.Error())) {
			t.Errorf("got %v", err)
		}
		if leaks(l.frame[:cap(l.frame)]) || leaks(l.payload[:cap(l.payload)]) {
			t.Error("the unanswered frame is still there")
		}
	})
}
