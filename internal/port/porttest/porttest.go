// Package porttest runs serial port servers and clients that others wrote, for
// tests: pyserial and ser2net, as Debian packages them.
package porttest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// Example is pyserial's own RFC 2217 server, as it comes with the package:
// arguments are a port and -p with the TCP port.
const Example = "/usr/share/doc/python3-serial/examples/rfc2217_server.py"

// Python is Debian's interpreter, to which python3-serial belongs, with the
// arguments given. What it complains of is in the test's output.
func Python(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	const interpreter = "/usr/bin/python3"
	if out, err := exec.Command(interpreter, "-c", "import serial.rfc2217").CombinedOutput(); err != nil {
		t.Fatalf("pyserial is missing (%v): run make deps\n%s", err, out)
	}
	cmd := exec.Command(interpreter, append([]string{"-u", "-W", "ignore"}, args...)...)
	cmd.Stderr = t.Output()
	return cmd
}

// Start runs a command until the test ends.
func Start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// Ser2net serves a device until the test ends and returns its rfc2217:// URL. A
// new client takes the place of an old one.
func Ser2net(t *testing.T, device string) (url string) {
	t.Helper()
	const program = "/usr/sbin/ser2net" // not in everybody's PATH
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("ser2net is missing (%v): run make deps", err)
	}
	place := FreePort(t)
	config := filepath.Join(t.TempDir(), "ser2net.yaml")
	_, port, _ := net.SplitHostPort(place)
	text := fmt.Sprintf("connection: &c\n  accepter: telnet(rfc2217),tcp,127.0.0.1,%s\n"+
		"  connector: serialdev,%s,115200n81,local\n  options:\n    kickolduser: true\n", port, device)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	Start(t, exec.Command(program, "-n", "-c", config, "-P", filepath.Join(t.TempDir(), "pid")))
	Await(t, place)
	return "rfc2217://" + place
}

// FreePort is a TCP address of the loopback that nobody listens at. It is none
// of those that a system gives out by itself: those may go to another test
// before the server that is started has it.
func FreePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(10000)))
		if l, err := net.Listen("tcp", address); err == nil {
			defer l.Close()
			return address
		}
	}
	t.Fatal("no TCP port is free")
	return ""
}

// patience is for what only a fault keeps from coming.
const patience = time.Minute

// Await waits until somebody listens at a TCP address of IPv4. It asks the system
// and connects to nobody: a server of one port may take the next to come for a
// second user.
func Await(t *testing.T, place string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(place)
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	listens := regexp.MustCompile(fmt.Sprintf(`(?m)^ *\d+: [0-9A-F]{8}:%04X 00000000:0000 0A `, n))
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		sockets, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			t.Fatal(err)
		}
		if listens.Match(sockets) {
			return
		}
	}
	t.Fatalf("nobody listens at %s", place)
}
