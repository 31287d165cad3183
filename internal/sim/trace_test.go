package sim

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"station/internal/slip"
)

// trace is one entry of a recording of the real mask ROM.
type trace struct {
	Session   int
	Setup     string
	Name      string
	Text      string
	Notes     []string
	period    int // of the bytes that count in a long block; 0 is 256
	Exchanges []struct {
		TX       string
		TXLength int
		TXPrefix string
		RX       string
	}
}

// The recorded chip: its fuses, its straps, a blank 4 MB flash.
func recordedChip(t *testing.T) *Chip {
	t.Helper()
	words := Words{1: 0xc4123456, 2: 0x00f5240a, 3: 0x00008000, 5: 0x00100000}
	return newChip(t, Options{Words: &words, LoaderStraps: 0x0f, InLoader: true, Strict: true, Real: true})
}

func newChip(t testing.TB, o Options) *Chip {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func openPort(t testing.TB, c *Chip) *Port {
	t.Helper()
	p, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// drain reads what has arrived by now.
func drain(p *Port) []byte { return readBefore(p, time.Unix(1, 0)) }

// ask writes raw bytes and returns the raw answer.
func ask(p *Port, tx []byte) []byte {
	p.Write(tx)
	return drain(p)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	syncFrame  = "c000082400000000000707122055555555555555555555555555555555555555555555555555555555555555" + "55c0"
	magicFrame = "c0000a04000000000000100040c0"
)

// setUp brings the recorded chip into the state a session begins with.
func setUp(t *testing.T, c *Chip, p *Port, setup string) (console string) {
	t.Helper()
	c.PressReset(true)
	console = string(drain(p))
	p.SetBaud(consoleBaud)
	for _, step := range []struct{ name, tx string }{
		{"sync", syncFrame},
		{"SPI_ATTACH", "c0000d0800000000000000000000000000c0"},
		{"SPI_SET_PARAMS", "c0000b1800000000000000000000004000000001000010000000010000ffff0000c0"},
	} {
		if strings.Contains(setup, step.name) && len(ask(p, unhex(t, step.tx))) == 0 {
			t.Fatalf("%s: no answer", step.name)
		}
	}
	return console
}

// The real ROM's answers to everything that was tried on it, byte for byte.
func TestTracesOfTheMaskROM(t *testing.T) {
	files, _ := filepath.Glob("../../fixtures/rom/*.json")
	if len(files) < 5 {
		t.Fatalf("got %d trace files, want 5", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var traces []trace
			if err := json.Unmarshal(b, &traces); err != nil {
				t.Fatal(err)
			}
			c := recordedChip(t)
			p := openPort(t, c)
			session := -1
			console := ""
			for _, e := range traces {
				if e.Session != session {
					session = e.Session
					console = setUp(t, c, p, e.Setup)
				}
				replay(t, p, e, console)
			}
		})
	}
}

func replay(t *testing.T, p *Port, e trace, console string) {
	t.Helper()
	if e.Text != "" {
		want := strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(e.Text)
		if console != want {
			t.Errorf("session %d, %s: got %q, want %q", e.Session, e.Name, console, want)
		}
	}
	for i, x := range e.Exchanges {
		tx := unhex(t, x.TX)
		if x.TX == "" {
			tx = rebuilt(t, unhex(t, x.TXPrefix), x.TXLength, cmp.Or(e.period, 256))
		}
		got, want := ask(p, tx), unhex(t, x.RX)
		if strings.HasPrefix(e.Name, "CHANGE_BAUDRATE") && i == 0 {
			p.SetBaud(int(binary.LittleEndian.Uint32(tx[9:])))
		}
		if !bytes.Equal(got, want) {
			t.Errorf("session %d, %s, exchange %d\n got %x\nwant %x", e.Session, e.Name, i, got, want)
		}
	}
	for _, note := range e.Notes {
		if strings.Contains(note, "DEAD") {
			if got := ask(p, unhex(t, magicFrame)); len(got) != 0 {
				t.Errorf("session %d, %s: a dead ROM answered %x", e.Session, e.Name, got)
			}
		}
		if rx, ok := strings.CutPrefix(note, "RX "); ok {
			sync := unhex(t, syncFrame)
			var got []byte
			for i := range sync {
				got = append(got, ask(p, sync[i:i+1])...)
			}
			if !bytes.Equal(got, unhex(t, rx)) {
				t.Errorf("session %d, %s: got %x, want %s", e.Session, e.Name, got, rx)
			}
		}
	}
}

// rebuilt is a long request of which the recording holds the beginning: its
// payload goes on as it began, all the same or counting.
func rebuilt(t *testing.T, prefix []byte, length, period int) []byte {
	t.Helper()
	var d slip.Decoder
	var start []byte
	for _, b := range append(bytes.Clone(prefix), 0xc0) {
		if f, ok := d.Push(b); ok {
			start = bytes.Clone(f)
		}
	}
	const head = headerSize + dataHeader
	frame := bytes.Clone(start[:head])
	size := int(start[2]) | int(start[3])<<8
	first := 0 // byte that counts: one that names the block may come before
	if data := start[head:]; data[1] == 0 && data[2] == 1 {
		first = 1
	}
	for i := range size - dataHeader {
		switch {
		case start[head+1] == start[head+2]:
			frame = append(frame, start[head])
		case i < first:
			frame = append(frame, start[head+i])
		default:
			frame = append(frame, byte((i-first)%period))
		}
	}
	wire := slip.Append(nil, frame)
	if len(wire) != length || !bytes.HasPrefix(wire, prefix) {
		t.Fatalf("rebuilt %d bytes beginning % x, want %d beginning % x", len(wire), wire[:32], length, prefix[:32])
	}
	return wire
}
