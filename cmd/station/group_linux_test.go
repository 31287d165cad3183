package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
)

// stranger is an account that is in no group of its own: that of nobody.
const stranger = 65534

// A user who may not reach the system's tokens reads which group is missing,
// where Debian's SoftHSM is the one of the system. Who runs this as root runs
// the program as nobody.
func TestAUserWhoIsNotInTheGroup(t *testing.T) {
	out, err := asStranger(t, "hsm", "status", "--hsm", "pkcs11:token=line-1?module-path=/usr/lib/softhsm/libsofthsm2.so")
	if want := "this user is not in the group softhsm (sudo adduser USER softhsm, then log in again)"; !strings.Contains(out, want) {
		t.Errorf("got %v, %s\nwant %s", err, out, want)
	}
}

// A port that the user has no right to is one that cannot be used, with its code.
func TestAPortWithoutARightToIt(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer slave.Close()
	if err := os.Chmod(slave.Name(), 0); err != nil {
		t.Fatal(err)
	}
	out, err := asStranger(t, "probe", "--port", slave.Name())
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != exitStation || !strings.Contains(out, "E-PORT: The port cannot be used.") || !strings.Contains(out, "permission denied") {
		t.Errorf("got %v, %s", err, out)
	}
}

// asStranger runs the program as a user who may do nothing; who is one already
// stays what he is.
func asStranger(t *testing.T, args ...string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "station")
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bin, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "STATION_PIN=1234")
	for i, e := range cmd.Env {
		if strings.HasPrefix(e, "SOFTHSM2_CONF=") {
			cmd.Env[i] = "UNUSED="
		}
	}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
