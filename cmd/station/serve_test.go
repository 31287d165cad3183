package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"station/internal/chip"
	"station/internal/hsm"
	"station/internal/ledger"
	"station/internal/record"
)

// All that a server needs is in the station file: the HSM certifies it, and
// knows the devices' tokens again.
func TestServeByHSM(t *testing.T) {
	w := newWorkplace(t)
	w.product("small")
	w.run(0, "batch", "open", "b1", "--devices", "3", "--operator", "anna")
	w.sealOne(filepath.Join("small", "job.toml"), fileMAC)
	w.run(0, "hsm", "init", "--policy", "none", "--role", "ca", "--operator", "eve")
	w.run(0, "identity", "ca", "--subject", "CN=Line", "--self-signed", "--out", "ca.pem")
	hash, err := bcrypt.GenerateFromPassword([]byte(authorPassword), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	w.write("authors", "anna:"+string(hash))
	file := string(w.read("station.toml"))
	w.write("station.toml", file+"[serve]\nlisten = \"127.0.0.1:0\"\nnames = [\"localhost\"]\nissuer = \"ca.pem\"\nauthors = \"authors\"\nhsm_tokens = true\nstore = \"depot\"\n")
	mac, err := chip.ParseMAC(fileMAC)
	if err != nil {
		t.Fatal(err)
	}
	book, err := ledger.Open(filepath.Join(w.dir, "ledger.db"), ledger.Options{Station: "bench-1"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = book.Append(record.Entry{Kind: record.IdentityMade, MAC: mac, Operator: "anna", About: record.NamesIdentity(record.Identity{ID: "00112233445566778899aabbccddeeff", Label: "station-master", Token: true})})
	book.Close()
	if err != nil {
		t.Fatal(err)
	}
	cmd := w.command("serve")
	line := firstWords(t, cmd, "https://127.0.0.1:")
	_, after, _ := strings.Cut(line, "https://127.0.0.1:")
	port, _, _ := strings.Cut(after, ",")
	if !strings.Contains(line, "depot") {
		t.Fatalf("it says %q", line)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.read("ca.pem"))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	get := func(secret string, want int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("https://localhost:%s/files/small/app.bin", port), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth(fileMAC, secret)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("got %s, want %d", resp.Status, want)
		}
	}
	get(strings.Repeat("00", 32), 401)
	get(w.deviceToken(mac), 404)                                                        // let in, and there is nothing yet
	w.run(0, "identity", "revoke", fileMAC, "--operator", "dana", "--reason", "stolen") // beside the server
	get(strings.Repeat("00", 32), 401)
	get(w.deviceToken(mac), 403)
	if out, _ := w.run(0, "ledger", "export", "--table", "entries"); strings.Count(out, "update.refused") != 1 {
		t.Errorf("that it was turned away is not one entry:\n%s", out)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	w.write("station.toml", file)
	for _, v := range []struct{ args, want string }{
		{"--authors authors --name localhost --issuer ca.pem", "no device could show who it is"},
		{"--hsm-tokens --name localhost --issuer ca.pem", "nobody could bring a release"},
		{"--hsm-tokens --authors authors", "it has no certificate"},
		{"--connections -1", "want 1 or more"},
		{"--max-size 0", "want 1 or more"},
		{"--poll 1ms", "a second or more"},
		{"--hsm-tokens --authors authors --name localhost", "--name wants the certificate"},
		{"--hsm-tokens --authors authors --name localhost --issuer ca.pem --cert ca.pem", "two certificates"},
	} {
		if _, said := w.run(exitUsage, append([]string{"serve"}, strings.Fields(v.args)...)...); !strings.Contains(said, v.want) {
			t.Errorf("%s: got %s", v.args, said)
		}
	}
}

// deviceToken is what the HSM makes for a device.
func (w *workplace) deviceToken(mac chip.MAC) string {
	w.t.Helper()
	uri, err := hsm.ParseURI(fmt.Sprintf("pkcs11:token=line-1?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:%s/pin", w.hsm))
	if err != nil {
		w.t.Fatal(err)
	}
	token, err := hsm.Open(hsm.Config{URI: uri})
	if err != nil {
		w.t.Fatal(err)
	}
	defer token.Close()
	key, err := token.DeviceKey(w.t.Context(), hsm.Request{Chip: chip.ESP32.Name, MAC: mac, Purpose: chip.DeviceToken, Size: 32, Policy: hsm.Derived, Label: "station-master"})
	if err != nil {
		w.t.Fatal(err)
	}
	defer key.Secret.Destroy()
	return hex.EncodeToString(key.Secret.Reveal())
}

// firstWords starts a server and returns its first line on standard error, which
// must name an address. The rest is read and thrown away.
func firstWords(t *testing.T, cmd *exec.Cmd, address string) string {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(stderr)
	line, err := said.ReadString('\n')
	if err != nil || !strings.Contains(line, address) {
		_ = cmd.Process.Kill() // so that there is an end
		rest, _ := io.ReadAll(said)
		t.Fatalf("it says %q%s, %v", line, rest, err)
	}
	go io.Copy(io.Discard, said)
	return line
}
