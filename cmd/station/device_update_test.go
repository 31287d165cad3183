package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/chip"
	field "station/internal/release"
	"station/internal/sim"
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

func deviceFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(deviceData, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
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

func inject(t *testing.T, chip *sim.Chip, f sim.Fault) {
	t.Helper()
	if err := chip.Inject(f); err != nil {
		t.Fatal(err)
	}
}
