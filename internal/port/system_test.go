//go:build linux

package port

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"station/internal/chip"
	"station/internal/port/porttest"
)

func newSystem(t *testing.T) (System, *porttest.USB) {
	t.Helper()
	u := porttest.NewUSB(t)
	return System{Sys: u.Sys, Dev: u.Dev}, u
}

// A slot is bound to the place of its adapter, whatever the kernel calls it.
func TestOpenByUSBSocket(t *testing.T) {
	s, u := newSystem(t)
	first, a := terminal(t)
	second, b := terminal(t)
	u.Plug("1-2.3:1.0", "ttyUSB0", a, nil)
	u.Plug("1-2.4:1.0", "ttyUSB1", b, nil)
	open := func() *Port {
		t.Helper()
		p, err := s.Open("usb:1-2.3:1.0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	p := open()
	exchange(t, p, first)
	if p.Name() != "usb:1-2.3:1.0" {
		t.Errorf("its name is %s", p.Name())
	}
	p.Close()
	u.Unplug("ttyUSB0")
	if _, err := s.Open("usb:1-2.3:1.0"); !errors.Is(err, chip.ErrPortAbsent) {
		t.Errorf("unplugged: got %v, want ErrPortAbsent", err)
	}
	u.Unplug("ttyUSB1")
	u.Plug("1-2.3:1.0", "ttyUSB1", b, nil) // another terminal, under a name that was another slot's
	exchange(t, open(), second)
}

func TestUSBSockets(t *testing.T) {
	s, u := newSystem(t)
	u.Plug("1-2:1.0", "ttyUSB0", "x", nil)
	u.Plug("1-2.3:1.1", "ttyUSB2", "x", nil)
	u.Plug("1-2.3:1.0", "ttyUSB10", "x", nil)
	for _, c := range []struct {
		name, device string
		is           error
		says         string
	}{
		{"usb:1-2:1.0", "/ttyUSB0", nil, ""},
		{"usb:1-2", "/ttyUSB0", nil, ""},
		{"usb:1-2.3:1.0", "/ttyUSB10", nil, ""},
		{"usb:1-2.3", "", nil, "2 ports; write usb:1-2.3:1.0 or usb:1-2.3:1.1"},
		{"usb:1-2.3:1.2", "", chip.ErrPortAbsent, "station ports"},
		{"usb:1-3", "", chip.ErrPortAbsent, "nothing is plugged in"},
		{"usb:ttyUSB0", "", nil, "usb:1-2.3:1.0"},
		{"usb:", "", nil, "usb:1-2.3:1.0"},
		{"/dev/ttyUSB0", "/dev/ttyUSB0", nil, ""},
	} {
		device, err := s.device(c.name)
		if c.device != "" {
			if err != nil || !strings.HasSuffix(device, c.device) {
				t.Errorf("%s: got %s, %v, want %s", c.name, device, err, c.device)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, chip.ErrPortAbsent) != (c.is != nil) {
			t.Errorf("%s: got %s, %v, want %q", c.name, device, err, c.says)
		}
	}
	if _, err := (System{Sys: t.TempDir(), Dev: "/dev"}).device("usb:1-2"); err == nil || !strings.Contains(err.Error(), "write a device path") {
		t.Errorf("without sysfs: %v", err)
	}
}

func TestAdapterOfAPort(t *testing.T) {
	s, u := newSystem(t)
	_, name := terminal(t)
	u.Plug("1-1:1.0", "ttyUSB0", name, map[string]string{"idVendor": "10c4", "idProduct": "ea64", "serial": "17", "product": "CP2102C USB to UART"})
	u.Plug("1-2:1.0", "ttyUSB1", name, map[string]string{"idVendor": "0403", "idProduct": "6001", "/latency_timer": "16"})
	u.Plug("1-3:1.0", "ttyACM0", name, map[string]string{"idVendor": "303a", "idProduct": "1001"})
	p, err := s.Open("usb:1-3")
	if err != nil {
		t.Fatal(err)
	}
	if !p.USBJTAG() || p.KeepDTR() {
		t.Error("the USB port of a C3 is not known")
	}
	p.Close()
	if p, err = s.Open("usb:1-1"); err != nil {
		t.Fatal(err)
	}
	if !p.KeepDTR() || p.USBJTAG() {
		t.Error("a CP2102C does not keep DTR")
	}
	p.Close()
	if p, err = s.Open("usb:1-2"); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.KeepDTR() {
		t.Error("an FT232R keeps DTR")
	}
	want := Info{Name: s.Dev + "/ttyUSB1", VID: "0403", PID: "6001", Path: "1-2:1.0", Driver: "cp210x", Latency: 16}
	if got := s.info(s.Dev + "/ttyUSB1"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	link := filepath.Join(t.TempDir(), "pci-usb-0:2:1.0-port0")
	if err := errors.Join(os.Remove(s.Dev+"/ttyUSB1"), os.WriteFile(s.Dev+"/ttyUSB1", nil, 0o600), os.Symlink(s.Dev+"/ttyUSB1", link)); err != nil {
		t.Fatal(err)
	}
	want.Name = link
	if got := s.info(link); got != want {
		t.Errorf("by path: got %+v, want %+v", got, want)
	}
}

func TestKeepLines(t *testing.T) {
	_, name := terminal(t)
	w, err := openSerial(name)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	hupcl := func() bool {
		settings, err := unix.IoctlGetTermios(w.(*tty).fd, unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		settings.Cflag |= unix.HUPCL
		if err := unix.IoctlSetTermios(w.(*tty).fd, unix.TCSETS, settings); err != nil {
			t.Fatal(err)
		}
		keepLines(w)
		if err := w.SetBaud(921600); err != nil {
			t.Fatal(err)
		}
		settings, err = unix.IoctlGetTermios(w.(*tty).fd, unix.TCGETS)
		return err != nil || settings.Cflag&unix.HUPCL != 0
	}
	if hupcl() {
		t.Error("closing the port lets go of the lines")
	}
}

func TestAdapters(t *testing.T) {
	for _, c := range []struct {
		vid, pid, product, name string
		wish, baud              int
	}{
		{"10C4", "EA60", "CP2102 USB to UART Bridge Controller", "CP2102", 1000000, 921600},
		{"10C4", "EA60", "CP2102N USB to UART Bridge Controller", "CP2102N", 2000000, 2000000},
		{"10C4", "EA60", "CP2104 USB to UART Bridge Controller", "CP2104", 3000000, 2000000},
		{"1A86", "7523", "USB Serial", "CH340", 921600, 460800},
		{"1A86", "7523", "USB Serial", "CH340", 1000000, 1000000},
		{"0403", "6001", "", "FT232R", 921600, 921600},
		{"FFFF", "0001", "", "", 4000000, 4000000}, // nothing is known
		{"", "", "", "", 115200, 115200},
	} {
		a := Info{VID: c.vid, PID: c.pid, Product: c.product}.Adapter()
		if a.Name != c.name || a.Baud(c.wish) != c.baud {
			t.Errorf("%s:%s %s: got %s, %d baud for %d, want %s, %d", c.vid, c.pid, c.product, a.Name, a.Baud(c.wish), c.wish, c.name, c.baud)
		}
	}
	if got := (Adapter{MaxBaud: 57600}).Baud(921600); got != initialBaud {
		t.Errorf("with no usual rate: %d", got)
	}
	for i, a := range adapters {
		if a.Name == "" || len(a.vid) != 4 || len(a.pid) != 4 || strings.ToUpper(a.vid+a.pid) != a.vid+a.pid {
			t.Errorf("row %d: %+v", i, a)
		}
		if got := (Info{VID: a.vid, PID: a.pid, Product: a.product}).Adapter(); got.Name != a.Name {
			t.Errorf("row %d, %s, cannot be reached", i, a.Name)
		}
		if slices.ContainsFunc(a.Bad, func(baud int) bool { return baud > a.MaxBaud }) {
			t.Errorf("%s: a bad rate above the limit", a.Name)
		}
	}
}
