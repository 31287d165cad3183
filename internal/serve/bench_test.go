package serve

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"station/internal/release"
)

const (
	benchClients = 64
	benchImage   = 1 << 20
	benchTime    = 2 * time.Second
	benchRounds  = 2
	benchIdle    = 10_000
)

// BenchmarkServe compares the server with nginx. Both send the same bytes with the same
// kind of certificate to the same clients, each over one open connection; they take
// turns, and the best run of each counts. The clients are another process, so that each
// server has its processors for itself.
func BenchmarkServe(b *testing.B) {
	w := newSite(b, benchClients)
	w.server.Access = nil // nginx writes none either
	image := bytes.Repeat([]byte("0123456789abcdef"), benchImage/16)
	w.release(7, "1.2.0", 100, nil, w.put(release.KindApp, image))
	poll := func(i int) string { return w.url + "/default/controller/v1/" + w.devices[i].String() }
	other := w.nginx(b, image)
	all := func(path string) func(int) string { return func(int) string { return path } }
	for _, v := range []struct {
		what         string
		ours, theirs func(int) string
		bytes        bool
	}{
		{"MB a second, 1 MiB to 64 clients", all(w.url + "/files/lamp/app.bin"), all(other + "/image"), true},
		{"polls a second; nginx gives a file of 200 bytes", poll, all(other + "/poll"), false},
	} {
		var best [2]float64
		for range benchRounds {
			for i, url := range []func(int) string{v.ours, v.theirs} {
				n := w.load(b, url)
				if v.bytes {
					n *= benchImage / 1e6
				}
				best[i] = max(best[i], n)
			}
		}
		fmt.Printf("| %s | %.0f | %.0f | %.2f |\n", v.what, best[0], best[1], best[0]/best[1])
	}
}

// The environment by which load starts the test program once more: as the clients.
const (
	benchURLs = "STATION_BENCH_URLS" // one a client
	benchAuth = "STATION_BENCH_AUTH" // the same
	benchCA   = "STATION_BENCH_CA"
)

// load starts a process of clients for benchTime and gives the number of answers per
// second.
func (w *site) load(b *testing.B, url func(int) string) (perSecond float64) {
	var urls, auth []string
	for i := range benchClients {
		urls, auth = append(urls, url(i)), append(auth, basicOf(device(w.devices[i])))
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestBenchClients$", "-test.v")
	cmd.Env = append(os.Environ(), benchURLs+"="+strings.Join(urls, "\n"), benchAuth+"="+strings.Join(auth, "\n"), benchCA+"="+w.ca.write(filepath.Join(w.dir, "bench-ca.pem")))
	out, err := cmd.CombinedOutput()
	_, said, ok := strings.Cut(string(out), "answers a second: ")
	if err != nil || !ok {
		b.Fatalf("clients: %v\n%s", err, out)
	}
	if _, err := fmt.Sscan(said, &perSecond); err != nil {
		b.Fatal(err)
	}
	return perSecond
}

// TestBenchClients is the process of clients, where BenchmarkServe starts it.
// Otherwise it asks a server of its own once.
func TestBenchClients(t *testing.T) {
	urls, auth, ca, rounds := os.Getenv(benchURLs), os.Getenv(benchAuth), os.Getenv(benchCA), benchTime
	if urls == "" {
		w := newSite(t, 1)
		w.release(7, "1.2.0", 100, nil, w.put(release.KindApp, []byte("app")))
		urls, auth, ca, rounds = w.url+"/files/lamp/app.bin", basicOf(device(w.devices[0])), filepath.Join(w.dir, "ca.pem"), 0
	}
	roots := x509.NewCertPool()
	data, err := os.ReadFile(ca)
	if err != nil || !roots.AppendCertsFromPEM(data) {
		t.Fatal(err)
	}
	credentials := strings.Split(auth, "\n")
	var ready, wg sync.WaitGroup
	var answers atomic.Int64
	start := make(chan struct{})
	for i, url := range strings.Split(urls, "\n") {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ReadBufferSize: 64 << 10}
		ready.Add(1)
		wg.Go(func() {
			defer transport.CloseIdleConnections()
			buffer := make([]byte, 64<<10)
			err := ask(transport, url, credentials[i], buffer) // the connection stands
			ready.Done()
			<-start
			for end := time.Now().Add(rounds); err == nil && time.Now().Before(end); answers.Add(1) {
				err = ask(transport, url, credentials[i], buffer)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	ready.Wait()
	begun := time.Now()
	close(start)
	wg.Wait()
	t.Logf("answers a second: %f", float64(answers.Load())/time.Since(begun).Seconds())
}

// ask gets a file and throws it away.
func ask(transport *http.Transport, url, credential string, buffer []byte) error {
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", credential)
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buffer)
	return err
}

// nginx gives the image, and something as long as an answer to a poll.
func (w *site) nginx(b *testing.B, image []byte) (url string) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		b.Fatal("nginx is not installed; make bench")
	}
	own := w.ca.issue("server", time.Now().Add(time.Hour), x509.ExtKeyUsageServerAuth, net.IPv4(127, 0, 0, 1))
	key, err := x509.MarshalECPrivateKey(own.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		b.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	dir := b.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	conf := fmt.Sprintf(`daemon off; worker_processes auto; pid %[1]s/pid; error_log %[1]s/error.log; user root;
events { worker_connections 4096; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
 server { listen %[2]s ssl; ssl_certificate %[1]s/cert.pem; ssl_certificate_key %[1]s/key.pem; ssl_protocols TLSv1.2 TLSv1.3; root %[1]s/www; } }
`, dir, address)
	if err := os.Mkdir(filepath.Join(dir, "www"), 0o755); err != nil {
		b.Fatal(err)
	}
	for name, data := range map[string][]byte{"nginx.conf": []byte(conf), "www/image": image, "www/poll": image[:200],
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}), "key.pem": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key})} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(dir, "error.log"))
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	for range 200 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return "https://" + address
		}
		time.Sleep(50 * time.Millisecond)
	}
	said, _ := os.ReadFile(filepath.Join(dir, "error.log"))
	b.Fatalf("nginx does not answer: %s", said)
	return ""
}

// BenchmarkIdle holds connections of devices that have asked and say no more, and
// tells what they cost the server: the clients keep no more than the socket.
func BenchmarkIdle(b *testing.B) {
	w := newSite(b, 1)
	w.server.Access = nil
	used := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapInuse + m.StackInuse)
	}
	ask := fmt.Sprintf("GET /default/controller/v1/%s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n", w.devices[0], basicOf(device(w.devices[0])))
	connect := func() net.Conn {
		raw, err := net.Dial("tcp", strings.TrimPrefix(w.url, "https://"))
		if err != nil {
			b.Fatal(err)
		}
		c := tls.Client(raw, &tls.Config{RootCAs: w.roots, ServerName: "127.0.0.1"})
		if _, err := io.WriteString(c, ask); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 4096)); err != nil {
			b.Fatal(err)
		}
		return raw
	}
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for range 100 {
		held = append(held, connect())
	}
	before, begun := used(), time.Now()
	for range benchIdle {
		held = append(held, connect())
		if time.Since(begun) > idleTime-10*time.Second {
			break
		}
	}
	n := len(held) - 100
	fmt.Printf("| memory of Go with %d idle connections more, a connection | %.1f KiB | | |\n", n, (used()-before)/float64(n)/1024)
	for _, c := range held {
		c.Close()
	}
	held = nil
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > 1000 && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Printf("| the same when they have gone, all | %.1f MiB more than before | | |\n", (used()-before)/(1<<20))
}
