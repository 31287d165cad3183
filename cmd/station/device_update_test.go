package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"station/internal/sim"
	"station/internal/station"
)

// deviceData has the keys, manifests, images and bundles that the component's own tests use.
const deviceData = "../../device/secure_ota/test/data"

// fieldDevice is a virtual chip whose application is device/secure_ota, built
// for this machine: it reaches the flash through the chip's own encryption.
type fieldDevice struct {
	t          *testing.T
	chip       *sim.Chip
	port, door string
	bin, keys  string
	server     []string // flags
}

// newFieldDevice switches a blank chip on and builds what will be its application.
func newFieldDevice(t *testing.T, w *workplace, o sim.Options) *fieldDevice {
	t.Helper()
	if out, err := exec.Command("make", "-s", "-C", "../../device/secure_ota", "host").CombinedOutput(); err != nil {
		t.Fatalf("make host: %v\n%s", err, out)
	}
	bin, err := filepath.Abs("../../device/secure_ota/build/secure_ota-host")
	if err != nil {
		t.Fatal(err)
	}
	chip, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chip.Close(); err != nil {
			t.Error(err)
		}
	})
	d := &fieldDevice{t: t, chip: chip, bin: bin, keys: t.TempDir(), door: filepath.Join(w.hsm, "door")}
	for _, name := range []string{"manifest.der", "author.der", "image.der", "bundle.der", "v1.der"} {
		b, err := os.ReadFile(filepath.Join(deviceData, name))
		if err := errors.Join(err, os.WriteFile(filepath.Join(d.keys, name), b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	wire, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	door, err := net.Listen("unix", d.door)
	if err != nil {
		t.Fatal(err)
	}
	d.port = "rfc2217://" + wire.Addr().String()
	done := make(chan error, 2)
	go func() { done <- chip.ServeRFC2217(t.Context(), wire) }()
	go func() { done <- chip.ServeApp(t.Context(), door) }()
	t.Cleanup(func() {
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
	})
	return d
}

// does lets the application do something and holds the line that it ends with
// against want.
func (d *fieldDevice) does(what, want string) {
	d.t.Helper()
	cmd := exec.Command(d.bin, append([]string{what, "--chip", d.door, "--keys", d.keys, "--type", "station-example", "--rollback"}, d.server...)...)
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if got := strings.TrimSpace(string(out)); got != want {
		d.t.Fatalf("%s: got %q (%v), want %q\n%s", what, got, err, want, errOut.String())
	}
}

// boots switches the chip on, or presses its button, and tells version and
// address of the application that comes up.
func (d *fieldDevice) boots() string {
	d.t.Helper()
	d.chip.PowerOn()
	d.chip.PressReset(false)
	return d.runs()
}

// runs tells which application runs.
func (d *fieldDevice) runs() string {
	d.t.Helper()
	app, at := d.chip.App()
	return fmt.Sprintf("%s at %#x", app, at)
}

// settles reads the console of a chip that goes round until an application runs.
func (d *fieldDevice) settles() {
	d.t.Helper()
	p, err := d.chip.Open()
	if err != nil {
		d.t.Fatal(err)
	}
	defer p.Close()
	var said []byte
	b := make([]byte, 4096)
	for app := ""; app == ""; app, _ = d.chip.App() {
		n, err := p.Read(b)
		if err != nil {
			d.t.Fatalf("%v after\n%s", err, said)
		}
		said = append(said, b[:n]...)
	}
}

// newestOf is an update server of the secure-FOTA environment's interface with
// one manifest and one binary, for devices with a certificate.
type newestOf struct {
	manifest, binary atomic.Value // names of files
	asked            atomic.Int64
}

func (n *newestOf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.asked.Add(1)
	name := map[string]string{
		"/update/newest/manifest?deviceType=station-example": n.manifest.Load().(string),
		"/update/newest/binary?deviceType=station-example":   n.binary.Load().(string),
	}[r.URL.String()]
	if name == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", `"`+name+`"`)
	http.ServeFile(w, r, filepath.Join(deviceData, name))
}

func (n *newestOf) offer(manifest, binary string) {
	n.manifest.Store(manifest + ".manifest")
	n.binary.Store(binary)
}

// serveUpdates starts the server and gives the device what it needs to reach it.
func (d *fieldDevice) serveUpdates(dir string) *newestOf {
	n := &newestOf{}
	ca, caKey := issue(d.t, dir, "ca", nil, nil)
	cert, key := issue(d.t, dir, "localhost", ca, caKey)
	issue(d.t, dir, "device", ca, caKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	s := httptest.NewUnstartedServer(n)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	s.StartTLS()
	d.t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	at := func(name string) string { return filepath.Join(dir, name) }
	d.server = []string{"--server", "localhost:" + port, "--ca", at("ca.pem"), "--cert", at("device.pem"), "--key", at("device.key")}
	return n
}

// issue makes a certificate, of itself or of a CA, and writes it and its key.
func issue(t *testing.T, dir, name string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: ca == nil}
	if ca == nil {
		ca, caKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	keyDER, keyErr := x509.MarshalECPrivateKey(key)
	for _, err := range []error{err, keyErr,
		os.WriteFile(filepath.Join(dir, name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(filepath.Join(dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

const fieldJob = `name = "station-example"
revision = "1"
chip = "esp32"
partition_table = "partitions.csv"

[flash]
size = "1MB"
baud = 921600

[[image]]
file = "bootloader.bin"
address = 0x1000

[[image]]
file = "otadata.bin"
partition = "otadata"

[[image]]
file = "app.bin"
partition = "ota_0"

[key]
policy = "shared"
label = "fleet"

[security]
mode = "release"

[boot]
marker = "station-example: ready"
timeout = "10s"
`

const fieldTable = "nvs,data,nvs,0x9000,16K,\notadata,data,ota,0xd000,8K,\nota_0,app,ota_0,0x10000,64K,\nota_1,app,ota_1,0x20000,64K,\n"

// fieldProduct is a product with two slots, whose fleet shares a flash key.
func (w *workplace) fieldProduct() (approval string) {
	w.t.Helper()
	dir := filepath.Join(w.dir, "field")
	files := map[string][]byte{"job.toml": []byte(fieldJob), "partitions.csv": []byte(fieldTable), "otadata.bin": []byte(strings.Repeat("\xff", 0x2000))}
	for to, from := range map[string]string{"bootloader.bin": "../../fixtures/small/bootloader.bin", "app.bin": deviceData + "/running.bin"} {
		b, err := os.ReadFile(from)
		if err != nil {
			w.t.Fatal(err)
		}
		files[to] = b
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	key, err := filepath.Abs(deviceData + "/flash.key")
	if err != nil {
		w.t.Fatal(err)
	}
	w.run(0, "key", "import", "--label", "fleet", "--operator", "eve", key)
	out, _ := w.run(0, "job", "check", "field/job.toml")
	_, after, ok := strings.Cut(out, "plan digest  ")
	if !ok {
		w.t.Fatalf("no plan digest in\n%s", out)
	}
	return strings.Fields(after)[0]
}

// A device that the line sealed lives on in the field: it takes updates over
// TLS into a flash that its own chip encrypts, refuses what it must refuse, and
// survives the loss of its supply and firmware that does not start.
func TestVirtualChipUpdates(t *testing.T) {
	const ( // as secure_ota_text has it
		done         = "done"
		nothing      = "the server has nothing newer"
		older        = "the firmware is older than what runs or than the fuses allow, or its version cannot be compared"
		failedBefore = "this firmware was tried before and did not confirm itself"
		signature    = "the firmware is not signed by the right key"
		flashGone    = "the flash cannot be read or written"
		manifest     = "the manifest is not for this fleet, or not signed by its author"
	)
	w := newWorkplace(t)
	approval := w.fieldProduct()
	d := newFieldDevice(t, w, sim.Options{MAC: station.VirtualMAC(0), FlashSize: 1 << 20, Rollback: true})
	w.seal(0, nil, "--job", "field/job.toml", "--port", d.port, "--approve", approval, "--operator", "anna")
	server := d.serveUpdates(t.TempDir())
	if got := d.boots(); got != "1.0.0 at 0x10000" {
		t.Fatalf("sealed, it boots %s", got)
	}
	server.offer("same", "next.img")
	d.does("update", nothing)

	// The first update, as esp_encrypted_img.
	server.offer("next", "next.img")
	d.does("check", "1.1.0")
	d.does("update", "1.1.0")
	if got := d.runs(); got != "1.1.0 at 0x20000" {
		t.Fatalf("updated, it runs %s", got)
	}
	d.does("state", "unconfirmed")
	d.does("confirm", done)
	d.does("state", "confirmed")

	// What must not go in.
	for _, v := range []struct {
		manifest, binary, want string
	}{{"older", "next.img", older}, {"forged", "next.img", manifest}, {"third", "third-strange.img", signature}, {"third", "strange.bundle", signature}} {
		server.offer(v.manifest, v.binary)
		d.does("update", v.want)
		if got := d.boots(); got != "1.1.0 at 0x20000" {
			t.Fatalf("after %s with %s it boots %s", v.manifest, v.binary, got)
		}
	}

	// The supply goes in the middle of a download; the next one succeeds, with
	// a bundle that the chip need not encrypt. But that firmware dies at once, and is not taken twice.
	server.offer("third", "third.bundle")
	inject(t, d.chip, sim.Fault{Kind: sim.CutApp, At: 4})
	d.does("update", flashGone)
	if d.chip.Powered() {
		t.Error("the power is not gone")
	}
	d.chip.Heal()
	if got := d.boots(); got != "1.1.0 at 0x20000" {
		t.Fatalf("after the power cut it boots %s", got)
	}
	inject(t, d.chip, sim.Fault{Kind: sim.BootLoop})
	d.does("update", "1.2.0")
	d.settles()
	if got := d.runs(); got != "1.1.0 at 0x20000" {
		t.Fatalf("after firmware that dies it runs %s", got)
	}
	d.does("update", failedBefore)

	// The second update.
	server.offer("fourth", "fourth.bundle")
	d.does("update", "1.3.0")
	d.does("confirm", done)
	for range 2 {
		if got := d.boots(); got != "1.3.0 at 0x10000" {
			t.Fatalf("updated twice, it boots %s", got)
		}
	}
	if flash := string(d.chip.Flash()); strings.Contains(flash, "station-example") {
		t.Error("something in the flash is not encrypted")
	}
	if out, _ := w.run(0, "ledger", "verify"); !strings.Contains(out, "entries") {
		t.Errorf("ledger verify: %s", out)
	}
}

func inject(t *testing.T, chip *sim.Chip, f sim.Fault) {
	t.Helper()
	if err := chip.Inject(f); err != nil {
		t.Fatal(err)
	}
}
