package serve

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/release"
	"station/internal/store"
)

// fuzzed is a site with one device, one release and its handler.
type fuzzed struct {
	*site
	handler http.Handler
	app     []byte
}

func newFuzzed(f *testing.F) *fuzzed {
	f.Helper()
	w := newSite(f, 1)
	app := []byte("THE-APP-" + strings.Repeat("0123456789abcdef", 8))
	w.release(7, "1.2.0", 100, nil, w.put(release.KindApp, app))
	w.server.Most, w.server.Access = 4096, nil
	return &fuzzed{w, w.server.Handler(), app}
}

// ask sends a request as it stands on the wire; nil where HTTP itself refuses it.
func (w *fuzzed) ask(raw string) *httptest.ResponseRecorder {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		return nil
	}
	r.RemoteAddr = "192.0.2.1:1"
	a := httptest.NewRecorder()
	w.handler.ServeHTTP(a, r)
	return a
}

// among tells whether the status is one of these.
func among(t testing.TB, a *httptest.ResponseRecorder, statuses ...int) {
	t.Helper()
	for _, s := range statuses {
		if a.Code == s {
			return
		}
	}
	t.Fatalf("got %d %.200s, want one of %d", a.Code, a.Body, statuses)
}

// words makes a text fit for a header: what is no such text never gets here.
func words(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text)
}

// Whatever ranges it asks for, a device gets parts of the file, and never many times its
// size.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-0", "bytes=0-", "bytes=-1", "bytes=5-4", "bytes=0-1,5-6", "bytes=0-,0-,0-,0-", "bytes=,,,,,", "lines=1-2", "bytes=99999999999999999999-", "bytes=--1",
		"bytes=0-1,2-3,4-5,6-7,8-9"} {
		f.Add(s, "")
	}
	f.Add("bytes=1-2", `"other"`)
	w := newFuzzed(f)
	me := basicOf(device(w.devices[0]))
	f.Fuzz(func(t *testing.T, ranges, ifRange string) {
		a := w.ask(fmt.Sprintf("GET /files/lamp/app.bin HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nRange: %s\r\nIf-Range: %s\r\n\r\n", me, words(ranges), words(ifRange)))
		if a == nil {
			return
		}
		among(t, a, http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable)
		switch body := a.Body.Bytes(); {
		case a.Code == http.StatusOK && !bytes.Equal(body, w.app):
			t.Fatalf("all of it is %q", body)
		case a.Code == http.StatusPartialContent && len(body) > maxRanges*(len(w.app)+300):
			t.Fatalf("%q gets %d bytes", ranges, len(body))
		case a.Code == http.StatusPartialContent && !strings.HasPrefix(a.Header().Get("Content-Type"), "multipart/") && !bytes.Contains(w.app, body):
			t.Fatalf("%q gets %q, which is no part of the file", ranges, body)
		}
	})
}

// Whatever a device sends as DDI feedback or as a result, the server does not fail and
// the state of the device stays within its limits.
func FuzzDeviceSays(f *testing.F) {
	for i, body := range []string{`{"id":"7","status":{"execution":"closed","result":{"finished":"success"},"details":["x"]}}`, `{"status":{"execution":"canceled"}}`, `{"status":{"execution":"proceeding"}}`,
		`{"mode":"merge","data":{"a":"b"}}`, `{"mode":"remove","data":{"a":""}}`, `{"release":7,"result":"failure","message":"m"}`, `{"status":{"execution":"rejected","details":["\ud800"]}}`,
		`{"data":{"a":null}}`, `[`, `{"release":1e99}`, "{}", "", `{"status":null,"status":{}}`} {
		f.Add(uint8(i), body)
	}
	w := newFuzzed(f)
	mac := w.devices[0]
	base, me := "/default/controller/v1/"+mac.String(), basicOf(device(mac))
	among(f, w.ask("GET "+base+" HTTP/1.1\r\nHost: x\r\nAuthorization: "+me+"\r\n\r\n"), http.StatusOK) // it is offered 7
	doors := []string{"POST " + base + "/deploymentBase/7/feedback", "POST " + base + "/cancelAction/7/feedback", "PUT " + base + "/configData", "POST /files/lamp/result"}
	f.Fuzz(func(t *testing.T, door uint8, body string) {
		a := w.ask(fmt.Sprintf("%s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s", doors[int(door)%len(doors)], me, len(body), body))
		among(t, a, http.StatusOK, http.StatusBadRequest, http.StatusRequestEntityTooLarge)
		var st state
		if err := w.server.load(mac, &st); err != nil {
			t.Fatalf("the device's state: %v", err)
		}
		if len(st.Attributes) > maxAttributes {
			t.Fatalf("%d attributes", len(st.Attributes))
		}
		among(t, w.ask("GET "+base+" HTTP/1.1\r\nHost: x\r\nAuthorization: "+me+"\r\n\r\n"), http.StatusOK)
	})
}

// Whatever is uploaded by the environment's form, each release that is visible
// afterwards can be read.
func FuzzUploadFile(f *testing.F) {
	part := func(name, data string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"; filename=\"f\"\r\n\r\n" + data + "\r\n"
	}
	manifest := strings.Repeat("m", release.ManifestSize)
	for _, body := range []string{part("manifestFile", manifest) + part("firmwareFile", "\xcf\xa9\xeb\xab image") + "--b--\r\n", part("manifestFile", "short") + "--b--\r\n", part("firmwareFile", "") + part("firmwareFile", ""),
		part("other", "x") + "--b--", "--b\r\n\r\n", "", strings.Repeat("--b\r\n", 50), part("manifestFile", strings.Repeat("x", 5000))} {
		f.Add("id=9&deviceType=lamp&fwName=fw", "multipart/form-data; boundary=b", body)
	}
	f.Add("id=7&deviceType=lamp&fwName=fw", "multipart/form-data; boundary=b", part("manifestFile", manifest))
	f.Add("id=-1&deviceType=../x&fwName=", "text/plain", "x")
	f.Add("id=%zz", "multipart/form-data", "x")
	w := newFuzzed(f)
	f.Fuzz(func(t *testing.T, query, kind, body string) {
		query = strings.NewReplacer(" ", "", "#", "").Replace(words(query))
		a := w.ask(fmt.Sprintf("POST /uploadFile?%s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", query, basicOf(anna), words(kind), len(body), body))
		if a == nil {
			return
		}
		among(t, a, http.StatusOK, http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity)
		list, err := release.LoadAll(w.store, "lamp", func(d *release.Damaged) { t.Fatal(d) })
		if err != nil {
			t.Fatalf("the releases: %v", err)
		}
		for _, r := range list {
			for _, form := range r.Forms {
				if !w.store.Has(store.Digest(form.SHA256)) {
					t.Fatalf("release %d speaks of a file that is not there", r.ID)
				}
			}
		}
	})
}

// No way of writing an address gives a file to whoever may not have it, or makes the server fail.
func FuzzAddress(f *testing.F) {
	for i, path := range []string{"/files/lamp/app.bin", "/files/lamp/../../ledger.db", "/files/lamp/%2e%2e/app.bin", "//files/lamp/app.bin", "/update/newest/binary?deviceType=lamp", "/update/newest/binary?deviceType=lamp;x=%zz",
		"/default/controller/v1/24:0a:c4:00:00:00/softwaremodules/7/artifacts/app.bin", "/x/controller/v1/240ac4000000/deploymentBase/7", "/v1/artifacts/sha256:..%2f", "/v1/releases/lamp", "/v1/releases/%2e%2e", "*", "/%zz",
		"https://elsewhere/files/lamp/app.bin", "/metrics", "/healthz"} {
		f.Add(uint8(i), path)
	}
	w := newFuzzed(f)
	who := []string{"", basicOf(device(w.devices[0])), basicOf(anna), basicOf(device(macOf(200))), "TargetToken " + secretOf(w.devices[0])}
	f.Fuzz(func(t *testing.T, as uint8, path string) {
		by := who[int(as)%len(who)]
		a := w.ask(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n", strings.ReplaceAll(words(path), " ", ""), by))
		if a == nil {
			return
		}
		if a.Code >= 500 {
			t.Fatalf("got %d %s", a.Code, a.Body)
		}
		if bytes.Contains(a.Body.Bytes(), []byte("THE-APP")) && by != who[1] && by != who[4] {
			t.Fatalf("%q as %.20q gets the app", path, by)
		}
		if strings.HasPrefix(by, "Basic") || by != "" || a.Code != http.StatusOK || a.Body.String() == "ok\n" {
			return
		}
		t.Fatalf("%q shows nobody in particular %q", path, a.Body)
	})
}

// Only the right secret is accepted for a device or an author.
func FuzzCredential(f *testing.F) {
	w := newFuzzed(f)
	me := basicOf(device(w.devices[0]))
	for _, s := range []string{me, me + "A", strings.ToLower(me), "Basic", "Basic !", "Basic Og==", "TargetToken", "TargetToken ", "TargetToken " + secretOf(w.devices[0]), "TargetToken x", "Bearer x", basicOf(anna)} {
		f.Add(s)
	}
	path := "/default/controller/v1/" + w.devices[0].String()
	f.Fuzz(func(t *testing.T, credential string) {
		credential = words(credential)
		for _, line := range []string{"GET " + path, "GET /files/lamp/app.bin"} {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(line + " HTTP/1.1\r\nHost: x\r\nAuthorization: " + credential + "\r\n\r\n")))
			if err != nil {
				return
			}
			_, secret, _ := credentials(r)
			token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "TargetToken ")
			right := secret == secretOf(w.devices[0]) || token == secretOf(w.devices[0])
			a := httptest.NewRecorder()
			if w.handler.ServeHTTP(a, r); !right && a.Code != http.StatusUnauthorized {
				t.Fatalf("%q gets %d", credential, a.Code)
			}
		}
	})
}

// Any certificate names one MAC or none, and a PEM file is used whole or refused.
func FuzzCertificate(f *testing.F) {
	ca := newAuthority(f, "line CA")
	for _, name := range []string{"24:0a:c4:01:02:03", "240ac4010203", "nobody", ""} {
		f.Add(ca.issue(name, ca.cert.NotAfter, x509.ExtKeyUsageClientAuth).Certificate[0])
	}
	f.Add([]byte("x"))
	dir := f.TempDir()
	own := ca.write(filepath.Join(dir, "ca.pem"))
	certs, err := ReadCertificates([]string{own}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		cert, err := x509.ParseCertificate(der)
		if err == nil {
			mac, err := certs.Certificate([][]*x509.Certificate{{cert}})
			if said, bad := chip.ParseMAC(cert.Subject.CommonName); err == nil && bad == nil && said != mac {
				t.Fatalf("%q is taken for %s", cert.Subject.CommonName, mac)
			}
		}
		path := filepath.Join(t.TempDir(), "file")
		for kind, read := range map[string]func() (*Certificates, error){
			"CERTIFICATE": func() (*Certificates, error) { return ReadCertificates([]string{path}, nil) },
			"X509 CRL":    func() (*Certificates, error) { return ReadCertificates([]string{own}, []string{path}) },
		} {
			if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
				t.Fatal(err)
			}
			if c, err := read(); err == nil && (c == nil || c.Pool() == nil) {
				t.Fatal("no fault and no certificates")
			}
		}
	})
}
