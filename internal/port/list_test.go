package port

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"station/internal/plain"
)

// tree builds the part of sysfs that a port stands in: directories and links.
func tree(t *testing.T, links map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for from, to := range links {
		if err := os.MkdirAll(filepath.Join(root, to), 0o755); err != nil {
			t.Fatal(err)
		}
		from = filepath.Join(root, from)
		if err := os.MkdirAll(filepath.Dir(from), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(root, to), from); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestUSBPathAndDriver(t *testing.T) {
	const hub = "devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2.3"
	root := tree(t, map[string]string{
		"class/tty/ttyUSB0/device":           hub + "/1-2.3:1.1/ttyUSB0",
		hub + "/1-2.3:1.1/ttyUSB0/driver":    "bus/usb-serial/drivers/ftdi_sio",
		"class/tty/ttyACM0/device":           hub + "/1-2.3:1.0",
		hub + "/1-2.3:1.0/driver":            "bus/usb/drivers/cdc_acm",
		"class/tty/ttyS0/device":             "devices/pnp0/00:01",
		"devices/pnp0/00:01/driver":          "bus/pnp/drivers/serial",
		"class/tty/ttyS1/device/of_no_place": "devices/x",
	})
	usb := func(name string) Info {
		return Info{Name: "/dev/" + name, VID: "0403", PID: "6010", Serial: "A1", Product: "Dual"}
	}
	got := System{Sys: root}.describe([]Info{{Name: "/dev/ttyS1"}, usb("ttyUSB0"), {}, {Name: "/dev/ttyS0"}, usb("ttyACM0")})
	want := []Info{
		{"/dev/ttyACM0", "0403", "6010", "A1", "Dual", "1-2.3:1.0", "cdc_acm", 0},
		{"/dev/ttyUSB0", "0403", "6010", "A1", "Dual", "1-2.3:1.1", "ftdi_sio", 0},
		{Name: "/dev/ttyS0", Driver: "serial"},
		{Name: "/dev/ttyS1"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestNaturalOrder(t *testing.T) {
	names := []string{"1-10:1.0", "ttyUSB10", "1-2:1.0", "ttyUSB9", "1-2.3:1.0", "ttyUSB123456789"}
	slices.SortFunc(names, plain.Natural)
	want := []string{"1-2.3:1.0", "1-2:1.0", "1-10:1.0", "ttyUSB9", "ttyUSB10", "ttyUSB123456789"}
	if !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

// Whatever ports this machine has: each has a name that can be opened or
// explained.
func TestList(t *testing.T) {
	all, err := List()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if _, err := os.Stat(i.Name); err != nil {
			t.Errorf("%+v: %v", i, err)
		}
	}
}

func TestNamesOfAPort(t *testing.T) {
	dir := t.TempDir()
	device, link := filepath.Join(dir, "ttyUSB0"), filepath.Join(dir, "pci-usb-0:2.3:1.0-port0")
	if err := os.WriteFile(device, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(device, link); err != nil {
		t.Fatal(err)
	}
	i := Info{Name: device, Path: "1-2.3:1.0"}
	for name, want := range map[string]bool{
		device: true, link: true, "usb:1-2.3:1.0": true, "usb:1-2.3": true,
		"usb:1-2": false, "usb:1-2.3:1.1": false, "usb:": false, device + "0": false, "": false,
	} {
		if got := i.Is(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
	if (Info{Name: "/dev/ttyS0"}).Is("usb:") {
		t.Error("a port without USB is at a USB socket")
	}
}
