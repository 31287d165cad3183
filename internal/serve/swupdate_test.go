package serve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"station/internal/record"
	"station/internal/release"
)

// cpio is an archive as SWUpdate takes it: "newc" with a checksum.
func cpio(files ...[2]string) []byte {
	var b bytes.Buffer
	pad := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	for i, f := range append(files, [2]string{"TRAILER!!!", ""}) {
		sum := 0
		for _, x := range []byte(f[1]) {
			sum += int(x)
		}
		fmt.Fprintf(&b, "070702%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", i+1, 0o100644, 0, 0, 1, 0, len(f[1]), 0, 0, 0, 0, len(f[0])+1, sum)
		b.WriteString(f[0] + "\x00")
		pad()
		b.WriteString(f[1])
		pad()
	}
	return b.Bytes()
}

// cms signs a description as SWUpdate wants it; signer.pem is the certificate.
func (w *site) cms(description string) string {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "sw-description"), []byte(description), 0o600); err != nil {
		w.t.Fatal(err)
	}
	for _, args := range [][]string{
		{"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "signer.key", "-out", "signer.pem", "-subj", "/CN=signer", "-addext", "extendedKeyUsage=emailProtection"},
		{"cms", "-sign", "-in", "sw-description", "-out", "sw-description.sig", "-signer", "signer.pem", "-inkey", "signer.key", "-outform", "DER", "-nosmimecap", "-binary"},
	} {
		cmd := exec.Command("openssl", args...)
		cmd.Dir = w.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			w.t.Fatalf("openssl %q: %v\n%s", args, err, out)
		}
	}
	sig, err := os.ReadFile(filepath.Join(w.dir, "sw-description.sig"))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(sig)
}

// swupdate runs SWUpdate as the first device until something is so, or too much time has gone by, and gives what it says.
func (w *site) swupdate(program, token string, args []string, more string, until func() bool) string {
	w.t.Helper()
	ca := w.ca.write(filepath.Join(w.dir, "root.pem"))
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(append([]string{"-v", "-H", "lamp:1.0"}, args...), "-u",
		fmt.Sprintf("-t default -u %s -i %s -k %s -p 1 -x %s", w.url, w.devices[0], token, more))...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "TMPDIR="+w.dir, "RUNTIME_DIRECTORY="+w.dir, "CURL_CA_BUNDLE="+ca, "SSL_CERT_FILE="+ca)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}                                // what it starts ends with it,
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // else it has the output open for good
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	for ctx.Err() == nil && !until() {
		time.Sleep(50 * time.Millisecond)
	}
	_ = cmd.Cancel()
	_ = cmd.Wait()
	return said.String()
}

// SWUpdate tells what it is when it is asked to, and gives up what it was
// offered when that is taken back.
func TestSWUpdateIsToldToCancel(t *testing.T) {
	program, err := exec.LookPath("swupdate")
	if err != nil {
		t.Fatal("SWUpdate is not installed; make deps")
	}
	w := newSite(t, 1)
	w.server.Poll = time.Second // SWUpdate tells of itself at the next poll after it gave up
	w.cms("")                   // the key that SWUpdate wants, though nothing is installed here
	w.release(7, "1.2.0", 100, nil, w.put(release.KindOther, []byte("an update")))
	config := "globals : { loglevel = 5; };\nidentify : ( { name = \"board\"; value = \"lamp-3\"; }, { name = \"batch\"; value = \"b1\"; } );\n"
	if err := os.WriteFile(filepath.Join(w.dir, "swupdate.cfg"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	w.do(device(w.devices[0]), 200, "GET", "/default/controller/v1/"+w.devices[0].String(), nil) // it is offered 7,
	w.hand(release.Rollout{Product: "lamp", Release: 7, Percent: 100, State: release.Stopped, Samples: 4, Failures: 50})
	var st state // which comes to nothing
	said := w.swupdate(program, secretOf(w.devices[0]), []string{"-f", "swupdate.cfg", "-k", "signer.pem"}, "", func() bool {
		if err := w.server.load(w.devices[0], &st); err != nil {
			t.Fatal(err)
		}
		return st.Offered == 0 && st.Attributes != nil
	})
	if _, fields := w.entries(record.UpdateResult); len(fields) != 1 || fields[0].State != cancelled || fields[0].Release != 7 {
		t.Errorf("results %+v\n%s", fields, said)
	}
	if st.Attributes["board"] != "lamp-3" || st.Attributes["batch"] != "b1" {
		t.Errorf("it said that it is %v\n%s", st.Attributes, said)
	}
}

// SWUpdate, a client of hawkBit that we did not write, polls, downloads,
// installs and reports, with the device's token; with another one it gets nothing.
func TestSWUpdate(t *testing.T) {
	program, err := exec.LookPath("swupdate")
	if err != nil {
		t.Fatal("SWUpdate is not installed; make deps")
	}
	w := newSite(t, 1)
	target := filepath.Join(w.dir, "installed")
	app := "the new app"
	description := fmt.Sprintf("software = { version = \"1.2.0\"; hardware-compatibility: [ \"1.0\" ]; files: ( { filename = \"app.bin\"; path = \"%s\"; sha256 = \"%x\"; } ); }\n", target, sha256.Sum256([]byte(app)))
	image := cpio([2]string{"sw-description", description}, [2]string{"sw-description.sig", w.cms(description)}, [2]string{"app.bin", app})
	w.release(7, "1.2.0", 100, nil, w.put(release.KindOther, image))
	run := func(token, more string, until func() bool) string {
		return w.swupdate(program, token, []string{"-M", "-m", "-k", "signer.pem"}, more, until)
	}
	said := run("guessed", "", func() bool { return w.server.counts.unknown.Load() > 0 })
	if w.server.counts.unknown.Load() == 0 || w.server.counts.offers.Load() != 0 {
		t.Fatalf("with a wrong token:\n%s", said)
	}
	installed := func() bool {
		got, err := os.ReadFile(target)
		return err == nil && string(got) == app
	}
	if said = run(secretOf(w.devices[0]), "", installed); !installed() {
		t.Fatalf("it was not installed:\n%s", said)
	}
	// After its restart the device says that it came up well.
	told := func() bool {
		results, _ := w.entries(record.UpdateResult)
		return len(results) > 0
	}
	said = run(secretOf(w.devices[0]), "-c 2", told)
	if _, fields := w.entries(record.UpdateResult); len(fields) != 1 || fields[0].State != success || fields[0].Release != 7 {
		t.Fatalf("results %+v\n%s", fields, said)
	}
}
