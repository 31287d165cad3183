package porttest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// USB is a machine's USB as the kernel shows it, made of files.
type USB struct {
	Sys, Dev string
	t        *testing.T
}

// NewUSB is a machine without adapters.
func NewUSB(t *testing.T) *USB {
	t.Helper()
	u := &USB{Sys: t.TempDir(), Dev: t.TempDir(), t: t}
	u.mkdir(filepath.Join(u.Sys, "class/tty"))
	return u
}

// Plug puts an adapter into a socket: path is its USB socket and interface,
// tty the name that the kernel gives, terminal what is behind it, and
// attributes are files of the adapter (idVendor) or, with a slash before the
// name, of the terminal.
func (u *USB) Plug(path, tty, terminal string, attributes map[string]string) {
	u.t.Helper()
	socket, _, _ := strings.Cut(path, ":")
	adapter := filepath.Join(u.Sys, "devices/pci0000:00/0000:00:14.0/usb1", socket)
	place := filepath.Join(adapter, path, tty)
	driver := filepath.Join(u.Sys, "bus/usb-serial/drivers/cp210x")
	class := filepath.Join(u.Sys, "class/tty", tty)
	for _, dir := range []string{place, driver, class} {
		u.mkdir(dir)
	}
	for name, value := range attributes {
		dir := adapter
		if own, ok := strings.CutPrefix(name, "/"); ok {
			dir, name = place, own
		}
		u.must(os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o600))
	}
	u.link(driver, filepath.Join(place, "driver"))
	u.link(place, filepath.Join(class, "device"))
	u.link(terminal, filepath.Join(u.Dev, tty)) // last, as the kernel does it
}

// Unplug takes the adapter of a terminal away.
func (u *USB) Unplug(tty string) {
	u.t.Helper()
	place, err := os.Readlink(filepath.Join(u.Sys, "class/tty", tty, "device"))
	u.must(err)
	u.must(os.Remove(filepath.Join(u.Dev, tty)))
	u.must(os.RemoveAll(filepath.Join(u.Sys, "class/tty", tty)))
	u.must(os.RemoveAll(filepath.Dir(place)))
}

func (u *USB) mkdir(dir string) { u.must(os.MkdirAll(dir, 0o755)) }

// link replaces what is there.
func (u *USB) link(to, from string) {
	_ = os.Remove(from)
	u.must(os.Symlink(to, from))
}

func (u *USB) must(err error) {
	u.t.Helper()
	if err != nil {
		u.t.Fatal(err)
	}
}
