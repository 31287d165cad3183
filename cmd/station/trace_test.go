package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"station/internal/sim"
)

// What any program gets that speaks to station sim over a socket: the answers
// of the real mask ROM, byte for byte, to frames good and bad.
func TestSimAnswersAsTheMaskROM(t *testing.T) {
	w := newWorkplace(t)
	state := t.TempDir()
	words := sim.Words{1: 0xc4123456, 2: 0x00f5240a, 3: 0x00008000, 5: 0x00100000} // the recorded chip
	var fuses bytes.Buffer
	_ = binary.Write(&fuses, binary.LittleEndian, words[:31])
	if err := os.WriteFile(filepath.Join(state, "efuse.bin"), fuses.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	c := w.sim("--state", state)
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.address, "socket://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send(t, conn, syncFrame)
	if len(hear(conn, 1, 20*time.Millisecond)) == 0 { // from here on it hears all that the chip says
		t.Fatal("the chip does not answer")
	}
	exchanges := 0
	for _, file := range []string{"frames.json", "basic.json"} {
		b, err := os.ReadFile(filepath.Join("../../fixtures/rom", file))
		if err != nil {
			t.Fatal(err)
		}
		var traces []romTrace
		if err := json.Unmarshal(b, &traces); err != nil {
			t.Fatal(err)
		}
		session := -1
		for _, e := range traces {
			if e.Session == 0 {
				continue // reads registers of the recorder
			}
			if e.Session != session {
				session = e.Session
				setUpSession(t, c, conn, e.Setup)
			}
			exchanges += e.replay(t, conn)
		}
	}
	if exchanges < 60 {
		t.Errorf("only %d exchanges were replayed", exchanges)
	}
}

type romTrace struct {
	Session     int
	Setup, Name string
	Exchanges   []struct {
		TX, RX   string
		TXLength int
	}
}

const syncFrame = "c00008240000000000070712205555555555555555555555555555555555555555555555555555555555555555c0"

// setUpSession resets the chip into its loader and begins as the recorder did.
func setUpSession(t *testing.T, c *simChip, conn net.Conn, setup string) {
	t.Helper()
	fmt.Fprintln(c.buttons, "loader")
	for banner := ""; !strings.HasSuffix(banner, "waiting for download\r\n"); {
		said := hear(conn, 1, time.Millisecond) // answers may stand before it
		if banner += string(said); len(said) == 0 {
			t.Fatalf("the banner is %q", banner)
		}
	}
	for _, step := range []struct {
		name string
		n    int // bytes of the answer
		tx   string
	}{
		{"sync", 8 * 14, syncFrame},
		{"SPI_ATTACH", 14, "c0000d0800000000000000000000000000c0"},
		{"SPI_SET_PARAMS", 14, "c0000b1800000000000000000000004000000001000010000000010000ffff0000c0"},
	} {
		if strings.Contains(setup, step.name) {
			send(t, conn, step.tx)
			if got := hear(conn, step.n, 20*time.Millisecond); len(got) < step.n {
				t.Fatalf("%s: the answer is %x", step.name, got)
			}
		}
	}
}

func (e romTrace) replay(t *testing.T, conn net.Conn) (n int) {
	t.Helper()
	for _, x := range e.Exchanges {
		if x.TXLength != 0 {
			continue // long blocks stand there without their payload
		}
		send(t, conn, x.TX)
		got := hex.EncodeToString(hear(conn, len(x.RX)/2, 20*time.Millisecond))
		if got != x.RX {
			t.Errorf("session %d, %s: %s\n got %s\nwant %s", e.Session, e.Name, x.TX, got, x.RX)
		}
		n++
	}
	return n
}

func send(t *testing.T, conn net.Conn, tx string) {
	t.Helper()
	b, err := hex.DecodeString(tx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

// hear waits for n bytes, and then for silence.
func hear(conn net.Conn, n int, silence time.Duration) []byte {
	var all []byte
	buf := make([]byte, 4096)
	for {
		wait := silence
		if len(all) < n {
			wait = time.Minute
		}
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		k, err := conn.Read(buf)
		all = append(all, buf[:k]...)
		if err != nil {
			return all
		}
	}
}
