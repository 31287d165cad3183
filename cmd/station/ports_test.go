package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/job"
	"station/internal/port"
	"station/internal/station"
)

// A port that cannot be is wrong usage, wherever one is named: nothing is looked for.
func TestAPortThatCannotBeIsWrongUsage(t *testing.T) {
	const name = "rfc2217://127.0.0.1:99999"
	o := &options{station: filepath.Join(t.TempDir(), "station.toml")}
	_, ofRun := (&runFlags{options: o, ports: []string{name}}).slotsAt(&job.Job{}, &station.File{})
	_, _, ofSim := (&simFlags{listen: name}).offer(t.Context(), 0, nil)
	_, _, ofNext := (&simFlags{listen: "socket://127.0.0.1:65535"}).offer(t.Context(), 1, nil)
	for want, err := range map[string]error{
		"probe: port " + name + `: want rfc2217://HOST:PORT: there is no TCP port "99999"`: o.probe(t.Context(), io.Discard, name, "", false),
		`run: slot 1: port ` + name: ofRun, `--listen "` + name + `": there is no TCP port "99999"`: ofSim,
		"there is no port for chip 2; the last one is 65535": ofNext,
	} {
		if err == nil || exitCode(err) != exitUsage || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v with exit code %d, want %q with %d", err, exitCode(err), want, exitUsage)
		}
	}
}

func TestPrintPorts(t *testing.T) {
	list := []port.Info{
		{Name: "/dev/ttyUSB0", VID: "1A86", PID: "7523", Product: "USB Serial", Path: "1-2.3:1.0", Driver: "ch341-uart"},
		{Name: "/dev/ttyUSB1", VID: "0403", PID: "6001", Serial: "A50285BI", Product: "FT232R USB UART", Path: "1-2.4:1.0", Driver: "ftdi_sio", Latency: 16},
		{Name: "/dev/ttyUSB2", VID: "10C4", PID: "EA64", Path: "1-4:1.0", Driver: "cp210x"},
		{Name: "/dev/ttyACM0", VID: "FEED", PID: "0001", Product: "Fixture", Path: "1-5:1.0", Driver: "cdc_acm"},
		{Name: "/dev/ttyS0", Driver: "serial"},
	}
	slots := []station.SlotFile{
		{Name: "left", Port: "usb:1-2.3:1.0"}, {Name: "right", Port: "usb:1-2.9:1.0"}, {Name: "far", Port: "rfc2217://bench:4000"},
		{Name: "mid", Port: "/dev/ttyUSB1"}, {Name: "loose", Port: "usb:1-5"},
	}
	var out strings.Builder
	if err := printPorts(&out, portsOf(list, slots)); err != nil {
		t.Fatal(err)
	}
	const want = `SLOT   PORT                  USB SOCKET     ADAPTER                       SERIAL    LIMITS
left   /dev/ttyUSB0          usb:1-2.3:1.0  CH340 1A86:7523 (ch341-uart)            up to 2000000 baud, not 921600
mid    /dev/ttyUSB1          usb:1-2.4:1.0  FT232R 0403:6001 (ftdi_sio)   A50285BI  up to 3000000 baud, answers wait 16 ms: set its latency_timer to 1
       /dev/ttyUSB2          usb:1-4:1.0    CP2102C 10C4:EA64 (cp210x)              up to 3000000 baud, DTR stays on
loose  /dev/ttyACM0          usb:1-5:1.0    Fixture FEED:0001 (cdc_acm)
       /dev/ttyS0                           (serial)
right  usb:1-2.9:1.0                        not plugged in
far    rfc2217://bench:4000                 network
`
	var got strings.Builder
	for line := range strings.Lines(out.String()) {
		got.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

// The doctor looks at a machine without a station file too: no line would work yet.
func TestDoctorWithoutStationFile(t *testing.T) {
	said, code := newCommands(t, t.TempDir()).within(soon, "doctor")
	if code != exitStation || !strings.Contains(said, "there is no station.toml") || !strings.Contains(said, "free for the ledger") {
		t.Errorf("exit code %d\n%s", code, said)
	}
}
