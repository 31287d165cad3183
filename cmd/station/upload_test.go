package main

import (
	"encoding/csv"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write writes a file of the place.
func (w *workplace) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// list is what the server has of the product.
func (s *updateServer) list() string {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url+"/v1/releases/station-example", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.SetBasicAuth("anna", authorPassword)
	resp, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusNotFound {
		return ""
	}
	if err != nil || resp.StatusCode != 200 {
		s.t.Fatalf("%s: %v", resp.Status, err)
	}
	return string(body)
}

// A release goes to a server in the command that makes it. What fails on the way
// is told, nothing of it is visible, and the same command has the same result
// afterwards: with a wrong password, with a disk that is full, with another
// signer than the server knows.
func TestUpload(t *testing.T) {
	w := newWorkplace(t)
	w.run(0, "hsm", "init", "--policy", "none", "--role", "secure-boot", "--operator", "eve")
	w.run(0, "key", "public", "station-secure-boot", "--out", "signer.pem")
	s := w.serve("24:0a:c4:00:00:01", "--signer", filepath.Join(w.dir, "signer.pem"))
	w.write("anna.txt", "anna:"+authorPassword+"\n")
	w.write("wrong.txt", "anna:guessed\n")
	w.write("bill.json", `{"bomFormat":"CycloneDX","components":[{"bom-ref":"a","name":"lwip","version":"2.1.3"}]}`)
	add := func(code int, credentials string, more ...string) (string, string) {
		t.Helper()
		return w.run(code, append([]string{"release", "add", "example/build/station-example.bin", "--product", "station-example", "--job", "example/job.toml", "--operator", "anna",
			"--upload", s.url, "--credentials", credentials, "--ca", s.at("ca.pem")}, more...)...)
	}
	if _, said := add(exitUsage, "anna.txt", "--id", "9"); !strings.Contains(said, "none of the signers signed it") {
		t.Errorf("an app that nobody signed: %s", said)
	}
	signed := []string{"--sign", "station-secure-boot", "--sbom", "bill.json", "--id", "10"}
	first, said := add(exitUsage, "wrong.txt", signed...)
	if !strings.Contains(said, "401") || strings.Contains(said, "guessed") {
		t.Errorf("a wrong password: %s", said)
	}
	noCA := []string{"release", "add", "example/build/station-example.bin", "--product", "station-example", "--job", "example/job.toml", "--operator", "anna", "--upload", s.url, "--credentials", "anna.txt"}
	if _, said := w.run(exitUsage, append(noCA, signed...)...); !strings.Contains(said, "give the CA that certified the server, --ca FILE; the release is made") {
		t.Errorf("a server that nobody certified: %s", said)
	}
	noCA[len(noCA)-3] = strings.NewReplacer("localhost", "127.0.0.2", "127.0.0.1", "127.0.0.2").Replace(s.url)
	if _, said := w.run(exitStation, append(append(noCA, "--ca", s.at("ca.pem")), signed...)...); !strings.Contains(said, "connection refused") {
		t.Errorf("a server that is not there: %s", said)
	}
	if _, said := w.run(exitUsage, noCA[:len(noCA)-2]...); !strings.Contains(said, "--upload: give --credentials") {
		t.Errorf("without a password: %s", said)
	}
	if _, said := add(exitUsage, "anna.txt", "--id", "9", "--sign", "station-secure-boot", "--sbom", "bill.json"); !strings.Contains(said, "release 9 is this app for these jobs, made without a bill of materials and a signature; to make another one with it, give a free number with --id") {
		t.Errorf("what release 9 was made without: %s", said)
	}
	limitFiles(s.pid, 8192)
	if _, said := add(exitStation, "anna.txt", signed...); !strings.Contains(said, "507") || !strings.Contains(said, "the same command once more") {
		t.Errorf("a full disk: %s", said)
	}
	if got := s.list(); got != "" {
		t.Errorf("visible: %s", got)
	}
	limitFiles(s.pid, -1)
	for range 2 {
		if again, _ := add(0, "anna.txt", signed...); again != first {
			t.Errorf("once more it is another one:\n%s\n%s", first, again)
		}
	}
	if again, _ := add(0, "anna.txt", signed[:4]...); again != first {
		t.Errorf("without its number it is another one:\n%s\n%s", first, again)
	}
	if got := s.list(); !strings.Contains(got, `"id":10`) || strings.Contains(got, `"id":9`) {
		t.Errorf("visible: %s", got)
	}
	w.run(0, "release", "withdraw", "10", "--operator", "anna", "--reason", "it burns", "--upload", s.url, "--credentials", "anna.txt", "--ca", s.at("ca.pem"))
	if got := s.list(); !strings.Contains(got, "it burns") {
		t.Errorf("not withdrawn: %s", got)
	}
	for _, bad := range [][]string{{"--upload", "http://x"}, {"--upload", "https://anna:x@x"}, {"--credentials", "none"}, {"--credentials", "signer.pem"}, {"--ca", "anna.txt"}} {
		add(exitUsage, "anna.txt", append(signed, bad...)...)
	}
	for name, text := range map[string]string{"notes.txt": "it is made of lwip", "spdx.json": `{"spdxVersion":"SPDX-2.3"}`} {
		w.write(name, text)
		if _, said := add(exitUsage, "anna.txt", "--sign", "station-secure-boot", "--sbom", name, "--id", "11"); !strings.Contains(said, "--sbom "+name) || !strings.Contains(said, "CycloneDX in JSON, or leave --sbom out") {
			t.Errorf("a bill of materials that is none: %s", said)
		}
	}
	w.findsVulnerable()
}

// findsVulnerable asks which devices a vulnerability is in: none was made, but
// the app of release 10 is named by its bill, and release 9 has none.
func (w *workplace) findsVulnerable() {
	w.t.Helper()
	w.write("scan.json", `{"bomFormat":"CycloneDX","components":[{"bom-ref":"x","name":"lwip","version":"2.1.3"}],"vulnerabilities":[{"id":"CVE-2025-9","affects":[{"ref":"x"}]}]}`)
	out, said := w.run(0, "affected", "--cve", "CVE-2025-9", "--scan", "scan.json")
	if rows, err := csv.NewReader(strings.NewReader(out)).ReadAll(); err != nil || len(rows) != 1 || !strings.Contains(said, "release 9 of station-example: it has no bill of materials") {
		w.t.Errorf("got %q, %v, %s", rows, err, said)
	}
	w.write("alias.json", `{"bomFormat":"CycloneDX","components":[{"bom-ref":"x","name":"lwip","version":"2.1.3"}],"vulnerabilities":[{"id":"GHSA-9","references":[{"id":"CVE-2025-9"}],"affects":[{"ref":"x"}]}]}`)
	for _, id := range []string{"CVE-2025-9", "GHSA-9"} {
		w.run(0, "affected", "--cve", id, "--scan", "alias.json")
	}
	w.run(exitUsage, "affected", "--cve", "CVE-2025-8", "--scan", "scan.json")
	w.run(exitUsage, "affected", "--scan", "scan.json")
	if err := os.Mkdir(filepath.Join(w.dir, "none"), 0o750); err != nil {
		w.t.Fatal(err)
	}
	for store, want := range map[string]string{"nowhere": "there is no store of releases nowhere", "none": "the store none has no releases"} {
		if _, said := w.run(exitUsage, "affected", "--cve", "CVE-2025-9", "--store", store); !strings.Contains(said, want) {
			w.t.Errorf("a store that says nothing: %s", said)
		}
	}
	if _, err := os.Stat(filepath.Join(w.dir, "nowhere")); err == nil {
		w.t.Error("a question made a store")
	}
	for _, odd := range []string{"nonsense", "sha256:61f3", strings.Repeat("a", 64)} {
		if _, said := w.run(exitUsage, "affected", "--firmware", odd); !strings.Contains(said, "want sha256: and 64 hexadecimal digits") {
			w.t.Errorf("--firmware %s: %s", odd, said)
		}
	}
	if _, said := w.run(0, "affected", "--release", "10"); !strings.Contains(said, "no device of this ledger is among them") {
		w.t.Errorf("a release that nobody has: %s", said)
	}
	for name, want := range map[string]string{"--release 99": "there is no release 99; there is 10, 9", "--release -1": "no release -1", "--key nokey": `there is no key "nokey"`} {
		if out, said := w.run(exitUsage, append([]string{"affected"}, strings.Fields(name)...)...); out != "" || !strings.Contains(said, want) {
			w.t.Errorf("%s that there is none of: %s, %s", name, out, said)
		}
	}
}

// The environment's author interface, as its scripts use it: a release is made,
// signed and at the server's door for its devices; the answers are its own.
func TestReleaseListen(t *testing.T) {
	w := newWorkplace(t)
	w.run(0, "hsm", "init", "--policy", "none", "--role", "manifest", "--operator", "eve")
	for _, app := range []string{"example/build/station-example.bin", "example/build/ota_0.bin"} {
		w.secureVersion(w.read(app), app, 2) // which a server cannot read in what is encrypted
	}
	s := w.serve("24:0a:c4:00:00:01")
	w.write("anna.txt", "anna:"+authorPassword+"\n")
	_, _ = w.officer()
	manifestKey := copyPEM(t, "../../fixtures/fota/manifest-encryption-private.pem", w.dir)
	cmd := w.command("release", "listen", "--listen", "127.0.0.1:0", "--dir", "example", "--job", "example/job.toml", "--fleet-key", "officer.pem", "--manifest-key", manifestKey,
		"--operator", "anna", "--upload", s.url, "--credentials", "anna.txt", "--ca", s.at("ca.pem"))
	_, after, _ := strings.Cut(firstWords(t, cmd, "http://"), "http://")
	address, _, _ := strings.Cut(after, ",")
	ask := func(method, query string, header ...string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+"/upload?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		if header != nil {
			r.Header.Set(header[0], header[1])
			r.Host = header[2]
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	const good = "id=3&deviceType=station-example&fwName=lamp&firmwarePath=build/station-example.bin"
	for _, v := range []struct {
		name, method, query string
		status              int
	}{
		{"good", "POST", good, 200},
		{"the same again", "POST", good, 200},
		{"an absolute path", "POST", strings.Replace(good, "build/", w.dir+"/example/build/", 1), 200},
		{"the number of another", "POST", strings.Replace(good, "station-example.bin", "ota_0.bin", 1), 409},
		{"no such file", "POST", strings.Replace(good, "station-example.bin", "none.bin", 1), 404},
		{"outside of the folder", "POST", strings.Replace(good, "build/station-example.bin", "../anna.txt", 1), 404},
		{"a folder", "POST", strings.Replace(good, "build/station-example.bin", "build", 1), 404},
		{"no firmware", "POST", strings.Replace(strings.Replace(good, "id=3", "id=4", 1), "build/station-example.bin", "job.toml", 1), 422},
		{"another product", "POST", strings.Replace(strings.Replace(good, "id=3", "id=4", 1), "station-example&", "kettle&", 1), 422},
		{"no number", "POST", "deviceType=station-example&fwName=lamp&firmwarePath=build/station-example.bin", 400},
		{"another method", "GET", good, 405},
	} {
		if status, body := ask(v.method, v.query); status != v.status {
			t.Errorf("%s: got %d %s, want %d", v.name, status, body, v.status)
		}
	}
	if status, _ := ask("POST", good, "Origin", "https://elsewhere.example", address); status != 403 {
		t.Errorf("a page of elsewhere gets %d", status)
	}
	if status, _ := ask("POST", good, "X-Nothing", "x", "elsewhere.example"); status != 403 {
		t.Errorf("by a name of elsewhere it answers %d", status)
	}
	if got := s.list(); strings.Count(got, `"id":`) != 1 || !strings.Contains(got, `"kind":"manifest"`) || !strings.Contains(got, `"secureVersion":2`) || !strings.Contains(got, `"version":"`) {
		t.Errorf("the server has %s", got)
	}
	// A key that is gone, a server that takes nothing.
	if err := os.Rename(filepath.Join(w.dir, manifestKey), filepath.Join(w.dir, "gone")); err != nil {
		t.Fatal(err)
	}
	if status, body := ask("POST", strings.Replace(good, "id=3", "id=5", 1)); status != 422 {
		t.Errorf("without its key it answers %d %s", status, body)
	}
	if err := os.Rename(filepath.Join(w.dir, "gone"), filepath.Join(w.dir, manifestKey)); err != nil {
		t.Fatal(err)
	}
	limitFiles(s.pid, 0)
	if status, body := ask("POST", strings.Replace(strings.Replace(good, "id=3", "id=5", 1), "station-example.bin", "ota_0.bin", 1)); status != 502 {
		t.Errorf("with a server that is full it answers %d %s", status, body)
	}
	limitFiles(s.pid, -1)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	for _, id := range []string{"0", "-1", "1000000000"} {
		if _, why := w.run(exitUsage, "release", "add", "example/build/station-example.bin", "--product", "station-example", "--job", "example/job.toml", "--id", id, "--operator", "anna"); !strings.Contains(why, "--id: id "+id+": a release has a number from 1 to 999999999") {
			t.Errorf("--id %s: %s", id, why)
		}
	}
	w.run(exitUsage, "release", "listen", "--listen", "0.0.0.0:0", "--job", "example/job.toml", "--fleet-key", "officer.pem", "--manifest-key", manifestKey, "--operator", "anna")
}
