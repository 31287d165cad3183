package station

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"station/internal/port"
)

// Machine is where a system shows its ports and its processes, and where it
// keeps rules for devices.
type Machine struct {
	Ports port.System
	Proc  string
	Rules []string
}

// ThisMachine is the machine that the program runs on.
var ThisMachine = Machine{Ports: port.Host, Proc: "/proc", Rules: []string{"/etc/udev/rules.d", "/lib/udev/rules.d", "/usr/lib/udev/rules.d"}}

// slotsSound looks at the port of each slot.
func (s *File) slotsSound(m Machine, bauds []int) []Finding {
	if len(s.Slots) == 0 {
		return []Finding{{What: "slots", State: Doubt, Words: "the station file names none", Fix: `write a [[slot]] for each place of the fixture; "station ports" lists the ports`}}
	}
	var all []Finding
	for _, slot := range s.Slots {
		f := m.portSound(slot.Port, bauds)
		f.What = "slot " + slot.Name
		all = append(all, f)
	}
	return all
}

// portsSound looks at the adapters that are plugged in.
func (m Machine) portsSound(ports []port.Info, bauds []int) (all []Finding) {
	for _, p := range ports {
		if p.VID == "" && port.Blind == "" { // the machine's own
			continue
		}
		f := m.portSound(p.Name, bauds)
		f.What = "port"
		all = append(all, f)
	}
	if len(all) == 0 {
		return []Finding{{What: "port", State: Doubt, Words: "no serial adapter is plugged in", Fix: `plug one in; "station ports" lists them`}}
	}
	return all
}

// portSound looks at a port without opening it.
func (m Machine) portSound(name string, bauds []int) Finding {
	if err := port.Check(name); err != nil {
		return Finding{State: Unsound, Words: err.Error(), Fix: `"station ports" lists the ports that are there`}
	}
	if strings.Contains(name, "://") {
		return Finding{State: Untried, Words: name + " is not called: that can reset what is behind it", Fix: `"station probe --port ` + name + `" does`}
	}
	info, err := m.Ports.Find(name)
	if err != nil {
		return Finding{State: Unsound, Words: err.Error(), Fix: `plug it in, or correct the slot; "station ports" lists the ports that are there`}
	}
	f := m.writable("", info.Name)
	if f.State != Sound {
		return f
	}
	f.Words = strings.Join(slices.DeleteFunc([]string{name, info.Adapter().Name, info.Driver}, func(s string) bool { return s == "" }), ", ")
	return adapterSound(f, info, bauds)
}

// adapterSound adds what the adapter cannot do.
func adapterSound(f Finding, info port.Info, bauds []int) Finding {
	a := info.Adapter()
	var doubts, fixes []string
	for _, baud := range bauds {
		if !a.Works(baud) {
			doubts = append(doubts, fmt.Sprintf("cannot do %d baud and works at %d", baud, a.Baud(baud)))
			fixes = append(fixes, fmt.Sprintf("write baud = %d into the job, or use another adapter", a.Baud(baud)))
		}
	}
	if info.Latency > 1 {
		doubts = append(doubts, fmt.Sprintf("holds answers for %d ms", info.Latency))
		fixes = append(fixes, fmt.Sprintf("echo 1 > /sys/bus/usb-serial/devices/%s/latency_timer; the Debian package's udev rule does it at every plug-in", filepath.Base(info.Name)))
	}
	if len(doubts) > 0 {
		f.State, f.Words, f.Fix = Doubt, f.Words+": "+strings.Join(doubts, "; "), strings.Join(fixes, "; ")
	}
	return f
}

// writable is whether this process may read and write a device, and what would
// let it.
func (m Machine) writable(what, path string) Finding {
	if _, err := os.Stat(path); err != nil {
		return Finding{What: what, State: Unsound, Words: err.Error(), Fix: `plug it in, or correct its name in the station file; "station ports" lists the serial ports`}
	}
	if err := access(path); err != nil {
		return Finding{What: what, State: Unsound, Words: path + ": no right to read and write it", Fix: rightTo(path)}
	}
	return Finding{What: what, State: Sound, Words: path}
}

// grabber is a program that takes serial ports for itself.
type grabber struct {
	process, does, fix string
	heeds              bool // the udev rule of the station's package
}

// grabbers that are known for it, by the name of their process.
var grabberTable = []grabber{
	{"ModemManager", "writes to every new serial port, to see whether it is a modem", "install the Debian package, whose udev rule keeps it away, or systemctl disable --now ModemManager", true},
	{"brltty", "takes adapters with the numbers of a CH340 or CP2102 for a Braille display", "apt remove brltty", false},
	{"gpsd", "may open serial ports that appear", "systemctl disable --now gpsd.socket gpsd", false},
}

// grabbers are the programs at work here that take serial ports.
func (m Machine) grabbers() []Finding {
	names, _ := filepath.Glob(filepath.Join(m.Proc, "[0-9]*", "comm"))
	running := map[string]bool{}
	for _, n := range names {
		b, _ := os.ReadFile(n)
		running[strings.TrimSpace(string(b))] = true
	}
	var all []Finding
	for _, g := range grabberTable {
		if running[g.process] && !(g.heeds && m.hasRule()) {
			all = append(all, Finding{What: "program", State: Doubt, Words: g.process + " " + g.does, Fix: g.fix})
		}
	}
	return all
}

// hasRule reports whether the udev rule of the station's package is installed.
func (m Machine) hasRule() bool {
	return slices.ContainsFunc(m.Rules, func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "70-station.rules"))
		return err == nil
	})
}
