package port

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"station/internal/plain"
)

// Info is a serial port that the system knows.
type Info struct {
	Name    string `json:"name"`              // what Open takes
	VID     string `json:"vid,omitempty"`     // USB vendor, four hexadecimal digits
	PID     string `json:"pid,omitempty"`     // USB product
	Serial  string `json:"serial,omitempty"`  // of the adapter
	Product string `json:"product,omitempty"` // the adapter's own name
	Path    string `json:"path,omitempty"`    // USB socket and interface: 1-2.3:1.0. The same after every plug-in
	Driver  string `json:"driver,omitempty"`  // cp210x, ftdi_sio, ch341, cdc_acm
	Latency int    `json:"latency,omitempty"` // of an FTDI adapter's timer, ms
}

// List returns the serial ports, those on USB first, in the order of their
// sockets.
func List() ([]Info, error) {
	found, err := enumerate()
	if err != nil {
		return nil, fmt.Errorf("list serial ports: %w", err)
	}
	return Host.describe(found), nil
}

// describe adds what the system knows of each port and sorts them.
func (s System) describe(found []Info) []Info {
	var all []Info
	for _, i := range found {
		if i.Name == "" { // a terminal without a device
			continue
		}
		known := s.info(i.Name)
		i.Path, i.Driver, i.Latency = known.Path, known.Driver, known.Latency
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b Info) int {
		return cmp.Or(cmp.Compare(min(len(b.VID), 1), min(len(a.VID), 1)), plain.Natural(a.Path, b.Path), plain.Natural(a.Name, b.Name))
	})
	return all
}

// Is reports whether a port's name, a path or usb:SOCKET, means this port.
func (i Info) Is(name string) bool {
	if place, isUSB := strings.CutPrefix(name, usbPrefix); isUSB {
		return i.Path != "" && (place == i.Path || strings.HasPrefix(i.Path, place+":"))
	}
	if name == i.Name {
		return true
	}
	real, err := filepath.EvalSymlinks(name) // /dev/serial/by-path
	return err == nil && real == i.Name
}

// usb follows the kernel's links from a terminal to the USB interface that it
// stands on. Both are empty where there is none.
func usb(sysfs, tty string) (path, driver string) {
	device, err := filepath.EvalSymlinks(filepath.Join(sysfs, "class/tty", tty, "device"))
	if err != nil {
		return "", ""
	}
	if d, err := filepath.EvalSymlinks(filepath.Join(device, "driver")); err == nil {
		driver = filepath.Base(d)
	}
	// ttyUSB has a directory of its own below the interface, ttyACM has not.
	for dir := device; len(dir) > len(sysfs); dir = filepath.Dir(dir) {
		if base := filepath.Base(dir); strings.Contains(base, "-") && strings.Contains(base, ":") {
			return base, driver
		}
	}
	return "", driver
}
