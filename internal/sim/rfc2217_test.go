package sim

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"station/internal/port/porttest"
)

func serveRFC2217(t *testing.T, c *Chip) (addr string) { return serve(t, c.ServeRFC2217) }

// pyserial, as it comes, resets the chip into its loader, works with it at two
// speeds and starts the application.
func TestPyserialClient(t *testing.T) {
	c := encryptedChip(t, 1, Options{})
	cmd := porttest.Python(t, "testdata/pyserial_client.py", "rfc2217://"+serveRFC2217(t, c))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	block := make([]byte, 1024)
	for i := range block {
		block[i] = byte(i)
	}
	want := fmt.Sprintf(`loader: rst:0x1 (POWERON_RESET),boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2)) waiting for download
sync: 0808080808080808
magic: 831df000
speed: 0
magic: 831df000
begin: 0
block: 0
md5: %x
app: (SPI_FAST_FLASH_BOOT)
lines: False False False
`, md5.Sum(block))
	if string(out) != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
	if got := c.Flash()[0x100000:][:len(block)]; !bytes.Equal(got, block) {
		t.Error("the flash holds something else")
	}
}

// say sends and wants an answer.
func say(t *testing.T, conn net.Conn, request, want string) {
	t.Helper()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if n, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("to % x: got % x, %v, want % x", request, got[:n], err, want)
	}
}

const (
	com = "\xff\xfa\x2c" // a COM-PORT command begins
	end = "\xff\xf0"
)

// The server's side of the protocol, byte by byte, with the chip silent.
func TestRFC2217Answers(t *testing.T) {
	conn := dial(t, serveRFC2217(t, newChip(t, Options{InLoader: true})))
	for _, x := range []struct{ request, want string }{
		{"", string(greeting)},
		{"\xff\xfb\x2c\xff\xfd\x2c", "\xff\xfb\x2c"}, // WILL is an answer, DO is new
		{"\xff\xfd\x01\xff\xfb\x18", "\xff\xfc\x01\xff\xfe\x18"},
		{"\xff\xfe\x03\xff\xfe\x03", "\xff\xfc\x03"},
		{com + "\x07" + end, com + "\x6b\x00" + end + com + "\x6b\x00" + end}, // the first request brings the modem state
		{com + "\x00" + end, com + "\x64station sim" + end},
		{com + "\x01\x00\x00\x00\x00" + end, com + "\x65\x00\x01\xc2\x00" + end},
		{com + "\x01\x00\xff\xff\xff\xff\x01" + end, com + "\x65\x00\xff\xff\xff\xff\x01" + end},
		{com + "\x01\x00\x01\xc2\x00" + end, com + "\x65\x00\x01\xc2\x00" + end},
		// 8N1, no flow control, no break: whatever is wished for.
		{com + "\x02\x07" + end + com + "\x03\x02" + end + com + "\x04\x02" + end, com + "\x66\x08" + end + com + "\x67\x01" + end + com + "\x68\x01" + end},
		{com + "\x05\x03" + end + com + "\x05\x05" + end + com + "\x05\x0f" + end, com + "\x69\x01" + end + com + "\x69\x06" + end + com + "\x69\x0e" + end},
		// DTR on; how are RTS and DTR?
		{com + "\x05\x08" + end + com + "\x05\x0a" + end + com + "\x05\x07" + end, com + "\x69\x08" + end + com + "\x69\x0c" + end + com + "\x69\x08" + end},
		{com + "\x0b\xff\xff" + end + com + "\x0c\x03" + end, com + "\x6f\xff\xff" + end + com + "\x70\x03" + end},
		// NOP, nothing at all, and another option's parameters mean nothing.
		{"\xff\xf1\xff\xfa" + end + "\xff\xfa\x18\x00" + end + com + "\x06" + end, com + "\x6a\x00" + end},
	} {
		say(t, conn, x.request, x.want)
	}
	// Data before a command are with the chip when it is obeyed, and a
	// suspended client gets answers but no data until it resumes.
	say(t, conn, com+"\x08"+end+string(unhex(t, magicFrame))+com+"\x06"+end, com+"\x6a\x00"+end)
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); n > 0 {
		t.Errorf("suspended, and got %d bytes, %v", n, err)
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	say(t, conn, com+"\x09"+end, string(unhex(t, "c0010a0400831df000")))
}

// A chip without lines says so, and a client that goes leaves the lines
// released.
func TestRFC2217Lines(t *testing.T) {
	none := dial(t, serveRFC2217(t, newChip(t, Options{InLoader: true, NoLines: true})))
	say(t, none, "", string(greeting))
	say(t, none, com+"\x05\x08"+end, com+"\x6b\x00"+end+com+"\x69\x09"+end)

	c := newChip(t, Options{})
	addr := serveRFC2217(t, c)
	conn := dial(t, addr)
	say(t, conn, com+"\x05\x0b"+end, string(greeting)) // into reset
	readUntil(t, conn, com+"\x69\x0b"+end)
	conn.Close()
	conn = dial(t, addr)
	say(t, conn, "", string(greeting))
	readUntil(t, conn, "POWERON_RESET")
}

// A request without end keeps no more than any request has.
func TestRFC2217RequestWithoutEnd(t *testing.T) {
	s := comServer{r: bufio.NewReader(strings.NewReader(strings.Repeat("z", 1<<20) + end))}
	if params, err := s.params(); err != nil || len(params) != maxComValue {
		t.Errorf("%d bytes are kept, %v", len(params), err)
	}
}

// readUntil reads until the text has come, whatever stands before and behind
// it: answers and what the chip prints come in pieces of any size, and neither
// waits for the other.
func readUntil(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	var got []byte
	for b := make([]byte, 512); !bytes.Contains(got, []byte(text)); {
		n, err := conn.Read(b)
		if got = append(got, b[:n]...); err != nil && !bytes.Contains(got, []byte(text)) {
			t.Fatalf("%v; want %q, got %q", err, text, got)
		}
	}
}
