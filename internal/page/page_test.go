package page

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"station/internal/board"
	"station/internal/flow"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/release"
	"station/internal/site/replica"
	"station/internal/words/wordstest"
)

const asksToken = `name="token"`

// Who has not shown who he is sees nothing but that the page is there.
func TestNothingWithoutLogin(t *testing.T) {
	p := newPlant(t)
	c := p.client()
	for _, path := range []string{"/", "/live", "/batches", "/releases", "/device?q=x", "/device/bench-1/24:0a:c4:01:02:03", "/device/bench-1/24:0a:c4:01:02:03/proof", "/else"} {
		if code, body, _ := p.get(c, path); !strings.Contains(body, asksToken) || strings.Contains(body, "bench-1") {
			t.Errorf("%s: %d, %s", path, code, body)
		}
		if code, body, _ := p.get(c, path, "Accept", "text/event-stream"); code != 401 || strings.Contains(body, "bench") {
			t.Errorf("%s for no browser: %d, %s", path, code, body)
		}
	}
	if code, body, _ := p.get(c, "/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("health: %d %q", code, body)
	}
	_, _, h := p.get(c, "/login")
	if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
}

func TestLogin(t *testing.T) {
	p := newPlant(t)
	c := p.client()
	if code, body := p.login(c, "wrong"); code != 403 || !strings.Contains(body, english.Wrong) {
		t.Errorf("a wrong token: %d, %s", code, body)
	}
	if code, body := p.login(c, " "+p.token+"\n"); code != 200 || !strings.Contains(body, "bench-1") {
		t.Fatalf("the right token: %d, %s", code, body)
	}
	if set := cookie("x", sessionTime); !set.HttpOnly || !set.Secure || set.SameSite != http.SameSiteStrictMode || !strings.HasPrefix(set.Name, "__Host-") {
		t.Errorf("the cookie is %+v", set)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", p.url+"/logout", nil)
	check(t, err)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := c.Do(r)
	check(t, err)
	resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("a form of another site: %s", resp.Status)
	}
	check(t, p.page.Readers.Revoke("anna"))
	if _, body, _ := p.get(c, "/"); !strings.Contains(body, asksToken) {
		t.Error("who was revoked is still in")
	}
	token, err := p.page.Readers.Add("anna")
	check(t, err)
	if _, err := p.page.Readers.Add("anna"); err == nil {
		t.Error("a second token of one name")
	}
	p.login(c, token)
	p.post(c, "/logout", nil)
	if _, body, _ := p.get(c, "/"); !strings.Contains(body, asksToken) {
		t.Error("who has logged out is still in")
	}
	for range mostTries {
		p.page.tries.failed("127.0.0.1")
	}
	if code, body := p.login(c, token); code != http.StatusTooManyRequests || !strings.Contains(body, english.TooMany) {
		t.Errorf("after %d wrong tokens: %d, %s", mostTries, code, body)
	}
}

// Tokens that are made and taken away at the same time are all made, and all taken away.
func TestReadersAtTheSameTime(t *testing.T) {
	r := &Readers{Path: filepath.Join(t.TempDir(), "readers.json")}
	const many = 20
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			for _, name := range []string{fmt.Sprintf("stays-%d", i), fmt.Sprintf("goes-%d", i)} {
				if _, err := r.Add(name); err != nil {
					t.Error(err)
				}
			}
			if err := r.Revoke(fmt.Sprintf("goes-%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	list, err := r.List()
	if err != nil || len(list) != many || slices.ContainsFunc(list, func(one Reader) bool { return strings.HasPrefix(one.Name, "goes") }) {
		t.Errorf("%d readers are %+v, %v", len(list), list, err)
	}
}

// Wrong tokens of one address keep no other one out, and only for a while.
func TestTries(t *testing.T) {
	var tries tries
	now := time.Now()
	for range mostTries {
		if !tries.may("a", now) {
			t.Fatal("too early")
		}
		tries.failed("a")
	}
	if tries.may("a", now) || !tries.may("b", now) || !tries.may("a", now.Add(tryTime)) {
		t.Error("who may try is wrong")
	}
}

// certificate is one of the people's CA, or one that nobody stands for.
func (p *plant) certificate(serial int64, ownWord bool) tls.Certificate {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(p.t, err)
	wanted := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "eve"}, NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	issuer, signer := p.caCert, p.caKey
	if ownWord {
		issuer, signer = wanted, key
	}
	der, err := x509.CreateCertificate(rand.Reader, wanted, issuer, key.Public(), signer)
	check(p.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestClientCertificate(t *testing.T) {
	p := newPlant(t)
	if code, body, _ := p.get(p.client(p.certificate(2, false)), "/"); code != 200 || !strings.Contains(body, "bench-1") {
		t.Errorf("with a certificate: %d, %s", code, body)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", p.url+"/batches", nil)
	check(t, err)
	if resp, err := p.client(p.certificate(2, true)).Do(r); err == nil {
		resp.Body.Close()
		if resp.StatusCode == 200 {
			t.Error("a certificate of nobody is let in")
		}
	}
}

// Who is put into a list while the page runs is out at the next question, and the
// others when the list is damaged, until it is right again.
func TestRevokedCertificate(t *testing.T) {
	p := newPlant(t)
	var told []string
	p.page.Certified.Tell = func(fault error) { told = append(told, fault.Error()) }
	in := func(c *http.Client) bool {
		_, body, _ := p.get(c, "/")
		return !strings.Contains(body, asksToken)
	}
	gone, other := p.client(p.certificate(2, false)), p.client(p.certificate(3, false))
	if !in(gone) || !in(other) {
		t.Fatal("nobody is in before anybody was revoked")
	}
	p.revokes(2)
	if in(gone) || !in(other) || len(told) != 0 {
		t.Errorf("the wrong one is out; told %q", told)
	}
	list, err := os.ReadFile(p.crl)
	check(t, err)
	check(t, os.WriteFile(p.crl, list[:len(list)/2], 0o600))
	if first, again := in(other), in(other); first || again || len(told) != 1 || !strings.Contains(told[0], "people.crl") {
		t.Errorf("half a list lets them in, or is told %d times: %q", len(told), told)
	}
	check(t, os.Remove(p.crl))
	if in(other) {
		t.Error("a list that is gone lets them in")
	}
	p.revokes(2)
	if in(gone) || !in(other) {
		t.Error("the list that is back is not read")
	}
}

var begin = time.Now()

func ready() flow.Event {
	return flow.Event{Time: begin, Event: flow.LineReady, Job: "lamp", Batch: "2026-47", Operator: "anna", Slots: []string{"A1"}}
}

func flashing() flow.Event {
	return flow.Event{Time: begin, Event: flow.StepStarted, Slot: "A1", Step: "flash", MAC: madeMAC, Total: 100}
}

// Slots are told in the operator's words in the reader's language; foreign text is harmless.
func TestBenches(t *testing.T) {
	p := newPlant(t)
	p.visit()
	p.online()
	c := p.client()
	p.login(c, p.token)
	p.does(ready(), flashing(), flow.Event{Time: begin, Event: flow.StepProgress, Slot: "A1", Percent: 42, Bytes: 42, Total: 100})
	_, body, _ := p.get(c, "/")
	for _, want := range []string{"bench-1", "A1", "lamp", "2026-47", "Write flash", `value="42"`, "E-BAUD", english.Here, madeMAC.String()} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q:\n%s", want, body)
		}
	}
	p.does(flow.Event{Time: begin, Event: flow.DeviceFailed, Slot: "A1", Verdict: record.Retry, Code: "E-DEAF", Detail: "hidden detail", Serial: "<b>\u202e"})
	_, body, _ = p.get(c, "/?lang=zh")
	sentence := chinese.Failures["E-DEAF"]
	for _, want := range []string{sentence[0], sentence[1], "RETRY", "重试", "&lt;b&gt;", `lang="zh-Hans"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the Chinese page lacks %q:\n%s", want, body)
		}
	}
	if strings.Contains(body, "<b>\u202e") || strings.Contains(body, "\u202e") || strings.Contains(body, "hidden detail") {
		t.Error("foreign text, or what is for the engineer, comes through")
	}
	if _, body, _ := p.get(p.client(), "/login", "Accept-Language", "zh-CN,zh;q=0.9"); !strings.Contains(body, chinese.LogIn) {
		t.Error("the browser's language is not heard")
	}
	p.page.Silence = 1 // nothing is as young as that
	if _, body, _ = p.get(c, "/?lang=en"); !strings.Contains(body, english.Away) {
		t.Error("a bench that says nothing is not away")
	}
	p.does(flow.Event{Time: begin, Event: flow.LineDone})
	if _, body, _ = p.get(c, "/"); !strings.Contains(body, english.LineEnded) {
		t.Error("the end of the line is not told")
	}
}

// A bench of which the site stores nothing is no working one, whatever it tells.
func TestStuckBench(t *testing.T) {
	p := newPlant(t)
	p.online()
	p.does(ready())
	list, err := p.page.Site.Benches()
	check(t, err)
	list[0].Stuck = "the site's disk is full"
	for _, l := range []*language{&english, &chinese} {
		if b := p.page.bench(l, list[0], board.Day{}, time.Now()); b.State != l.Stuck || !b.Alarm || b.Called {
			t.Errorf("it is %+v", b)
		}
	}
	list[0].Revoked = begin
	if b := p.page.bench(&english, list[0], board.Day{}, time.Now()); b.State == english.Stuck {
		t.Error("one that was revoked is said to be stuck")
	}
}

// Virtual devices are never counted with real ones, and said to be virtual where they are alone.
func TestDayOfAllBenches(t *testing.T) {
	day := func(simulated bool, passed int) board.Day {
		return board.Day{Simulated: simulated, Counts: flow.Counts{Passed: passed}, Devices: passed, FirstPass: passed, Codes: map[flow.Code]int{"E-BAUD": passed}}
	}
	for _, c := range []struct {
		days      []board.Day
		passed    int
		simulated bool
	}{
		{[]board.Day{day(false, 3), day(true, 40), day(false, 4)}, 7, false},
		{[]board.Day{day(true, 40), day(true, 2)}, 42, true},
		{[]board.Day{day(true, 0)}, 0, false}, // nothing came yet
	} {
		var o overview
		o.sum(&english, c.days)
		if o.Passed != c.passed || o.Simulated != c.simulated || c.passed > 0 && o.Failures[0].N != c.passed {
			t.Errorf("%+v gives %+v", c.days, o)
		}
	}
}

// A change comes by itself to who looks, and nothing more to who is revoked.
func TestStream(t *testing.T) {
	p := newPlant(t)
	p.online()
	c := p.client()
	p.login(c, p.token)
	r, err := http.NewRequestWithContext(t.Context(), "GET", p.url+"/live", nil)
	check(t, err)
	resp, err := c.Do(r)
	check(t, err)
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	until := func(want string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), want) {
				return
			}
		}
		t.Fatalf("the stream ended without %q: %v", want, lines.Err())
	}
	until("bench-1")
	p.does(ready(), flashing())
	until("Write flash")
	p.does(flow.Event{Time: begin, Event: flow.DevicePassed, Slot: "A1", Verdict: record.Pass, MAC: madeMAC})
	until("PASS")
	p.page.scene.mu.Lock()
	p.page.scene.streams += mostStreams - 1
	p.page.scene.mu.Unlock()
	if code, _, _ := p.get(c, "/live"); code != http.StatusServiceUnavailable {
		t.Errorf("one stream too many: %d", code)
	}
	check(t, p.page.Readers.Revoke("anna"))
	for lines.Scan() {
	}
	check(t, lines.Err())
}

// A device is found by its names, with its whole life and the proof that a command checks.
func TestDevice(t *testing.T) {
	p := newPlant(t)
	p.visit()
	c := p.client()
	p.login(c, p.token)
	for _, name := range []string{madeMAC.String(), "SN-0007"} {
		_, body, _ := p.get(c, "/device?q="+url.QueryEscape(name))
		for _, want := range []string{"SN-0007", madeMAC.String(), "E-BAUD", "RETRY", string(record.SerialBound), "/proof"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: the page lacks %q:\n%s", name, want, body)
			}
		}
	}
	_, file, _ := p.get(c, "/device/bench-1/"+madeMAC.String()+"/proof")
	var proof ledger.Proof
	if err := json.Unmarshal([]byte(file), &proof); err != nil || proof.MAC != madeMAC {
		t.Errorf("proof %s: %v", file, err)
	}
	for path, want := range map[string]int{"/device?q=%3Cb%3E": 200, "/device/bench-1/24:0a:c4:01:02:99": 404, "/device/bench-9/24:0a:c4:01:02:03": 404, "/device/bench-1/x/proof": 404} {
		if code, body, _ := p.get(c, path); code != want || strings.Contains(body, "<b>") {
			t.Errorf("%s: %d, %s", path, code, body)
		}
	}
	for path, want := range map[string]string{"/batches": english.None, "/releases": english.NoStore} {
		if code, body, _ := p.get(c, path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d, %s", path, code, body)
		}
	}
}

// The page of a device says that it was revoked, with an identity or without.
func TestRevokedDeviceSaysSo(t *testing.T) {
	id, since := `<dt>`+english.ID+`</dt>`, `<div class="alarm"><dt>`+english.Revoked+`</dt>`
	for _, v := range []struct {
		identity *record.Identity
		want     []string
		not      []string
	}{
		{nil, nil, []string{id, since}},
		{&record.Identity{ID: "aa"}, []string{id + "<dd>aa<"}, []string{since}},
		{&record.Identity{Revoked: begin}, []string{since + "<dd>" + begin.Local().Format("2006-01-02 15:04:05") + "<"}, []string{id}},
		{&record.Identity{ID: "aa", Revoked: begin}, []string{id, since}, nil},
	} {
		var b strings.Builder
		check(t, templates.ExecuteTemplate(&b, "device.html", frame{language: &english, Data: life{Device: record.Device{MAC: madeMAC, Identity: v.identity}}}))
		for _, want := range v.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%+v: the page lacks %q:\n%s", v.identity, want, b.String())
			}
		}
		for _, not := range v.not {
			if strings.Contains(b.String(), not) {
				t.Errorf("%+v: the page has %q:\n%s", v.identity, not, b.String())
			}
		}
	}
}

func TestLanguagesAreComplete(t *testing.T) { wordstest.Complete(t, english, chinese) }

// A list that leaves older ones out says so.
func TestCutListSaysSo(t *testing.T) {
	for _, n := range []int{2, 3} {
		shown := newest([]offered{{Release: &release.Release{ID: 3}}, {Release: &release.Release{ID: 2}}, {Release: &release.Release{ID: 1}}}[:n], 2)
		for page, data := range map[string]any{"releases.html": shelf{rows: shown}, "batches.html": rows[replica.Batch]{Cut: shown.Cut}} {
			var b strings.Builder
			if err := templates.ExecuteTemplate(&b, page, frame{language: &english, Data: data}); err != nil {
				t.Fatal(err)
			}
			if len(shown.List) != 2 || strings.Contains(b.String(), english.More) != (n == 3) {
				t.Errorf("%s with %d of 2 rows: %s", page, n, b.String())
			}
		}
	}
}

// Every text of the page is shown somewhere.
func TestEveryTextIsShown(t *testing.T) {
	var program strings.Builder
	for _, pattern := range []string{"*.go", "files/*.html"} {
		list, err := filepath.Glob(pattern)
		if err != nil || len(list) < 5 {
			t.Fatal(list, err)
		}
		for _, name := range list {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			program.Write(b)
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[language]()) {
		if len(f.Index) == 1 && !f.Anonymous && !regexp.MustCompile(`\.`+f.Name+`\b`).MatchString(program.String()) {
			t.Errorf("nobody shows %s", f.Name)
		}
	}
}
