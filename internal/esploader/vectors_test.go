package esploader

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/chip"
	"station/internal/slip"
)

type exchange struct {
	entry, setup     string
	tx, rx, txPrefix []byte
	txLength         int
}

// traces reads what the mask ROM answered, byte for byte.
func traces(t testing.TB, roms ...string) (all []exchange) {
	t.Helper()
	var files []string
	for _, rom := range append(roms, "rom") {
		some, _ := filepath.Glob("../../fixtures/" + rom + "/*.json")
		files = append(files, some...)
	}
	if len(files) == 0 {
		t.Fatal("no traces")
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var entries []struct {
			Name, Setup string
			Exchanges   []struct {
				Tx, Rx, TxPrefix string
				TxLength         int
			}
		}
		if err := json.Unmarshal(b, &entries); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, e := range entries {
			for _, x := range e.Exchanges {
				v := exchange{entry: filepath.Base(name) + " " + e.Name, setup: e.Setup, txLength: x.TxLength}
				v.tx, v.rx, v.txPrefix = unhex(t, x.Tx), unhex(t, x.Rx), unhex(t, x.TxPrefix)
				all = append(all, v)
			}
		}
	}
	return all
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unslip(stream []byte) (frames [][]byte) {
	var d slip.Decoder
	for _, b := range stream {
		if f, ok := d.Push(b); ok {
			frames = append(frames, bytes.Clone(f))
		}
	}
	return frames
}

// encode makes the frame that this package sends for the same command, nil for
// what it never sends.
func encode(p []byte) []byte {
	if len(p) < 8 {
		return nil
	}
	data := p[8:]
	n := len(data) / 4
	w := func(i int) uint32 { return binary.LittleEndian.Uint32(data[4*i:]) }
	switch {
	case p[1] == 0x08 && n == 9:
		return appendSync(nil)
	case p[1] == 0x0a && n == 1:
		return appendReadReg(nil, w(0))
	case p[1] == 0x09 && n > 0 && n%4 == 0:
		var writes []chip.RegWrite
		for i := 0; i < n; i += 4 {
			writes = append(writes, chip.RegWrite{Addr: w(i), Value: w(i + 1), Mask: w(i + 2), Delay: time.Duration(w(i+3)) * time.Microsecond})
		}
		return appendWriteReg(nil, writes)
	case p[1] == 0x0b && n == 6:
		return appendSPISetParams(nil, w(1))
	case p[1] == 0x0d && n == 2:
		return appendSPIAttach(nil, w(0))
	case p[1] == 0x0e && n == 2:
		return appendReadFlashSlow(nil, w(0), int(w(1)))
	case p[1] == 0x0f && n == 2:
		return appendChangeBaud(nil, int(w(0)))
	case p[1] == 0x13 && n == 4:
		return appendFlashMD5(nil, w(0), w(1))
	case p[1] == 0x02 && (n == 4 || n == 5 && w(4) == 0):
		return appendFlashBegin(nil, n, int(w(0)), int(w(1)), int(w(2)), w(3))
	case p[1] == 0x14 && n == 0:
		return cmdSecurityInfo.words(nil)
	case p[1] == 0x03 && n > 4:
		return appendData(nil, cmdFlashData, int(w(1)), data[16:])
	}
	return nil
}

// Deliberate mistakes of the traces, which this package cannot make.
var notOurs = []string{"bad checksum", "ignored?", "checksum field", "115200, 115200", "921600, 115200", "length field", "direction byte", "wrong body", "with 1024 payload", "bad SLIP escape"}

func TestFramesOfTheTraces(t *testing.T) {
	same := map[byte]int{}
	for _, x := range traces(t, "rom-c3") {
		for _, p := range unslip(x.tx) {
			want := encode(p)
			if want == nil || !bytes.Equal(p, want) {
				mistake := want == nil
				for _, m := range notOurs {
					mistake = mistake || strings.Contains(x.entry, m)
				}
				if !mistake {
					t.Errorf("%s: got % x, want % x", x.entry, want, p)
				}
				continue
			}
			same[p[1]]++
			if f := slip.Append(nil, want); !bytes.Contains(x.tx, f) && !strings.Contains(x.entry, "bad SLIP") {
				t.Errorf("%s: framed % x, want % x", x.entry, f, x.tx)
			}
		}
	}
	for _, op := range []byte{0x02, 0x08, 0x09, 0x0a, 0x0b, 0x0d, 0x0e, 0x0f, 0x13, 0x14} {
		if same[op] == 0 {
			t.Errorf("no trace of command %02x was made", op)
		}
	}
}

// Blocks stand in the traces as their first bytes and their length.
func TestBlocksOfTheTraces(t *testing.T) {
	seen := 0
	for _, x := range traces(t) {
		if x.txLength == 0 || strings.Contains(x.entry, "oversized") || strings.Contains(x.entry, "dlen") {
			continue
		}
		head := unslip(append(bytes.Clone(x.txPrefix), 0xc0))[0]
		block := make([]byte, binary.LittleEndian.Uint32(head[8:]))
		for i := range block {
			block[i] = head[24]
			if head[24] == 0 && head[25] == 1 {
				block[i] = byte(i)
			}
		}
		f := slip.Append(nil, appendData(nil, cmdFlashData, int(head[12]), block))
		if strings.Contains(x.entry, "bad checksum") {
			f[5] = x.txPrefix[5]
		}
		if len(f) != x.txLength || !bytes.HasPrefix(f, x.txPrefix) {
			t.Errorf("%s: got % x (%d), want % x (%d)", x.entry, f[:60], len(f), x.txPrefix[:60], x.txLength)
		}
		seen++
	}
	if seen < 20 {
		t.Errorf("%d blocks compared", seen)
	}
}

// script is a port that expects the traced frames and gives the traced replies.
type script struct {
	rom
	want, reply []byte
}

func (s *script) Write(p []byte) (int, error) {
	if !bytes.Equal(p, s.want) {
		s.t.Errorf("sent % x, want % x", p, s.want)
	}
	s.out = append(s.out, s.reply...)
	return len(p), nil
}

// Each traced command goes through a Loader; what comes out is what the trace
// holds: the value, the digest, or the ROM's own error code.
func TestRepliesOfTheTraces(t *testing.T) {
	done, refused := 0, 0
	before := byte(0x08)
	for _, x := range traces(t, "rom-c3") {
		frames := unslip(x.tx)
		if len(frames) != 1 || !bytes.Equal(slip.Append(nil, encode(frames[0])), x.tx) || len(x.rx) == 0 || x.rx[1] != 1 {
			continue
		}
		if strings.HasPrefix(x.setup, "fresh") {
			before = 0x08
			if strings.Contains(x.setup, "SPI_SET_PARAMS") && frames[0][1] == cmdSecurityInfo.op {
				before = 0x0b
			}
		}
		p := frames[0]
		answer := unslip(x.rx)[0]
		status := answer[len(answer)-4:]
		synctest.Test(t, func(t *testing.T) {
			s := &script{rom: rom{t: t}, want: x.tx, reply: x.rx}
			l := New(s, Options{})
			l.accepted = before
			value, err := replay(t, l, p)
			var refusal *StatusError
			switch {
			case status[0] == 0 && err != nil:
				t.Errorf("%s: %v", x.entry, err)
			case status[0] != 0 && (!errors.As(err, &refusal) || refusal.Code != status[1] || !errors.Is(err, chip.ErrRefused)):
				t.Errorf("%s: got %v, want status %02x", x.entry, err, status[1])
			case p[1] == 0x0a && !bytes.Equal(value, answer[4:8]):
				t.Errorf("%s: got % x, want % x", x.entry, value, answer[4:8])
			case p[1] == 0x13 && err == nil && hex.EncodeToString(value) != string(answer[8:40]):
				t.Errorf("%s: got %x, want %s", x.entry, value, answer[8:40])
			}
			before = l.accepted
			refused += bit(status[0] != 0)
		})
		done++
	}
	if done < 80 || refused < 10 {
		t.Errorf("only %d replies compared, %d of them refusals", done, refused)
	}
}

func replay(t *testing.T, l *Loader, p []byte) (value []byte, err error) {
	w := func(i int) uint32 { return binary.LittleEndian.Uint32(p[8+4*i:]) }
	ctx := t.Context()
	switch p[1] {
	case 0x08:
		_, err = l.sync(1)
	case 0x0a:
		var v [1]uint32
		_, _, err = l.together(ctx, nil, []uint32{w(0)}, v[:])
		value = binary.LittleEndian.AppendUint32(nil, v[0])
	case 0x13:
		var r reply
		r, err = l.do(ctx, cmdFlashMD5, bytes.Clone(p), time.Second)
		value, _ = hex.DecodeString(string(r.data[:r.n]))
	default:
		for _, c := range []*command{cmdWriteReg, cmdSPISetParams, cmdSPIAttach, cmdReadFlashSlow, cmdChangeBaud, cmdFlashBegin, cmdFlashData, cmdSecurityInfo} {
			if c.op == p[1] {
				_, err = l.do(ctx, c, bytes.Clone(p), time.Second)
			}
		}
	}
	return value, err
}
