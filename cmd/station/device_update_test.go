package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"station/internal/chip"
	field "station/internal/release"
	"station/internal/sim"
	"station/internal/store"
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

// updateServer is a running station serve.
type updateServer struct {
	t      *testing.T
	url    string
	client *http.Client
	store  string
	id     int64 // of the last release
	at     func(name string) string
	pid    int
}

const authorPassword = "correct horse"

// serveUpdates starts station serve, and gives the device what it needs to
// reach it: a certificate that names its MAC.
func (w *workplace) serveUpdates(d *fieldDevice, mac string, more ...string) *updateServer {
	w.t.Helper()
	s := w.serve(mac, more...)
	d.server = []string{"--server", strings.TrimPrefix(s.url, "https://"), "--ca", s.at("ca.pem"), "--cert", s.at(mac + ".pem"), "--key", s.at(mac + ".key")}
	return s
}

// serve starts station serve for a device of that MAC.
func (w *workplace) serve(mac string, more ...string) *updateServer {
	w.t.Helper()
	dir := w.t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	ca, caKey := issue(w.t, dir, "ca", nil, nil)
	issue(w.t, dir, "localhost", ca, caKey)
	issue(w.t, dir, mac, ca, caKey)
	hash, err := bcrypt.GenerateFromPassword([]byte(authorPassword), bcrypt.MinCost)
	if err := errors.Join(err, os.WriteFile(at("authors"), fmt.Appendf(nil, "anna:%s\n", hash), 0o600)); err != nil {
		w.t.Fatal(err)
	}
	cmd := w.command(append([]string{"serve", "--listen", "127.0.0.1:0", "--cert", at("localhost.pem"), "--key", at("localhost.key"), "--authors", at("authors"),
		"--client-ca", at("ca.pem"), "--store", at("releases")}, more...)...)
	said, err := cmd.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, said)
		if err := cmd.Wait(); err != nil {
			w.t.Errorf("station serve: %v", err)
		}
	})
	line, err := bufio.NewReader(said).ReadString('\n')
	_, after, ok := strings.Cut(line, "https://127.0.0.1:")
	port, _, _ := strings.Cut(after, ",")
	if err != nil || !ok {
		w.t.Fatalf("station serve says %q, %v", line, err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return &updateServer{t: w.t, at: at, pid: cmd.Process.Pid, url: "https://localhost:" + port, store: at("releases"),
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}}
}

// ask sends a request of the author.
func (s *updateServer) ask(method, path, kind string, body io.Reader, want int, headers ...string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	r.SetBasicAuth("anna", authorPassword)
	r.Header.Set("Content-Type", kind)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	if said, _ := io.ReadAll(answer.Body); answer.StatusCode != want {
		s.t.Fatalf("%s %s: %s\n%s", method, path, answer.Status, said)
	}
}

// upload brings a manifest and an image as the environment's authors do. The
// server can look into neither: what is wrong with them is for the device to find.
func (s *updateServer) upload(manifest, image string) {
	s.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for part, name := range map[string]string{"manifestFile": manifest + ".manifest", "firmwareFile": image} {
		to, err := form.CreateFormFile(part, name)
		if err != nil {
			s.t.Fatal(err)
		}
		_, _ = to.Write(deviceFile(s.t, name))
	}
	form.Close()
	s.id++
	s.ask("POST", fmt.Sprintf("/uploadFile?id=%d&deviceType=station-example&fwName=app&secureVersion=%d", s.id, secureVersion(manifest)), form.FormDataContentType(), &body, 200)
}

// secureVersion is that of the app that a manifest was made for.
func secureVersion(manifest string) uint32 {
	if manifest == "third" || manifest == "fourth" {
		return 2
	}
	return 1
}

// release brings a manifest and a bundle, and starts its rollout.
func (s *updateServer) release(version, manifest, bundle string) {
	s.t.Helper()
	s.releaseOf(version, manifest, deviceFile(s.t, bundle))
}

func (s *updateServer) releaseOf(version, manifest string, bundle []byte) {
	s.t.Helper()
	s.id++
	doc := &field.Release{Format: field.Format, ID: s.id, Product: "station-example", Name: "app", Version: version, SecureVersion: secureVersion(manifest)}
	for kind, b := range map[field.Kind][]byte{field.KindManifest: deviceFile(s.t, manifest+".manifest"), field.KindBundle: bundle} {
		f := field.Form{Kind: kind, Size: int64(len(b)), SHA256: fmt.Sprintf("sha256:%x", sha256.Sum256(b))}
		if kind == field.KindBundle {
			head, err := field.ParseBundle(b[:field.BundleHeaderSize])
			if err != nil {
				s.t.Fatal(err)
			}
			f.Check, doc.App, doc.AppSize, doc.Chip = hex.EncodeToString(head.Check[:]), fmt.Sprintf("sha256:%x", head.Plain), int64(head.PlainSize), head.Chip
		}
		s.ask("PATCH", "/v1/artifacts/"+f.SHA256, "application/octet-stream", bytes.NewReader(b), 204, "Upload-Offset", "0", "Upload-Length", fmt.Sprint(len(b)))
		doc.Forms = append(doc.Forms, f)
	}
	s.ask("PUT", fmt.Sprintf("/v1/releases/%s/%d", doc.Product, doc.ID), "application/json", bytes.NewReader(doc.JSON()), 204)
	roll := field.Rollout{Product: doc.Product, Release: doc.ID, Percent: 100, State: field.Running, Samples: field.DefaultSamples, Failures: 100}
	st, err := store.Open(s.store)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := st.Set(fmt.Sprintf("rollout/%s/%019d", doc.Product, doc.ID), roll.JSON(), 0); err != nil {
		s.t.Fatal(err)
	}
}

func deviceFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(deviceData, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
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
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
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
	return w.fieldProductOf(fieldJob, "../../fixtures/small/bootloader.bin", deviceData+"/running.bin")
}

func (w *workplace) fieldProductOf(job, bootloader, app string) (approval string) {
	w.t.Helper()
	dir := filepath.Join(w.dir, "field")
	files := map[string][]byte{"job.toml": []byte(job), "partitions.csv": []byte(fieldTable), "otadata.bin": []byte(strings.Repeat("\xff", 0x2000))}
	for to, from := range map[string]string{"bootloader.bin": bootloader, "app.bin": app} {
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
	d := newFieldDevice(t, w, sim.Options{MAC: [6]byte{0x24, 0x0a, 0xc4, 1, 2, 3}, Real: true, FlashSize: 1 << 20, Rollback: true}) // of a virtual one nothing is proved
	w.seal(0, nil, "--job", "field/job.toml", "--port", d.port, "--approve", approval, "--operator", "anna")
	mac := chip.MAC(d.chip.MAC()).String()
	server := w.serveUpdates(d, mac)
	if got := d.boots(); got != "1.0.0 at 0x10000" {
		t.Fatalf("sealed, it boots %s", got)
	}
	d.does("update", nothing)
	server.upload("same", "next.img")
	d.does("update", nothing)

	// The first update, as esp_encrypted_img.
	server.upload("next", "next.img")
	d.does("check", "1.1.0")
	d.does("update", "1.1.0")
	if got := d.runs(); got != "1.1.0 at 0x20000" {
		t.Fatalf("updated, it runs %s", got)
	}
	d.does("state", "unconfirmed")
	d.does("confirm", done)
	d.does("state", "confirmed")

	// What must not go in.
	for _, v := range []struct{ manifest, image, want string }{
		{"older", "next.img", older}, {"forged", "next.img", manifest}, {"third", "third-strange.img", signature},
	} {
		server.upload(v.manifest, v.image)
		d.does("update", v.want)
		if got := d.boots(); got != "1.1.0 at 0x20000" {
			t.Fatalf("after %s with %s it boots %s", v.manifest, v.image, got)
		}
	}
	forged := deviceFile(t, "third.bundle")
	forged[field.BundleHeaderSize-1] ^= 1 // the last byte of its signature; a server without --signer does not look at it
	server.releaseOf("1.2.0", "third", forged)
	d.does("update", signature)

	// The supply goes in the middle of a download; the next one succeeds, with
	// a bundle that the chip need not encrypt. But that firmware dies at once, and is not taken twice.
	server.release("1.2.0", "third", "third.bundle")
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
	d.does("update", nothing) // it told the server, which does not offer it again
	server.release("1.2.0", "third", "third.bundle")
	d.does("update", failedBefore) // under another number it knows it again

	// The second update.
	server.release("1.3.0", "fourth", "fourth.bundle")
	d.does("update", "1.3.0")
	d.does("confirm", done)
	d.staysUpdated("1.3.0 at 0x10000")
	server.proves(w, mac, "1 success, 2 success, 3 failure, 4 failure, 5 failure, 6 failure, 7 failure, 8 failure, 9 success")
}

// staysUpdated holds what the device starts with, and starts with again, against an
// update that it confirmed, and looks for plain text in its flash.
func (d *fieldDevice) staysUpdated(want string) {
	d.t.Helper()
	for range 2 {
		if got := d.boots(); got != want {
			d.t.Fatalf("updated to %s, it boots %s", want, got)
		}
	}
	if flash := string(d.chip.Flash()); strings.Contains(flash, "station-example") {
		d.t.Error("something in the flash is not encrypted")
	}
}

// proves holds the ledger against what was done: all of it is in there, from
// the blank chip to each offer and its end, and the log is whole.
func (s *updateServer) proves(w *workplace, mac string, ends string) {
	s.t.Helper()
	out, _ := w.run(0, "ledger", "show", mac)
	if got := strings.Count(out, "update.offered"); got != int(s.id) || !strings.Contains(out, "device.sealed") {
		s.t.Errorf("%d of %d offers are in\n%s", got, s.id, out)
	}
	var got []string
	for _, m := range regexp.MustCompile(`"kind":"update.result".*"release":(\d+).*"state":"(\w+)"`).FindAllStringSubmatch(out, -1) {
		got = append(got, m[1]+" "+m[2])
	}
	if got := strings.Join(got, ", "); got != ends {
		s.t.Errorf("the ledger has the ends %s, want %s, in\n%s", got, ends, out)
	}
	w.run(0, "ledger", "verify")
	proof := filepath.Join(w.dir, "proof.json")
	w.run(0, "ledger", "prove", "--out", proof, mac)
	w.run(0, "key", "public", "--out", "proof-signer.pem")
	w.run(0, "ledger", "check", proof, "--key", "proof-signer.pem")
}

func inject(t *testing.T, chip *sim.Chip, f sim.Fault) {
	t.Helper()
	if err := chip.Inject(f); err != nil {
		t.Fatal(err)
	}
}
