package port

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
)

// comFar is the far end of one connection. It agrees to everything and
// answers each request with what was asked for, unless the test says otherwise.
type comFar struct {
	net.Conn
	greeting string
	// answer sees a request and returns what to send; ok is false for the usual.
	answer func(params []byte) (reply []byte, ok bool)

	data *io.PipeWriter
}

const agreeing = "\xff\xfd\x2c\xff\xfd\x00\xff\xfb\x00\xff\xfb\x03\xff\xfd\x03"

// serveCom serves one client; the pipe gives the data that it sends.
func serveCom(t *testing.T, s *comFar) (name string, data io.Reader) {
	t.Helper()
	address, accepted := listen(t)
	if s.greeting == "" {
		s.greeting = agreeing
	}
	pipe, w := io.Pipe()
	s.data = w
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s.Conn = <-accepted:
			s.serve()
		case <-t.Context().Done():
		}
	}()
	t.Cleanup(func() {
		pipe.Close()
		<-done
	})
	return "rfc2217://" + address, pipe
}

func (s *comFar) serve() {
	defer s.Close()
	defer s.data.Close()
	_, _ = io.WriteString(s, s.greeting)
	if strings.Contains(s.greeting, "\r\n") { // somebody who says why and goes
		return
	}
	var codec telnet
	buf := make([]byte, 512)
	for {
		n, err := s.Read(buf)
		if n = codec.decode(buf[:n], s.obey); n > 0 {
			_, _ = s.data.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

func (s *comFar) obey(c command) {
	if c.verb != telSB || c.option != optComPort {
		return
	}
	if s.answer != nil {
		if reply, ok := s.answer(c.params); ok {
			_, _ = s.Write(reply)
			return
		}
	}
	_, _ = s.Write(says(c.params[0], c.params[1:]...))
}

// says is a server's answer.
func says(command byte, value ...byte) []byte {
	return appendParams(nil, optComPort, append([]byte{command + comServer}, value...)...)
}

func TestRFC2217(t *testing.T) {
	s := &comFar{}
	name, data := serveCom(t, s)
	p := mustOpen(t, name)
	exchange(t, p, escaping{data, s})
	for _, baud := range []int{921600, 16777215, 115200} { // one with bytes 255
		if err := p.SetBaud(baud); err != nil {
			t.Error(err)
		}
	}
	if err := p.SetLines(false, true); err != nil {
		t.Error(err)
	}
	if p.LinesTogether() {
		t.Error("two requests are one instant")
	}
	exchange(t, p, escaping{data, s})
	s.Close()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, chip.ErrPortGone) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: got %v, want ErrPortGone", err)
	}
	if err := p.SetBaud(460800); !errors.Is(err, chip.ErrPortGone) {
		t.Errorf("baud: got %v, want ErrPortGone", err)
	}
	if err := p.SetLines(true, false); !errors.Is(err, chip.ErrPortGone) {
		t.Errorf("lines: got %v, want ErrPortGone", err)
	}
}

// escaping is the far end as plain bytes.
type escaping struct {
	io.Reader
	w io.Writer
}

func (e escaping) Write(p []byte) (int, error) {
	_, err := e.w.Write(bytes.ReplaceAll(p, []byte{0xff}, []byte{0xff, 0xff}))
	return len(p), err
}

// What the chip says while an answer is awaited is not lost, and notices of
// modem state, signatures and odd answers disturb nothing, in whatever pieces
// they come.
func TestDataBetweenAnswers(t *testing.T) {
	s := &comFar{}
	s.answer = func(params []byte) ([]byte, bool) {
		if params[0] != comBaudRate {
			return nil, false
		}
		for _, piece := range [][]byte{[]byte("one"), says(7, 0xb0), says(6), says(0, 'x'), {0xff, 0xf1}, says(5, 8), says(1, 0), says(0),
			says(params[0], params[1:]...), []byte(" two")} {
			for _, b := range piece {
				_, _ = s.Write([]byte{b})
			}
		}
		return nil, true
	}
	name, _ := serveCom(t, s)
	p := mustOpen(t, name)
	if err := p.SetBaud(921600); err != nil {
		t.Fatal(err)
	}
	var got []byte
	_ = p.SetReadDeadline(time.Now().Add(patience))
	for len(got) < len("one twoone two") {
		buf := make([]byte, 3)
		n, err := p.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	if string(got) != "one twoone two" {
		t.Errorf("got %q", got)
	}
}

// On the way into the loader the request that pulls GPIO0 low must not wait
// for the answer to the one before it: EN is rising.
func TestLinesDoNotWaitWhileENRises(t *testing.T) { atOnce(t, linesWhileENRises) }

// atOnce tries what must not wait for an answer until it took less time than it
// would then: a machine that does a lot else may hold it up now and then.
func atOnce(t *testing.T, try func(t *testing.T) time.Duration) {
	t.Helper()
	var d time.Duration
	for range 10 {
		if d = try(t); d < lineTimeout || t.Failed() {
			return
		}
	}
	t.Errorf("it took %v", d)
}

func linesWhileENRises(t *testing.T) time.Duration {
	held := false
	s := &comFar{}
	s.answer = func(params []byte) ([]byte, bool) {
		switch {
		case !bytes.Equal(params[:1], []byte{comControl}):
		case params[1] == controlDTROn:
			held = true
			return nil, true
		case params[1] == controlRTSOff && held:
			return append(says(comControl, controlDTROn), says(comControl, controlRTSOff)...), true
		}
		return nil, false
	}
	name, _ := serveCom(t, s)
	p := mustOpen(t, name)
	begin := time.Now()
	for _, l := range [][2]bool{{false, false}, {false, true}, {true, true}, {true, false}, {false, false}} {
		if err := p.SetLines(l[0], l[1]); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(begin)
}

func TestChangesOfLines(t *testing.T) {
	name := map[setting]string{setDTR(true): "+dtr", setDTR(false): "-dtr", setRTS(true): "+rts", setRTS(false): "-rts"}
	for _, c := range []struct{ dtr, rts, newDTR, newRTS bool }{
		{false, false, true, true}, {true, true, false, false}, {false, true, true, false}, {true, false, false, true},
		{true, true, true, false}, {false, false, false, true}, {true, true, true, true},
	} {
		dtr, rts := c.dtr, c.rts
		var got []string
		for i, change := range changesOfLines(c.dtr, c.rts, c.newDTR, c.newRTS) {
			got = append(got, name[change])
			if reset := rts && !dtr; i == 1 && reset && !(c.rts && !c.dtr) {
				t.Errorf("%+v: %v resets the chip on the way", c, got)
			}
			if line(change.value) == 1 {
				dtr = change == setDTR(true)
			} else {
				rts = change == setRTS(true)
			}
		}
		if dtr != c.newDTR || rts != c.newRTS {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestSuspendedFlow(t *testing.T) {
	s := &comFar{}
	s.answer = func(params []byte) ([]byte, bool) {
		if params[0] == comBaudRate {
			return append(says(comSuspend), says(params[0], params[1:]...)...), true
		}
		return nil, false
	}
	name, data := serveCom(t, s)
	p := mustOpen(t, name)
	wrote := make(chan error)
	go func() {
		_, err := p.Write([]byte("now"))
		wrote <- err
	}()
	select {
	case err := <-wrote:
		t.Fatalf("wrote while suspended: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	_, _ = s.Write(says(comResume))
	got := make([]byte, 3)
	if _, err := io.ReadFull(data, got); err != nil || <-wrote != nil || string(got) != "now" {
		t.Errorf("got %q, %v", got, err)
	}
}

// silentTo answers nothing to some requests.
func silentTo(silent func(params []byte) bool) func([]byte) ([]byte, bool) {
	return func(params []byte) ([]byte, bool) { return nil, silent(params) }
}

func TestServersThatDoNotServe(t *testing.T) {
	for _, c := range []struct {
		greeting string
		answer   func([]byte) ([]byte, bool)
		is       error
		says     string
	}{
		{"login: ", nil, nil, "socket://HOST:PORT"},
		{"\xff\xfb\x01\xff\xfd\x18\xff\xfe\x2c\xff\xfb\x00\xff\xfd\x00", nil, nil, "not RFC 2217"},
		{"\xff\xfd\x2c\xff\xfe\x00\xff\xfb\x00", nil, nil, "binary"},
		{agreeing + "Port already in use\r\n", nil, chip.ErrPortBusy, "already in use"},
		{agreeing + "Device open failure: Value or file not found\r\n", nil, chip.ErrPortAbsent, "open failure"},
		{"\r\n", nil, chip.ErrPortAbsent, "another client"},
		{"", func(p []byte) ([]byte, bool) { return says(comDataSize, 7), p[0] == comDataSize }, errRefused, "8N1"},
		{"", silentTo(func(p []byte) bool { return p[0] == comBaudRate }), chip.ErrPortGone, "does not answer"},
	} {
		t.Run(c.says, func(t *testing.T) {
			t.Parallel()
			name, _ := serveCom(t, &comFar{greeting: c.greeting, answer: c.answer})
			p, err := Host.Open(name)
			if err == nil {
				p.Close()
				t.Fatal("it opened")
			}
			if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v, %q", err, c.is, c.says)
			}
		})
	}
}

func TestServersOfPortsWithLimits(t *testing.T) {
	odd := func(p []byte) ([]byte, bool) {
		reply := map[string][]byte{
			fmt.Sprint([]byte{comBaudRate, 0, 0x0e, 0x10, 0}):    says(comBaudRate, 0, 0x0e, 0x15, 0xc4), // 923076
			fmt.Sprint([]byte{comBaudRate, 0, 0x16, 0xe3, 0x60}): says(comBaudRate, 0, 1, 0xc2, 0),       // not at all
			fmt.Sprint([]byte{comControl, controlDTROn}):         says(comControl, controlDTROff),
		}[fmt.Sprint(p)]
		return reply, reply != nil
	}
	name, _ := serveCom(t, &comFar{answer: odd})
	p := mustOpen(t, name)
	if err := p.SetBaud(921600); err != nil {
		t.Errorf("nearly 921600 baud: %v", err)
	}
	if err := p.SetBaud(1500000); err == nil || !strings.Contains(err.Error(), "stays at 115200") {
		t.Errorf("1500000 baud: got %v", err)
	}
	if err := p.SetLines(true, false); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("lines: got %v, want ErrUnsupported", err)
	}
	if err := p.SetBaud(115200); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
}

func TestServersThatAreSilentAboutLines(t *testing.T) {
	lines := func(p []byte) bool { return p[0] == comControl && p[1] != controlNoFlow }
	all := func(p []byte) bool { return p[0] == comControl }
	for _, c := range []struct {
		option string
		silent func([]byte) bool
		want   error
	}{
		{"", lines, errors.ErrUnsupported}, // it would say so
		{"", all, nil},                     // it never says
		{"?ign_set_control", lines, nil},   // somebody knows better
	} {
		t.Run(c.option, func(t *testing.T) {
			t.Parallel()
			atOnce(t, func(t *testing.T) time.Duration {
				name, _ := serveCom(t, &comFar{answer: silentTo(c.silent)})
				p := mustOpen(t, name+c.option)
				begin := time.Now()
				for _, l := range [][2]bool{{false, true}, {true, true}, {true, false}} {
					if err := p.SetLines(l[0], l[1]); !errors.Is(err, c.want) {
						t.Errorf("got %v, want %v", err, c.want)
					}
				}
				return time.Since(begin)
			})
		})
	}
}
