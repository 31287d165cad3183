package port

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"station/internal/chip"
	"station/internal/plain"
)

// System is where the kernel shows adapters and terminals.
type System struct{ Sys, Dev string }

// Host is this machine.
var Host = System{Sys: "/sys", Dev: "/dev"}

// usbPrefix begins a port that is named by the place of its adapter.
const usbPrefix = "usb:"

// device is the path of the terminal that a port's name means now.
func (s System) device(name string) (string, error) {
	place, isUSB := strings.CutPrefix(name, usbPrefix)
	if !isUSB {
		return name, nil
	}
	found, err := s.at(place)
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", fmt.Errorf("%w: nothing is plugged in there (station ports lists what is)", chip.ErrPortAbsent)
	case len(found) > 1:
		var places []string
		for _, i := range found {
			places = append(places, usbPrefix+i.Path)
		}
		return "", fmt.Errorf("the adapter has %d ports; write %s", len(found), strings.Join(places, " or "))
	}
	return found[0].Name, nil
}

// Find is the terminal that a port's name means now, and what the kernel tells
// of its adapter. Nothing is opened.
func (s System) Find(name string) (Info, error) {
	device, err := s.device(name)
	if err != nil {
		return Info{}, fmt.Errorf("port %s: %w", name, err)
	}
	return s.info(device), nil
}

func checkPlace(place string) error {
	if socket, _, _ := strings.Cut(place, ":"); !strings.Contains(socket, "-") {
		return errors.New("want usb:SOCKET:INTERFACE, such as usb:1-2.3:1.0 (station ports lists them)")
	}
	return nil
}

// at is the terminals at a USB socket (1-2.3), or the one of an interface of
// the adapter in it (1-2.3:1.0).
func (s System) at(place string) ([]Info, error) {
	if err := checkPlace(place); err != nil {
		return nil, err
	}
	terminals, err := os.ReadDir(filepath.Join(s.Sys, "class/tty"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("this system does not tell where its adapters are plugged in; write a device path")
	}
	if err != nil {
		return nil, err
	}
	var found []Info
	for _, t := range terminals {
		path, driver := usb(s.Sys, t.Name())
		if path == place || strings.HasPrefix(path, place+":") {
			found = append(found, Info{Name: filepath.Join(s.Dev, t.Name()), Path: path, Driver: driver})
		}
	}
	slices.SortFunc(found, func(a, b Info) int { return cmp.Or(plain.Natural(a.Path, b.Path), plain.Natural(a.Name, b.Name)) })
	return found, nil
}

// info is what the kernel tells of the adapter behind a terminal; nothing of a
// terminal without one.
func (s System) info(device string) Info {
	i := Info{Name: device}
	tty := filepath.Base(device)
	place, err := filepath.EvalSymlinks(filepath.Join(s.Sys, "class/tty", tty, "device"))
	if real, linkErr := filepath.EvalSymlinks(device); err != nil && linkErr == nil { // /dev/serial/by-path
		tty = filepath.Base(real)
		place, err = filepath.EvalSymlinks(filepath.Join(s.Sys, "class/tty", tty, "device"))
	}
	if err != nil {
		return i
	}
	i.Path, i.Driver = usb(s.Sys, tty)
	for dir := place; i.Path != "" && len(dir) > len(s.Sys); dir = filepath.Dir(dir) {
		if i.VID = attribute(dir, "idVendor"); i.VID != "" {
			i.PID, i.Serial, i.Product = attribute(dir, "idProduct"), attribute(dir, "serial"), attribute(dir, "product")
			break
		}
	}
	i.VID, i.PID = strings.ToUpper(i.VID), strings.ToUpper(i.PID)
	i.Latency = latency(place)
	return i
}

// latency is the time in milliseconds for which an adapter of FTDI holds what
// it has received; 0 for others.
func latency(place string) int {
	ms, _ := strconv.Atoi(attribute(place, "latency_timer"))
	return ms
}

func attribute(dir, name string) string {
	b, _ := os.ReadFile(filepath.Join(dir, name))
	return strings.TrimSpace(string(b))
}
