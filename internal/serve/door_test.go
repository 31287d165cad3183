package serve

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"slices"
	"strings"
	"testing"

	"station/internal/record"
	"station/internal/release"
)

func encrypted(n int, x byte) []byte {
	return append([]byte{0xcf, 0xb6, 0x88, 0x07}, bytes.Repeat([]byte{x}, n)...)
}

// upload is the environment's upload.
func (w *site) upload(as who, status int, query string, files map[string][]byte) said {
	w.t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	for _, name := range slices.Sorted(mapKeys(files)) {
		part, err := m.CreateFormFile(name, name+".bin")
		if err == nil {
			_, err = part.Write(files[name])
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		w.t.Fatal(err)
	}
	return w.do(as, status, "POST", "/uploadFile?"+query, &body, "Content-Type", m.FormDataContentType())
}

func mapKeys(m map[string][]byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// The secure-FOTA environment's protocol: devices of a type get, byte for byte, what an
// author uploaded for it, the highest number first.
func TestEnvironment(t *testing.T) {
	w := newSite(t, 2)
	files := map[string][]byte{"manifestFile": bytes.Repeat([]byte{1}, 1024), "firmwareFile": encrypted(5000, 1)}
	me := device(w.devices[0])
	w.do(me, 404, "GET", "/update/newest/manifest?deviceType=lamp", nil)
	if got := w.upload(anna, 200, "id=3&deviceType=lamp&fwName=lamp-fw", files); string(got.body) != "OK" {
		t.Errorf("got %q, want OK", got.body)
	}
	w.upload(anna, 200, "id=3&deviceType=lamp&fwName=lamp-fw", files) // the same again
	older := map[string][]byte{"manifestFile": bytes.Repeat([]byte{2}, 1024), "firmwareFile": encrypted(4000, 2)}
	w.upload(anna, 200, "id=2&deviceType=lamp&fwName=lamp-fw", older)
	w.upload(anna, 409, "id=2&deviceType=lamp&fwName=lamp-fw", files)
	if entries, fields := w.entries(record.RolloutChanged); len(entries) != 2 || fields[0].Release != 3 || fields[0].Percent != 100 || fields[0].State != string(release.Running) {
		t.Errorf("handed out without an entry of its own each: %+v", fields)
	}
	w.upload(anna, 409, "id=3&deviceType=kettle&fwName=kettle-fw", files) // a number is of one release only
	if got := w.do(me, 200, "GET", "/update/newest/manifest?deviceType=lamp", nil); !bytes.Equal(got.body, files["manifestFile"]) {
		t.Errorf("manifest: got %d bytes", len(got.body))
	}
	if got := w.do(me, 200, "GET", "/update/newest/binary?deviceType=lamp", nil); !bytes.Equal(got.body, files["firmwareFile"]) {
		t.Errorf("binary: got %d bytes", len(got.body))
	}
	for _, query := range []string{"", "?deviceType=", "?deviceType=kettle", "?deviceType=../lamp"} {
		w.do(me, 404, "GET", "/update/newest/binary"+query, nil)
	}
	w.upload(me, 401, "id=9&deviceType=lamp&fwName=lamp-fw", files) // a device's credential is no author's
	w.upload(nobody, 401, "id=9&deviceType=lamp&fwName=lamp-fw", files)
	w.do(anna, 401, "GET", "/update/newest/binary?deviceType=lamp", nil)
	w.do(nobody, 401, "GET", "/update/newest/binary?deviceType=lamp", nil)
}

// The version that an author gives with an upload is kept, since the server cannot read
// it from these files. A release that is in the store already is accepted again, however
// it came there.
func TestEnvironmentKnows(t *testing.T) {
	w := newSite(t, 2)
	files := map[string][]byte{"manifestFile": bytes.Repeat([]byte{1}, 1024), "firmwareFile": encrypted(5000, 1)}
	me := device(w.devices[0])
	const query = "deviceType=lamp&fwName=lamp-fw"
	for _, odd := range []string{"-1", "x", "4294967296"} {
		w.upload(anna, 400, query+"&id=3&secureVersion="+odd, files)
	}
	w.upload(anna, 422, query+"&id=3&version="+strings.Repeat("1", 200), files)
	w.upload(anna, 200, query+"&id=3&version=blue&secureVersion=2", files)
	w.do(me, 200, "GET", "/update/newest/binary?deviceType=lamp", nil)
	w.do(me, 200, "POST", "/files/lamp/result", strings.NewReader(`{"release":3,"result":"success"}`))
	_, fields := w.entries(record.UpdateResult)
	if len(fields) != 1 || fields[0].SecureVersion != 2 || fields[0].Version != "blue" {
		t.Errorf("got %+v", fields)
	}
	for i, below := range []string{"", "&secureVersion=1"} { // of both nothing is known that would let them in
		w.upload(anna, 200, query+fmt.Sprint("&id=", 4+i)+below, files)
	}
	w.do(me, 404, "GET", "/update/newest/binary?deviceType=lamp", nil)
	w.do(device(w.devices[1]), 200, "GET", "/update/newest/binary?deviceType=lamp", nil)
	w.upload(anna, 200, query+"&id=6&secureVersion=2", files)
	w.do(me, 200, "GET", "/update/newest/binary?deviceType=lamp", nil)

	// One that its author made in this very store.
	form := w.put(release.KindApp, []byte("app"))
	made := w.release(7, "1.5.0", 0, func(r *release.Release) { r.SecureVersion = 3 }, form, w.put(release.KindManifest, files["manifestFile"]), w.put(release.KindEncrypted, files["firmwareFile"]))
	for _, same := range []string{"", "", "&version=1.5.0&secureVersion=3"} {
		w.upload(anna, 200, query+"&id=7"+same, files)
	}
	for _, other := range []string{"&version=1.5.1", "&secureVersion=4"} {
		w.upload(anna, 409, query+"&id=7"+other, files)
	}
	w.upload(anna, 409, "deviceType=lamp&fwName=other&id=7", files)
	if kept, _, err := release.Load(w.store, "lamp", 7); err != nil || !kept.Same(made) {
		t.Errorf("the release is another one now: %+v, %v", kept, err)
	}
}

// A faulty upload is refused, and nothing of it becomes visible.
func TestUploadFaults(t *testing.T) {
	w := newSite(t, 1)
	w.server.Most = 100_000
	manifest, binary := bytes.Repeat([]byte{1}, 1024), encrypted(5000, 1)
	const good = "id=3&deviceType=lamp&fwName=lamp-fw"
	for _, v := range []struct {
		name   string
		query  string
		files  map[string][]byte
		status int
	}{
		{"no id", "deviceType=lamp&fwName=f", map[string][]byte{"manifestFile": manifest, "firmwareFile": binary}, 400},
		{"id", "id=-1&deviceType=lamp&fwName=f", map[string][]byte{"manifestFile": manifest, "firmwareFile": binary}, 400},
		{"huge id", "id=9223372036854775807&deviceType=lamp&fwName=f", map[string][]byte{"manifestFile": manifest, "firmwareFile": binary}, 400},
		{"id above the last", "id=1000000000&deviceType=lamp&fwName=f", map[string][]byte{"manifestFile": manifest, "firmwareFile": binary}, 400},
		{"type", "id=1&deviceType=..%2Flamp&fwName=f", map[string][]byte{"manifestFile": manifest, "firmwareFile": binary}, 400},
		{"name", "id=1&deviceType=lamp&fwName=a%2Fb", map[string][]byte{"manifestFile": manifest, "firmwareFile": binary}, 400},
		{"no manifest", good, map[string][]byte{"firmwareFile": binary}, 400},
		{"another part", good, map[string][]byte{"manifestFile": manifest, "firmwareFile": binary, "x": nil}, 400},
		{"short manifest", good, map[string][]byte{"manifestFile": manifest[1:], "firmwareFile": binary}, 422},
		{"plain binary", good, map[string][]byte{"manifestFile": manifest, "firmwareFile": binary[4:]}, 422},
		{"huge", good, map[string][]byte{"manifestFile": manifest, "firmwareFile": encrypted(100_001, 1)}, 413},
	} {
		w.upload(anna, v.status, v.query, v.files)
	}
	w.do(anna, 400, "POST", "/uploadFile?"+good, strings.NewReader("no form"))
	w.do(anna, 400, "POST", "/uploadFile?"+good, strings.NewReader("--x\r\ncut"), "Content-Type", "multipart/form-data; boundary=x")
	if keys, err := w.store.Keys("release"); err != nil || keys != nil {
		t.Errorf("visible: %q, %v", keys, err)
	}
	for _, product := range []string{"lamp", "nope", "a%2Fb"} {
		w.do(anna, 404, "GET", "/v1/releases/"+product, nil)
	}
}

// The protocol of plain files, with the requests of esp_https_ota.
func TestFiles(t *testing.T) {
	w := newSite(t, 1)
	app := bytes.Repeat([]byte("0123456789"), 1000)
	ota := encrypted(600, 7)
	w.release(7, "1.2.0", 100, nil, w.put(release.KindApp, app), w.put(release.KindEncrypted, ota))
	me := device(w.devices[0])
	const path = "/files/lamp/app.bin"
	whole := w.do(me, 200, "GET", path, nil)
	etag := whole.Header.Get("ETag")
	if !bytes.Equal(whole.body, app) || whole.Header.Get("Accept-Ranges") != "bytes" || etag == "" || whole.ContentLength != int64(len(app)) {
		t.Errorf("got %d bytes, %v", len(whole.body), whole.Header)
	}
	if got := w.do(me, 200, "HEAD", path, nil); got.ContentLength != int64(len(app)) || len(got.body) != 0 || got.Header.Get("ETag") != etag {
		t.Errorf("HEAD: %v", got.Header)
	}
	for ask, want := range map[string]string{"bytes=0-9": "0123456789", "bytes=9995-": "56789", "bytes=-3": "789", "bytes=10-10": "0"} {
		if got := w.do(me, 206, "GET", path, nil, "Range", ask); string(got.body) != want {
			t.Errorf("%s: got %q", ask, got.body)
		}
	}
	w.do(me, 416, "GET", path, nil, "Range", "bytes=10000-")
	w.do(me, 416, "GET", path, nil, "Range", "bytes=x-")
	w.do(me, 416, "GET", path, nil, "Range", "bytes="+strings.Repeat("0-,", 1000)+"0-")
	w.do(me, 304, "GET", path, nil, "If-None-Match", etag)
	w.do(me, 206, "GET", path, nil, "Range", "bytes=0-9", "If-Range", etag)
	if got := w.do(me, 200, "GET", path, nil, "Range", "bytes=0-9", "If-Range", `"of another release"`); !bytes.Equal(got.body, app) {
		t.Errorf("the part of another release: %d bytes", len(got.body))
	}
	if got := w.do(me, 200, "GET", "/files/lamp/app.ota", nil); !bytes.Equal(got.body, ota) || got.Proto != "HTTP/2.0" {
		t.Errorf("got %d bytes by %s", len(got.body), got.Proto)
	}
	for _, other := range []string{"/files/lamp/slots.bundle", "/files/lamp/manifest", "/files/lamp/x", "/files/kettle/app.bin", "/files/lamp/..%2f..%2fledger.db", "/files/lamp/", "/"} {
		w.do(me, 404, "GET", other, nil)
	}
	// How it ended.
	w.do(me, 400, "POST", "/files/lamp/result", strings.NewReader(`{"release":7}`))
	w.do(me, 400, "POST", "/files/lamp/result", strings.NewReader(`no JSON`))
	w.do(me, 413, "POST", "/files/lamp/result", io.MultiReader(strings.NewReader(`{"message":"`), strings.NewReader(strings.Repeat("x", maxBody)), strings.NewReader(`"}`)))
	w.do(me, 200, "POST", "/files/lamp/result", strings.NewReader(`{"release":7,"result":"success","message":"fine"}`))
	w.do(me, 200, "POST", "/files/lamp/result", strings.NewReader(`{"release":7,"result":"failure"}`)) // the first word counts
	w.do(me, 404, "GET", path, nil)                                                                    // it runs it
	offers, _ := w.entries(record.UpdateOffered)
	results, fields := w.entries(record.UpdateResult)
	if len(offers) != 1 || len(results) != 1 || results[0].MAC != w.devices[0] || results[0].Message != "fine" || fields[0].State != success || fields[0].Release != 7 {
		t.Errorf("got %d offers, %+v %+v", len(offers), results, fields)
	}
}

// poll is a hawkBit client's poll.
func (w *site) poll(as who, id string) ddiBase {
	w.t.Helper()
	var base ddiBase
	got := w.do(as, 200, "GET", "/default/controller/v1/"+id, nil)
	if err := json.Unmarshal(got.body, &base); err != nil {
		w.t.Fatal(err)
	}
	return base
}

func feedback(id int64, execution, finished string) io.Reader {
	return strings.NewReader(fmt.Sprintf(`{"id":"%d","time":"20261129T070000","status":{"execution":%q,"result":{"finished":%q,"progress":{}},"details":["said so"]}}`, id, execution, finished))
}

// hawkBit's DDI, as its documentation has it.
func TestDDI(t *testing.T) {
	w := newSite(t, 1)
	me, id := target(w.devices[0]), w.devices[0].String()
	base := w.poll(me, id)
	if base.Config.Polling.Sleep != "00:05:00" || base.Links["configData"].Href != w.url+"/default/controller/v1/"+id+"/configData" || len(base.Links) != 1 {
		t.Errorf("got %+v", base)
	}
	w.do(me, 200, "PUT", "/default/controller/v1/"+id+"/configData", strings.NewReader(`{"mode":"merge","data":{"hw":"rev B"},"id":""}`))
	if base = w.poll(me, id); len(base.Links) != 0 {
		t.Errorf("got %+v", base)
	}
	image := bytes.Repeat([]byte("swu"), 500)
	w.release(7, "1.2.0", 100, nil, w.put(release.KindOther, image))
	base = w.poll(me, id)
	deployment := "/default/controller/v1/" + id + "/deploymentBase/7"
	if base.Links["deploymentBase"].Href != w.url+deployment {
		t.Fatalf("got %+v", base)
	}
	var d ddiDeployment
	if err := json.Unmarshal(w.do(me, 200, "GET", deployment, nil).body, &d); err != nil || d.ID != "7" || len(d.Deployment.Chunks) != 1 || len(d.Deployment.Chunks[0].Artifacts) != 1 {
		t.Fatalf("got %+v, %v", d, err)
	}
	a := d.Deployment.Chunks[0].Artifacts[0]
	sum := sha1.Sum(image)
	if a.Size != 1500 || a.Hashes["sha1"] != hex.EncodeToString(sum[:]) || d.Deployment.Chunks[0].Version != "1.2.0" {
		t.Errorf("got %+v", a)
	}
	if got := w.do(me, 200, "GET", strings.TrimPrefix(a.Links["download"].Href, w.url), nil); !bytes.Equal(got.body, image) {
		t.Errorf("got %d bytes", len(got.body))
	}
	w.do(me, 200, "GET", "/default/controller/v1/"+id+"/softwaremodules/7/artifacts", nil)
	for _, path := range []string{"/deploymentBase/8", "/deploymentBase/x", "/softwaremodules/8/artifacts", "/softwaremodules/7/artifacts/x", "/cancelAction/9"} {
		w.do(me, 404, "GET", "/default/controller/v1/"+id+path, nil)
	}
	for _, odd := range []string{`{}`, `{"status":{"execution":"finished","result":{"finished":"success"}}}`, `{"status":{"execution":"closed"}}`, `{"status":{"execution":"closed","result":{"finished":"maybe"}}}`} {
		w.do(me, 400, "POST", deployment+"/feedback", strings.NewReader(odd))
	}
	for _, never := range []string{"8", "6", "0", "x"} { // of which it was offered none
		for _, action := range []string{"/deploymentBase/", "/cancelAction/"} {
			w.do(me, 404, "POST", "/default/controller/v1/"+id+action+never+"/feedback", feedback(8, "closed", "success"))
		}
	}
	w.do(me, 404, "GET", "/default/controller/v1/"+id+"/cancelAction/7", nil)      // it may have it
	w.do(me, 200, "POST", deployment+"/feedback", feedback(7, "rejected", "none")) // not now: no end
	if base = w.poll(me, id); base.Links["deploymentBase"].Href == "" {
		t.Errorf("after it rejected: %+v", base)
	}
	w.do(me, 200, "POST", deployment+"/feedback", feedback(7, "proceeding", "none"))
	w.do(me, 200, "POST", deployment+"/feedback", feedback(7, "closed", "success"))
	if base = w.poll(me, id); len(base.Links) != 0 {
		t.Errorf("after success: %+v", base)
	}
	// Of one that fails it wants no more; what is stopped it is told to give up.
	w.release(8, "1.3.0", 100, nil, w.put(release.KindOther, image[1:]))
	if base = w.poll(me, id); base.Links["deploymentBase"].Href == "" {
		t.Fatalf("got %+v", base)
	}
	w.do(me, 200, "POST", "/default/controller/v1/"+id+"/deploymentBase/8/feedback", feedback(8, "closed", "failure"))
	w.do(me, 200, "POST", deployment+"/feedback", feedback(7, "closed", "success")) // once more is no fault
	if base = w.poll(me, id); len(base.Links) != 0 {
		t.Errorf("after a failure: %+v", base)
	}
	w.release(9, "1.4.0", 100, nil, w.put(release.KindOther, image[2:]))
	w.poll(me, id)
	w.hand(release.Rollout{Product: "lamp", Release: 9, Percent: 100, State: release.Stopped, Samples: 4, Failures: 50})
	if base = w.poll(me, id); base.Links["cancelAction"].Href != w.url+"/default/controller/v1/"+id+"/cancelAction/9" || len(base.Links) != 1 {
		t.Fatalf("got %+v", base)
	}
	if got := w.do(me, 200, "GET", "/default/controller/v1/"+id+"/cancelAction/9", nil); !strings.Contains(string(got.body), `"stopId":"9"`) {
		t.Errorf("got %s", got.body)
	}
	w.do(me, 200, "POST", "/default/controller/v1/"+id+"/cancelAction/9/feedback", feedback(9, "closed", "success"))
	if base = w.poll(me, id); len(base.Links) != 0 {
		t.Errorf("after it was cancelled: %+v", base)
	}
	// An end without a word of how is a success.
	w.release(10, "1.5.0", 100, nil, w.put(release.KindOther, image[3:]))
	w.poll(me, id)
	w.do(me, 200, "POST", "/default/controller/v1/"+id+"/deploymentBase/10/feedback", feedback(10, "closed", "none"))
	if base = w.poll(me, id); len(base.Links) != 0 {
		t.Errorf("after an end: %+v", base)
	}
	var ends []string
	_, fields := w.entries(record.UpdateResult)
	for _, f := range fields {
		ends = append(ends, fmt.Sprint(f.Release, " ", f.State))
	}
	if want := []string{"7 success", "8 failure", "9 cancelled", "10 success"}; !slices.Equal(ends, want) {
		t.Errorf("got %q, want %q", ends, want)
	}
}
