package port

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/racetest"
)

// flood serves RFC 2217 to one client after the other, and says the same text
// again and again, as fast as it is taken. It answers requests between the
// texts, unless it is deaf.
func flood(t *testing.T, text string, deaf bool) (name string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var clients sync.WaitGroup
	t.Cleanup(func() { l.Close(); clients.Wait() })
	block := []byte(strings.Repeat(text, 64<<10/len(text)+1))
	clients.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			clients.Go(func() { floodClient(conn, block, deaf) })
		}
	})
	return "rfc2217://" + l.Addr().String()
}

func floodClient(conn net.Conn, block []byte, deaf bool) {
	defer conn.Close()
	var mu sync.Mutex // no answer is cut in two by a text
	say := func(p []byte) bool {
		mu.Lock()
		defer mu.Unlock()
		_, err := conn.Write(p)
		return err == nil
	}
	say([]byte(agreeing))
	var readers sync.WaitGroup
	defer readers.Wait()
	if !deaf {
		readers.Go(func() {
			var codec telnet
			for buf := make([]byte, 4096); ; {
				n, err := conn.Read(buf)
				codec.decode(buf[:n], func(c command) {
					if c.verb == telSB && c.option == optComPort {
						say(says(c.params[0], c.params[1:]...))
					}
				})
				if err != nil {
					return
				}
			}
		})
	}
	for say(block) {
	}
	conn.Close()
}

// heap watches the program's memory, and tells the most that was in use beyond
// that of the beginning.
func heap(t *testing.T) (most func() uint64) {
	t.Helper()
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	begin, peak := m.HeapSys-m.HeapReleased, uint64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapSys-m.HeapReleased)
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-done
		return max(peak, begin) - begin
	}
}

// A server that says far too much costs neither memory nor time: it is read, and
// what nobody wants is forgotten.
func TestFloodingServers(t *testing.T) {
	var cases racetest.Sample
	for _, c := range []struct {
		name, text string
		deaf       bool
	}{
		{"noise", "x", false},
		{"console", "ets Jun  8 2016 00:22:57\r\n\r\nrst:0x10 (RTCWDT_RTC_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n", false},
		{"frames", "\xc0\x01\x0a\x04\x00\x83\x1d\xf0\x00\x00\x00\x00\x00\xc0", false},
		{"a frame without end", "\xc0" + strings.Repeat("y", 4096), false},
		{"options", "\xff\xfd\x63\xff\xfb\x64", false},
		{"options, and it does not listen", "\xff\xfd\x63\xff\xfb\x64", true},
		{"parameters without end", com + strings.Repeat("z", 4096), false},
		{"noise, and it does not listen", "x", true},
	} {
		if cases.Out(3) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			name := flood(t, c.text, c.deaf)
			most, begin := heap(t), time.Now()
			p, err := Host.Open(name)
			if err == nil {
				work := func() {
					defer p.Close()
					l := esploader.New(p, esploader.Options{})
					ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
					defer cancel()
					_ = l.Connect(ctx)
					_ = p.SetBaud(921600)
					ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
					defer cancel()
					_, _ = l.Boot(ctx, func(log []byte) bool { return bytes.Contains(log, []byte("marker")) })
				}
				work()
			}
			const bound = 16 << 20
			used := most()
			if used > bound {
				t.Errorf("%d MiB of memory were in use, want at most %d", used>>20, bound>>20)
			}
			if took := time.Since(begin); took > 40*time.Second {
				t.Errorf("it took %v", took)
			}
			t.Logf("%d KiB, %v, open: %v", used>>10, time.Since(begin).Round(time.Millisecond), err)
		})
	}
}

// A server that talks and does not listen is hung up on: it costs one wait, and not
// one for each of its commands.
func TestDeafServerIsHungUpOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		s, begin := &rfc2217{conn: here}, time.Now()
		s.options.request()
		for option := range byte(200) {
			s.obey(command{verb: telDo, option: 50 + option})
		}
		if took := time.Since(begin); took != replyTimeout {
			t.Errorf("it took %v", took)
		}
		if _, err := here.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the connection: %v", err)
		}
	})
}

// What a server keeps a line waiting with, outside of what it answers, has an end
// long before anybody pulls the plug: it takes no bytes, or wants none, or both.
func TestWaitingForAServerEnds(t *testing.T) {
	for name, suspended := range map[string]bool{"takes nothing": false, "suspended": true} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			defer there.Close()
			s, begin := &rfc2217{conn: here, baud: initialBaud, suspended: suspended}, time.Now()
			if _, err := s.Write([]byte("x")); !errors.Is(err, chip.ErrPortGone) || time.Since(begin) > 3*time.Second {
				t.Errorf("%s: %v after %v", name, err, time.Since(begin))
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // it agrees late, and answers nothing then
		here, there := net.Pipe()
		var server sync.WaitGroup
		server.Go(func() { _, _ = io.Copy(io.Discard, there) })
		server.Go(func() {
			time.Sleep(answerTimeout - time.Millisecond)
			_, _ = io.WriteString(there, agreeing)
		})
		begin := time.Now()
		if err := (&rfc2217{conn: here, baud: initialBaud}).open(); err == nil || time.Since(begin) > 4*time.Second {
			t.Errorf("open: %v after %v", err, time.Since(begin))
		}
		here.Close()
		there.Close()
		server.Wait()
	})
}

const com = "\xff\xfa\x2c"
