package station

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"station/internal/ledger"
	"station/internal/port"
	"station/internal/record"
)

// machine is a tree of /sys, /dev and /proc with one FTDI adapter at the USB
// socket 1-2 and, on request, programs.
func machine(t *testing.T, latency string, programs ...string) Machine {
	t.Helper()
	root := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	const usb = "sys/devices/usb1/1-2/1-2:1.0/ttyUSB0"
	write("sys/devices/usb1/1-2/idVendor", "1a86")
	write("sys/devices/usb1/1-2/idProduct", "7523")
	write(usb+"/latency_timer", latency)
	write("sys/class/tty/ttyUSB0/uevent", "")
	if err := os.Symlink(filepath.Join(root, usb), filepath.Join(root, "sys/class/tty/ttyUSB0/device")); err != nil {
		t.Fatal(err)
	}
	write("dev/ttyUSB0", "")
	for i, p := range programs {
		write(filepath.Join("proc", string(rune('1'+i)), "comm"), p+"\n")
	}
	return Machine{Ports: port.System{Sys: filepath.Join(root, "sys"), Dev: filepath.Join(root, "dev")}, Proc: filepath.Join(root, "proc")}
}

// doctored is a station file in a folder of its own.
func doctored(t *testing.T, more string) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "station.toml")
	f, err := ParseFile(path, []byte("id = \"b\"\nledger = \"ledger.db\"\n[hsm]\nuri = \"pkcs11:token=x\"\n"+more))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// finding is what was found of one thing.
func finding(t *testing.T, list []Finding, what string) Finding {
	t.Helper()
	for _, f := range list {
		if f.What == what {
			return f
		}
	}
	t.Fatalf("got %+v, want %s", list, what)
	return Finding{}
}

func TestDoctorPorts(t *testing.T) {
	const usb = "[[slot]]\nname = \"1\"\nport = \"usb:1-2\"\n"
	for _, c := range []struct {
		name, slots, latency string
		programs             []string
		what                 string
		state                Soundness
		words, fix           string
	}{
		{"sound", usb, "1", nil, "slot 1", Sound, "CH340", ""},
		{"slow adapter", usb, "16", nil, "slot 1", Doubt, "16 ms", "latency_timer"},
		{"not plugged in", "[[slot]]\nname = \"1\"\nport = \"usb:1-9\"\n", "1", nil, "slot 1", Unsound, "nothing is plugged in", "station ports"},
		{"no device", "[[slot]]\nname = \"1\"\nport = \"/dev/there-is-none\"\n", "1", nil, "slot 1", Unsound, "no such file", "station ports"},
		{"unknown kind", "[[slot]]\nname = \"1\"\nport = \"tcp://a:1\"\n", "1", nil, "slot 1", Unsound, "unknown kind", "station ports"},
		{"network", "[[slot]]\nname = \"1\"\nport = \"rfc2217://far:4000\"\n", "1", nil, "slot 1", Untried, "not called", "station probe"},
		{"no slots", "", "1", nil, "slots", Doubt, "names none", "[[slot]]"},
		{"a program that grabs", usb, "1", []string{"bash", "ModemManager"}, "program", Doubt, "ModemManager writes", "systemctl"},
		{"braille", usb, "1", []string{"brltty"}, "program", Doubt, "CH340", "apt remove"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := finding(t, doctored(t, c.slots).Examine(machine(t, c.latency, c.programs...), 460800), c.what)
			if got.State != c.state || !strings.Contains(got.Words, c.words) || !strings.Contains(got.Fix, c.fix) {
				t.Errorf("got %+v, want %s: %q, fix %q", got, c.state, c.words, c.fix)
			}
		})
	}
}

// A newcomer has no station file: the machine is looked at all the same, and the
// command that is told writes a file that is one.
func TestDoctorWithoutStationFile(t *testing.T) {
	m := machine(t, "16")
	path := filepath.Join(t.TempDir(), "anna's station.toml")
	usb := port.Info{Name: filepath.Join(m.Ports.Dev, "ttyUSB0"), VID: "1A86"}
	list := m.ExamineWithout(path, []port.Info{usb, {Name: "/dev/ttyS0"}}, 921600)
	file, adapter := finding(t, list, "station file"), finding(t, list, "port")
	if file.State != Unsound || !strings.Contains(file.Words, "there is no "+path) {
		t.Errorf("got %+v, want that there is none", file)
	}
	if adapter.State != Doubt || !strings.Contains(adapter.Words, "cannot do 921600") || !strings.Contains(adapter.Words, "16 ms") || strings.Contains(fmt.Sprint(list), "ttyS0") {
		t.Errorf("got %+v, want what is wrong with the adapter", list)
	}
	for _, what := range []string{"disk", "clock", "memory"} {
		finding(t, list, what)
	}
	command, _, _ := strings.Cut(file.Fix, "; then")
	if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	if _, err := LoadFile(path); err != nil {
		t.Errorf("the command wrote no station file: %v", err)
	}
	if got := finding(t, m.ExamineWithout(path, nil), "port"); got.State != Doubt || !strings.Contains(got.Words, "no serial adapter") {
		t.Errorf("nothing plugged in: got %+v", got)
	}
}

// ModemManager heeds the package's udev rule.
func TestDoctorRule(t *testing.T) {
	m := machine(t, "1", "ModemManager")
	m.Rules = []string{t.TempDir(), t.TempDir()}
	if got := m.grabbers(); len(got) != 1 {
		t.Errorf("no rule: got %+v, want ModemManager", got)
	}
	if err := os.WriteFile(filepath.Join(m.Rules[1], "70-station.rules"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := m.grabbers(); len(got) != 0 {
		t.Errorf("with the rule: got %+v, want none", got)
	}
}

// A CH340 does not do 921600.
func TestDoctorBaud(t *testing.T) {
	f := doctored(t, "[[slot]]\nname = \"1\"\nport = \"usb:1-2\"\n")
	got := finding(t, f.Examine(machine(t, "1"), 921600), "slot 1")
	if got.State != Doubt || !strings.Contains(got.Words, "cannot do 921600 baud and works at 460800") || !strings.Contains(got.Fix, "baud = 460800") {
		t.Errorf("got %+v, want that 921600 does not work", got)
	}
}

// A clock that stands before the last entry would date entries backwards.
func TestDoctorClock(t *testing.T) {
	f := doctored(t, "")
	l, err := ledger.Open(f.Ledger, ledger.Options{Create: true, Station: "b", Software: "test"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := l.Append(record.Entry{Kind: record.PlanApproved, Operator: "eve", Plan: "sha256:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	book, last := f.ledgerSound()
	if got := timeSound(e.Time.Add(-time.Hour), last, true); got.State != Unsound || !strings.Contains(got.Words, "before the ledger's last entry") {
		t.Errorf("an hour before: got %+v, want a fault", got)
	}
	if got := timeSound(e.Time, last, true); got.State != Sound {
		t.Errorf("now: got %+v, want that it is sound", got)
	}
	if book.State != Sound || !strings.Contains(book.Words, "entries") {
		t.Errorf("ledger: got %+v, want that it is sound", book)
	}
}

// What is damaged, foreign or nowhere is a fault of ledger or disk.
func TestDoctorLedgerAndDisk(t *testing.T) {
	f := doctored(t, "")
	if got, _ := f.ledgerSound(); got.State != Sound || !strings.Contains(got.Words, "is made by the first entry") {
		t.Errorf("no ledger: got %+v", got)
	}
	if err := os.WriteFile(f.Ledger, []byte(strings.Repeat("no ledger ", 4000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := f.ledgerSound(); got.State != Unsound || got.Fix == "" {
		t.Errorf("foreign file: got %+v, want a fault with its fix", got)
	}
	if got := f.diskSound(); got.State == Unsound || !strings.Contains(got.Words, "MB free") {
		t.Errorf("disk: got %+v", got)
	}
	f.Ledger = filepath.Join(filepath.Dir(f.Ledger), "nowhere", "ledger.db")
	if got := f.diskSound(); got.State != Unsound {
		t.Errorf("no folder: got %+v, want a fault", got)
	}
}

// The right to a device comes with its group.
func TestDoctorRight(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	device := filepath.Join(t.TempDir(), "ttyUSB0")
	if err := os.WriteFile(device, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := rightTo(device); !strings.Contains(got, "-rw-------") {
		t.Errorf("nobody's group: got %q, want its mode", got)
	}
	if err := os.Chmod(device, 0o660); err != nil {
		t.Fatal(err)
	}
	if got := rightTo(device); !strings.Contains(got, "log out and in again: "+me.Username) {
		t.Errorf("my group: got %q, want that I log in again", got)
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(device, 0, 20); err != nil { // dialout in Debian
		t.Fatal(err)
	}
	if got := rightTo(device); !strings.HasPrefix(got, "sudo usermod -aG dialout "+me.Username) {
		t.Errorf("dialout: got %q, want usermod", got)
	}
}

// What does not look wrong on this machine may on another: each finding has its
// state and its fix.
func TestDoctorOfOtherMachines(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		got   Finding
		state Soundness
		fix   string
	}{
		{roomSound(roomyDisk, ""), Sound, ""},
		{roomSound(roomyDisk-1, ""), Doubt, "make room soon"},
		{roomSound(lowDisk-1, ""), Unsound, "below 100 MB"},
		{roomSound(roomyDisk, "NFS"), Unsound, "a disk of this machine"},
		{timeSound(now, now.Add(-time.Hour), false), Doubt, "set-ntp"},
		{timeSound(now, now.Add(time.Hour), true), Unsound, "set the clock"},
		{pagesSound(keyPages), Sound, ""},
		{pagesSound(keyPages - 1), Doubt, "LimitMEMLOCK="},
	} {
		if c.got.State != c.state || !strings.Contains(c.got.Fix, c.fix) || (c.got.Fix == "") != (c.state == Sound) {
			t.Errorf("got %+v, want %s, fix %q", c.got, c.state, c.fix)
		}
	}
}

func TestWorstFinding(t *testing.T) {
	for want, list := range map[Soundness][]Finding{
		Sound: nil, Untried: {{State: Sound}, {State: Untried}}, Doubt: {{State: Doubt}, {State: Untried}}, Unsound: {{State: Unsound}, {State: Doubt}},
	} {
		if got := Worst(list); got != want {
			t.Errorf("%+v: got %s, want %s", list, got, want)
		}
	}
}
