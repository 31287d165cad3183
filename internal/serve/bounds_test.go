package serve

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/release"
)

// pipes is a listener whose connections are net.Pipes, for synctest: time goes on only
// when all goroutines wait.
type pipes struct {
	next chan net.Conn
	end  chan struct{}
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.next:
		return c, nil
	case <-p.end:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.end); return nil }
func (p pipes) Addr() net.Addr { return pipeAddr{} }

// quietly runs f beside a server of the site in a synctest bubble.
func (w *site) quietly(t *testing.T, f func(t *testing.T, dial func() net.Conn, stop func() error)) {
	w.born = time.Now() // inside, the clock begins in another year
	own := w.ca.issue("server", time.Now().AddDate(1, 0, 0), x509.ExtKeyUsageServerAuth, net.IPv4(127, 0, 0, 1))
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := pipes{make(chan net.Conn), make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- w.server.Listen(ctx, p, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &own, nil }, nil, 0)
		}()
		stopped := false
		stop := func() error { stopped = true; cancel(); return <-done }
		var near []net.Conn
		f(t, func() net.Conn {
			c, far := net.Pipe()
			p.next <- far
			near = append(near, c)
			t.Cleanup(func() { c.Close() })
			return c
		}, stop)
		if !stopped {
			// A server that says good-bye to who does not read holds its lock for 5 s.
			// Who waits for a lock stops the clock of the test, and so those 5 s.
			for _, c := range near {
				c.Close()
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

// secured is a TLS connection that negotiates that protocol (ALPN).
func (w *site) secured(t *testing.T, raw net.Conn, protocol string) *tls.Conn {
	t.Helper()
	c := tls.Client(raw, &tls.Config{RootCAs: w.roots, ServerName: "127.0.0.1", NextProtos: []string{protocol}, Time: func() time.Time { return w.born }})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}

// ends waits until the server ends the connection, and tells after how long.
func ends(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	begun := time.Now()
	if _, err := io.Copy(io.Discard, c); errors.Is(err, io.ErrClosedPipe) {
		t.Fatal(err)
	}
	return time.Since(begun)
}

// A client that connects and sends nothing, or only a part of a request, is disconnected
// after the limit, with every protocol.
func TestSilence(t *testing.T) {
	w := newSite(t, 1)
	for _, v := range []struct {
		name, protocol, says string
		want                 time.Duration
	}{
		{"no handshake", "", "", headerTime},
		{"half a handshake", "", "\x16\x03\x01\x02\x00\x01", headerTime},
		{"no request", "http/1.1", "", headerTime},
		{"half a header", "http/1.1", "GET /healthz HTTP/1.1\r\nHost: x\r\nX: ", headerTime},
		{"nothing after a request", "http/1.1", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", idleTime},
		{"HTTP/2, no preface", "h2", "", headerTime},
		{"HTTP/2, no request", "h2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", idleTime},
	} {
		t.Run(v.name, func(t *testing.T) {
			w.quietly(t, func(t *testing.T, dial func() net.Conn, _ func() error) {
				c := dial()
				if v.protocol != "" {
					c = w.secured(t, c, v.protocol)
				}
				if v.says != "" {
					if _, err := io.WriteString(c, v.says); err != nil {
						t.Fatal(err)
					}
				}
				if got := ends(t, c); got < v.want-time.Second || got > v.want+5*time.Second {
					t.Errorf("let go after %s, want %s", got, v.want)
				}
			})
		})
	}
}

// An upload that stalls is ended, and what has arrived stays; a slow one is taken. The
// same holds for downloads.
func TestSlowBodies(t *testing.T) {
	w := newSite(t, 1)
	data := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	app := w.put(release.KindApp, data)
	w.release(7, "1.2.0", 100, nil, app)
	d := digestOf(t, w, []byte("ten bytes."))
	part := func(body string) string {
		return fmt.Sprintf("PATCH /v1/artifacts/%s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nUpload-Offset: 0\r\nUpload-Length: 10\r\nContent-Length: 10\r\n\r\n%s", d, basicOf(anna), body)
	}
	get := fmt.Sprintf("GET /files/lamp/app.bin HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n", basicOf(device(w.devices[0])))
	say := func(t *testing.T, c net.Conn, text string) {
		t.Helper()
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	answered := func(t *testing.T, c net.Conn, status int) *http.Response {
		t.Helper()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != status {
			t.Errorf("got %d, want %d", resp.StatusCode, status)
		}
		return resp
	}
	t.Run("an upload that stands still", func(t *testing.T) {
		w.quietly(t, func(t *testing.T, dial func() net.Conn, _ func() error) {
			c := w.secured(t, dial(), "http/1.1")
			say(t, c, part("ten"))
			begun := time.Now()
			answered(t, c, http.StatusBadRequest)
			if took := time.Since(begun); took < stallTimeout || took > stallTimeout+time.Second {
				t.Errorf("given up after %s", took)
			}
			if have, err := w.store.Incoming(d); have != 3 || err != nil {
				t.Errorf("%d bytes stayed, %v", have, err)
			}
		})
	})
	for name, v := range map[string]struct {
		body   string
		pause  time.Duration // before each byte
		status int
		took   time.Duration
	}{
		"stands still": {"ten", 0, 400, stallTimeout},
		"moves on":     {"ten bytes,", stallTimeout - time.Second, 204, 10 * (stallTimeout - time.Second)},
	} {
		t.Run("an upload by HTTP/2 that "+name, func(t *testing.T) {
			w.quietly(t, func(t *testing.T, dial func() net.Conn, _ func() error) {
				transport := &http.Transport{ForceAttemptHTTP2: true, DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return w.secured(t, dial(), "h2"), nil }}
				defer transport.CloseIdleConnections()
				body, source := io.Pipe()
				defer source.Close()
				go func() {
					for _, b := range v.body {
						time.Sleep(v.pause)
						_, _ = io.WriteString(source, string(b))
					}
					if len(v.body) == 10 {
						source.Close()
					}
				}()
				d := digestOf(t, w, []byte(v.body+strings.Repeat(",", 10-len(v.body))))
				ask, err := http.NewRequest("PATCH", "https://site/v1/artifacts/"+string(d), body)
				if err != nil {
					t.Fatal(err)
				}
				anna(ask)
				ask.Header.Set("Upload-Offset", "0")
				ask.Header.Set("Upload-Length", "10")
				begun := time.Now()
				resp, err := transport.RoundTrip(ask)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if took := time.Since(begun); resp.StatusCode != v.status || resp.ProtoMajor != 2 || took < v.took || took > v.took+time.Second {
					t.Errorf("got %d by %s after %s", resp.StatusCode, resp.Proto, took)
				}
			})
		})
	}
	t.Run("an upload that moves on", func(t *testing.T) {
		w.quietly(t, func(t *testing.T, dial func() net.Conn, _ func() error) {
			c := w.secured(t, dial(), "http/1.1")
			say(t, c, strings.Replace(strings.Replace(part(""), "Upload-Offset: 0", "Upload-Offset: 3", 1), "Content-Length: 10", "Content-Length: 7", 1))
			for _, b := range " bytes." {
				time.Sleep(stallTimeout - time.Second)
				say(t, c, string(b))
			}
			answered(t, c, http.StatusNoContent)
			if !w.store.Has(d) {
				t.Error("it is not there")
			}
		})
	})
	t.Run("a reader that stands still", func(t *testing.T) {
		w.quietly(t, func(t *testing.T, dial func() net.Conn, _ func() error) {
			c := w.secured(t, dial(), "http/1.1")
			say(t, c, get)
			time.Sleep(stallTimeout + time.Second)
			if got, err := io.ReadAll(c); err == nil || len(got) > 64<<10 {
				t.Errorf("after all that time it gets %d bytes more, %v", len(got), err)
			}
		})
	})
	t.Run("a writer that does not wait for the answer", func(t *testing.T) {
		w.quietly(t, func(t *testing.T, dial func() net.Conn, _ func() error) {
			c := w.secured(t, dial(), "http/1.1")
			say(t, c, part("ten bytes."))
			time.Sleep(stallTimeout + time.Second)
			if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
				t.Errorf("after all that time it gets %d", resp.StatusCode)
			}
		})
	})
	t.Run("a reader that moves on", func(t *testing.T) {
		w.quietly(t, func(t *testing.T, dial func() net.Conn, _ func() error) {
			c := w.secured(t, dial(), "http/1.1")
			say(t, c, get)
			body, got := answered(t, c, http.StatusOK).Body, 0
			for piece := make([]byte, 64<<10); ; {
				n, err := io.ReadFull(body, piece)
				got += n
				if err != nil {
					break
				}
				time.Sleep(stallTimeout / 2)
			}
			if got != len(data) {
				t.Errorf("got %d of %d bytes", got, len(data))
			}
		})
	})
}

func basicOf(as who) string {
	r := &http.Request{Header: http.Header{}}
	as(r)
	return r.Header.Get("Authorization")
}

// A server that stops takes no new requests and lets running ones end, up to a limit.
func TestStop(t *testing.T) {
	w := newSite(t, 1)
	begin := func(t *testing.T, c net.Conn, d string) {
		t.Helper()
		if _, err := fmt.Fprintf(c, "PATCH /v1/artifacts/%s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nUpload-Offset: 0\r\nUpload-Length: 10\r\nContent-Length: 10\r\n\r\nten", d, basicOf(anna)); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("it ends well", func(t *testing.T) {
		d := digestOf(t, w, []byte("ten bytes!"))
		w.quietly(t, func(t *testing.T, dial func() net.Conn, stop func() error) {
			busy, idle := w.secured(t, dial(), "http/1.1"), w.secured(t, dial(), "http/1.1")
			begin(t, busy, string(d))
			if _, err := io.WriteString(idle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(idle, make([]byte, 20)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			end := make(chan error, 1)
			go func() { end <- stop() }()
			if took := ends(t, idle); took > time.Second {
				t.Errorf("an idle connection ended after %s", took)
			}
			time.Sleep(stopTime / 2)
			if _, err := io.WriteString(busy, " bytes!"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(busy), nil)
			if err != nil || resp.StatusCode != http.StatusNoContent || !w.store.Has(d) {
				t.Errorf("what had begun: %v, %v", resp, err)
			}
			if err := <-end; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("it never ends", func(t *testing.T) {
		d := digestOf(t, w, []byte("ten bytes?"))
		w.quietly(t, func(t *testing.T, dial func() net.Conn, stop func() error) {
			c := w.secured(t, dial(), "http/1.1")
			begin(t, c, string(d))
			ended := make(chan struct{})
			go func() { // it moves on, but too slowly
				defer close(ended)
				for range 100 {
					time.Sleep(stopTime - time.Second)
					if _, err := io.WriteString(c, "x"); err != nil {
						return
					}
				}
			}()
			synctest.Wait()
			begun := time.Now()
			if err := stop(); err != nil {
				t.Error(err)
			}
			if took := time.Since(begun); took < stopTime || took > stopTime+10*time.Second { // TLS takes 5 s to say good-bye to who does not listen
				t.Errorf("stopped after %s, want %s", took, stopTime)
			}
			if took := ends(t, c); took > time.Second {
				t.Errorf("the connection ended %s later", took)
			}
			c.NetConn().Close()
			<-ended
			if have, err := w.store.Incoming(d); have < 3 || err != nil {
				t.Errorf("%d bytes stayed, %v", have, err)
			}
		})
	})
}
