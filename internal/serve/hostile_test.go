package serve

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/record"
	"station/internal/release"
)

// Each kind of Range header gets those ranges, the whole file or nothing, and never more
// than a few times the file.
func TestRanges(t *testing.T) {
	w := newSite(t, 1)
	app := []byte("0123456789abcdefghij")
	w.release(7, "1.2.0", 100, nil, w.put(release.KindApp, app))
	me := device(w.devices[0])
	for _, v := range []struct {
		ask    string
		status int
		want   string // of several parts, with | between
	}{
		{"bytes=0-0", 206, "0"}, {"bytes=19-19", 206, "j"}, {"bytes=19-", 206, "j"}, {"bytes=0-", 206, string(app)},
		{"bytes=5-1000", 206, string(app[5:])}, {"bytes=-1", 206, "j"}, {"bytes=-1000", 206, string(app)},
		{"bytes=0-99999999999999999999", 416, ""}, {"bytes=99999999999999999999-", 416, ""}, {"bytes=9223372036854775807-", 416, ""},
		{"bytes=20-", 416, ""}, {"bytes=5-4", 416, ""}, {"bytes=--1", 416, ""}, {"bytes=1", 416, ""}, {"bytes=a-b", 416, ""},
		{"lines=0-1", 200, string(app)}, {"bytes 0-1", 200, string(app)}, {"lines=" + strings.Repeat("0-,", 500) + "0-", 200, string(app)}, // of no unit that is known
		{"Bytes=0-1", 206, "01"}, {"bytes=-0", 416, ""}, {"bytes=-000", 416, ""}, {"bytes=-0,0-1", 206, "01"}, {"bytes=-0,-1", 206, "j"}, {"bytes=-", 416, ""},
		{"bytes=0-1,5-6", 206, "01|56"}, {"bytes= 0-1 , 5-6 ", 206, "01|56"}, {"bytes=5-6,0-1", 206, "56|01"}, {"bytes=0-1,0-1", 206, "01|01"},
		{"bytes=0-1,30-40", 206, "01"}, {"bytes=,", 200, string(app)}, {"bytes=0-1,,5-6", 206, "01|56"},
		{"bytes=0-,0-,0-,0-", 200, string(app)}, // more than the file: all of it, once
		{"bytes=0-1,2-3,4-5,6-7,8-9", 416, ""}, {"bytes=" + strings.Repeat("0-,", 500) + "0-", 416, ""},
	} {
		got := w.do(me, v.status, "GET", "/files/lamp/app.bin", nil, "Range", v.ask)
		if v.status == 416 {
			if size := got.Header.Get("Content-Range"); size != "" && size != "bytes */20" {
				t.Errorf("%q: Content-Range %q", v.ask, size)
			}
			continue
		}
		if text := pieces(t, got); text != v.want {
			t.Errorf("%q: got %q, want %q", v.ask, text, v.want)
		}
	}
	if got := w.do(me, 200, "HEAD", "/files/lamp/app.bin", nil, "Range", "bytes=0-1"); got.ContentLength != int64(len(app)) { // only GET has ranges
		t.Errorf("HEAD: %d bytes", got.ContentLength)
	}
}

// pieces are the parts of an answer, or the whole one.
func pieces(t *testing.T, s said) string {
	t.Helper()
	kind, params, err := mime.ParseMediaType(s.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "multipart/byteranges" {
		return string(s.body)
	}
	var list []string
	for r := multipart.NewReader(bytes.NewReader(s.body), params["boundary"]); ; {
		p, err := r.NextPart()
		if err == io.EOF {
			return strings.Join(list, "|")
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, string(b))
	}
}

// No spelling of a path leads out of the served tree, for anybody. The paths go over the
// wire unchanged.
func TestPathTricks(t *testing.T) {
	w := newSite(t, 1)
	w.release(7, "1.2.0", 100, nil, w.put(release.KindApp, []byte("THE-APP")))
	me, author := basicOf(device(w.devices[0])), basicOf(anna)
	hex := w.devices[0].String()
	for i, path := range []string{
		"/files/lamp/../../ledger.db", "/files/lamp/%2e%2e/%2e%2e/ledger.db", "/files/lamp/..%2f..%2fledger.db", "/files/lamp/..%5c..%5cledger.db", `/files/lamp/..\..\ledger.db`,
		"/files/lamp/app.bin%00", "/files/lamp/app.bin/", "/files//lamp/app.bin", "//files/lamp/app.bin", "/files/lamp/./app.bin", "/FILES/lamp/app.bin", "/files/lamp/app.bin;x",
		"/files/../files/lamp/app.bin", "/files/%2fetc%2fpasswd/app.bin", "/files/lamp%2fapp.bin", "/files/lamp/app%2ebin%20", "/files/lamp/" + strings.Repeat("a", 8000),
		"/" + hex, "/default/controller/v1/" + hex + "/softwaremodules/7/artifacts/..%2f..%2f..%2fledger.db", "/default/controller/v1/" + hex + "/softwaremodules/07/artifacts/../app.bin",
		"/default/controller/v1/" + hex + "%2f..%2f/deploymentBase/7", "/../controller/v1/" + hex, "/v1/artifacts/sha256:..%2f..%2flock", "/v1/releases/..", "/v1/releases/%2e%2e",
		"/v1/releases/..%2fdevice", "/v1/releases/lamp%00", "/v1/releases/.lamp", "/update/newest/binary?deviceType=..%2flamp", "/update/newest/binary?deviceType=lamp%00", "/update/newest/binary?deviceType=lamp;x=%zz",
		"https://elsewhere/files/lamp/app.bin/..", "*", "/%", "/%zz", "", "files/lamp/app.bin",
	} {
		for _, as := range []string{me, author, []string{"", "Basic", "Basic !", "Basic " + strings.Repeat("A", 9000)}[i%4]} {
			c, err := tls.Dial("tcp", strings.TrimPrefix(w.url, "https://"), &tls.Config{RootCAs: w.roots})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: %s\r\n\r\n", path, as)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatalf("%q: %v", path, err)
			}
			body, _ := io.ReadAll(resp.Body)
			c.Close()
			empty := as == author && resp.StatusCode == 200 && strings.TrimSpace(string(body)) == "null"
			if resp.StatusCode < 300 && !empty || resp.StatusCode >= 500 || bytes.Contains(body, []byte("THE-APP")) {
				t.Errorf("%.60q as %.20q: got %d %.40q", path, as, resp.StatusCode, body)
			}
		}
	}
}

// A thousand silent connections keep nobody else from being served.
func TestIdleConnections(t *testing.T) {
	w := newSite(t, 1)
	w.release(7, "1.2.0", 100, nil, w.put(release.KindApp, []byte("app")))
	host := strings.TrimPrefix(w.url, "https://")
	for i := range 1000 {
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%20 == 0 { // some say that much
			if err := tls.Client(c, &tls.Config{RootCAs: w.roots, ServerName: "127.0.0.1"}).Handshake(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 10 {
		w.doWith(w.client(), device(w.devices[0]), 200, "GET", "/files/lamp/app.bin", nil)
	}
}

// A device that has gone leaves nothing in the server's memory: 4,000 devices take no
// more than 1,000.
func TestMemoryIsFlat(t *testing.T) {
	const few, many = 1000, 4000
	w := newSite(t, 0)
	var list []record.Entry
	for i := range many {
		visit := visitOf(macOf(i), true)
		last := visit[len(visit)-1]
		last.Keys = nil
		w.devices, list = append(w.devices, macOf(i)), append(list, visit[0], last)
	}
	w.enter(list...)
	w.release(7, "1.2.0", 0, nil, w.put(release.KindApp, []byte("app")))
	h := w.server.Handler()
	visit := func(list []chip.MAC) {
		for _, mac := range list {
			r, err := http.NewRequest("GET", "https://site/default/controller/v1/"+mac.String(), nil)
			if err != nil {
				t.Fatal(err)
			}
			// by a certificate, of which there is one a device and nothing in memory
			r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{Subject: pkix.Name{CommonName: mac.String()}}}}}
			a := &nowhere{header: http.Header{}}
			if h.ServeHTTP(a, r); a.status != 200 {
				t.Fatalf("%s: got %d", mac, a.status)
			}
			w.access.Reset()
		}
	}
	visit(w.devices[:few]) // whatever the server keeps for all of them is kept now
	before := heap()
	visit(w.devices[few:])
	grown := max(heap()-before, 0)
	t.Logf("%d devices left %d bytes", many-few, grown)
	if least := int64(many-few) * 16; grown > least { // a MAC and a pointer
		t.Errorf("%d devices left %d bytes: that is something of each", many-few, grown)
	}
}

// nowhere takes an answer and keeps its status.
type nowhere struct {
	header http.Header
	status int
}

func (n *nowhere) Header() http.Header { return n.header }
func (n *nowhere) WriteHeader(s int)   { n.status = s }
func (n *nowhere) Write(b []byte) (int, error) {
	if n.status == 0 {
		n.status = 200
	}
	return len(b), nil
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
