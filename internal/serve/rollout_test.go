package serve

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"station/internal/record"
	"station/internal/release"
)

// A rollout reaches its share of devices and more when that grows, keeps its offers
// while it is paused, and stops by itself when too many updates fail.
func TestRollout(t *testing.T) {
	w := newSite(t, 24)
	form := w.put(release.KindApp, []byte("app"))
	roll := release.Rollout{Product: "lamp", Release: 7, Percent: 25, State: release.Running, Samples: 4, Failures: 50}
	w.release(7, "1.2.0", 25, nil, form)
	offered := func() (n int) {
		for _, mac := range w.devices {
			if w.poll(target(mac), mac.String()).Links["deploymentBase"].Href != "" {
				n++
			}
		}
		return n
	}
	want := 0
	for _, mac := range w.devices {
		if roll.Reaches(mac) {
			want++
		}
	}
	if got := offered(); got != want || got < 2 || got > 12 {
		t.Fatalf("%d devices were offered it, want %d", got, want)
	}
	current := func() *release.Rollout {
		r, _, err := release.LoadRollout(w.store, "lamp", 7)
		if err != nil || r == nil {
			t.Fatal(err)
		}
		return r
	}
	if r := current(); r.Offered != want {
		t.Errorf("%d are counted, want %d", r.Offered, want)
	}
	r := current()
	r.State, r.Percent = release.Paused, 100
	w.hand(*r)
	if got := offered(); got != want {
		t.Errorf("while it is paused %d have it, want %d", got, want)
	}
	r = current()
	r.State = release.Running
	w.hand(*r)
	if got := offered(); got != len(w.devices) {
		t.Errorf("%d have it, want all", got)
	}
	for i, end := range []string{"success", "failure", "success", "failure", "failure", "failure"} { // 3 of 5 are more than half
		mac := w.devices[i]
		w.do(target(mac), 200, "POST", "/default/controller/v1/"+mac.String()+"/deploymentBase/7/feedback", feedback(7, "closed", end))
	}
	r = current()
	if r.State != release.Stopped || r.Reason != "3 of 5 devices failed, more than 50 %" || r.Offered != len(w.devices) || r.Succeeded != 2 || r.Failed != 4 {
		t.Errorf("got %+v", r)
	}
	if got := offered(); got != 0 {
		t.Errorf("after it stopped %d have it", got)
	}
	entries, fields := w.entries(record.RolloutChanged)
	if len(entries) != 1 || entries[0].Message != r.Reason || fields[0].State != string(release.Stopped) {
		t.Errorf("got %+v %+v", entries, fields)
	}
	offers, _ := w.entries(record.UpdateOffered)
	if len(offers) != len(w.devices) {
		t.Errorf("%d offers in the ledger, want %d", len(offers), len(w.devices))
	}
}

// A device that asks many times at once is offered a release once, and its result is
// counted once.
func TestTogether(t *testing.T) {
	w := newSite(t, 3)
	w.release(7, "1.2.0", 100, nil, w.put(release.KindApp, []byte("app")))
	together := func(path string, body string) {
		var wg sync.WaitGroup
		for i := range 24 {
			mac := w.devices[i%3]
			wg.Go(func() {
				method, ask := "GET", strings.NewReader(body)
				if body != "" {
					method = "POST"
				}
				w.do(device(mac), http.StatusOK, method, path, ask)
			})
		}
		wg.Wait()
	}
	together("/files/lamp/app.bin", "")
	together("/files/lamp/result", `{"release":7,"result":"success"}`)
	offers, _ := w.entries(record.UpdateOffered)
	results, _ := w.entries(record.UpdateResult)
	r, _, err := release.LoadRollout(w.store, "lamp", 7)
	if err != nil || len(offers) != 3 || len(results) != 3 || r.Offered != 3 || r.Succeeded != 3 {
		t.Errorf("%d offers, %d results, %+v, %v", len(offers), len(results), r, err)
	}
}

// What does not fit is never offered, by whatever door; the newest that fits is.
func TestNeverOffered(t *testing.T) {
	w := newSite(t, 1)
	form := w.put(release.KindApp, []byte("app"))
	w.release(1, "1.1.0", 100, nil, form)
	for i, change := range []func(*release.Release){
		func(r *release.Release) { r.Jobs = []string{"sha256:" + strings.Repeat("5", 64)} },
		func(r *release.Release) { r.Version = "0.9.0" },
		func(r *release.Release) { r.Withdrawn = "it burns" },
	} {
		w.release(int64(i+2), "2.0.0", 100, change, form)
	}
	w.sealedWith(9, form)
	me, id := target(w.devices[0]), w.devices[0].String()
	if href := w.poll(me, id).Links["deploymentBase"].Href; !strings.HasSuffix(href, "/deploymentBase/1") {
		t.Errorf("got %q, want release 1", href)
	}
	_, fields := w.entries(record.UpdateOffered)
	if len(fields) != 1 || fields[0].Release != 1 {
		t.Errorf("offered: %s", fmt.Sprint(fields))
	}
}

// A device that repeats its reports makes one entry of the ledger, and its state does
// not grow.
func TestRepeatedWords(t *testing.T) {
	w := newSite(t, 1)
	form := w.put(release.KindOther, []byte("swu"))
	w.release(7, "1.2.0", 100, nil, form)
	me, id := target(w.devices[0]), w.devices[0].String()
	home := "/default/controller/v1/" + id
	for range 5 {
		if w.poll(me, id).Links["deploymentBase"].Href == "" {
			t.Fatal("it is not offered")
		}
		for _, execution := range []string{"proceeding", "download", "resumed", "scheduled"} {
			w.do(me, 200, "POST", home+"/deploymentBase/7/feedback", feedback(7, execution, "none"))
		}
		w.do(me, 200, "POST", home+"/deploymentBase/7/feedback", feedback(7, "canceled", "none"))
		w.do(me, 200, "POST", home+"/cancelAction/7/feedback", feedback(7, "closed", "success"))
		w.do(me, 200, "PUT", home+"/configData", strings.NewReader(`{"mode":"merge","data":{"hw":"rev B"}}`))
	}
	w.do(me, 200, "POST", home+"/deploymentBase/7/feedback", feedback(7, "closed", "failure")) // no offer stands
	w.poll(me, id)
	for range 3 {
		w.do(me, 200, "POST", home+"/deploymentBase/7/feedback", feedback(7, "closed", "failure"))
		w.do(device(w.devices[0]), 200, "POST", "/files/lamp/result", strings.NewReader(`{"release":7,"result":"failure"}`))
		w.poll(me, id)
	}
	_, fields := w.entries(record.UpdateResult)
	var ends []string
	for _, f := range fields {
		ends = append(ends, f.State)
	}
	offers, _ := w.entries(record.UpdateOffered)
	if want := "cancelled failure"; strings.Join(ends, " ") != want || len(offers) != 1 {
		t.Errorf("%d offers, %q; want 1, %q", len(offers), ends, want)
	}
	// More releases than are remembered, each of which it fails: none comes twice.
	const more = maxRemembered + 8
	for i := range int64(more) {
		w.release(100+i, "1.3.0", 100, nil, form)
	}
	for range 2 * more {
		var last int64
		href := w.poll(me, id).Links["deploymentBase"].Href
		if _, err := fmt.Sscanf(href[strings.LastIndex(href, "/")+1:], "%d", &last); err != nil {
			break
		}
		w.do(me, 200, "POST", fmt.Sprint(home, "/deploymentBase/", last, "/feedback"), feedback(last, "closed", "failure"))
	}
	if _, fields := w.entries(record.UpdateResult); len(fields) != 2+maxRemembered {
		t.Errorf("%d results", len(fields))
	}
	var st state
	if err := w.server.load(w.devices[0], &st); err != nil || len(st.Tried) != maxRemembered || len(st.Told) > maxRemembered || len(st.Attributes) != 1 {
		t.Errorf("kept: %+v, %v", st, err)
	}
	if w.release(200, "1.4.0", 100, nil, form); w.poll(me, id).Links["deploymentBase"].Href == "" {
		t.Error("a newer release is not offered any more")
	}
}

// A device that was never updated also has a secure version, that of its sealed app: a
// release with a lower one is not offered. If the ledger does not have it, nothing is
// offered until a release tells it: one of the same app, or one checked against the same
// job.
func TestNeverBelowWhatTheLineWrote(t *testing.T) {
	w := newSite(t, 0)
	const one, unsure = 1, 2
	secure := uint32(1)
	app := "sha256:" + strings.Repeat("b", 64)
	for i, version := range map[int]*uint32{one: &secure, unsure: nil} {
		list := visitOf(macOf(i), true)
		for n := range list {
			for m := range list[n].Images {
				list[n].Images[m].SecureVersion, list[n].Images[m].Version, list[n].Images[m].Plain = version, "blue", app
			}
		}
		w.enter(list...)
	}
	form := w.put(release.KindOther, []byte("swu"))
	offered := func(name string, want map[int]int64) {
		t.Helper()
		for i, id := range want {
			mac := macOf(i)
			href := w.poll(target(mac), mac.String()).Links["deploymentBase"].Href
			if want := fmt.Sprint("/deploymentBase/", id); strings.HasSuffix(href, want) != (id != 0) || id == 0 && href != "" {
				t.Errorf("%s: device %d is offered %q, want %d", name, i, href, id)
			}
		}
	}
	w.release(7, "red", 100, nil, form)
	offered("below", map[int]int64{one: 0, unsure: 0})
	w.release(8, "red", 100, func(r *release.Release) { r.SecureVersion = 1 }, form)
	offered("as high", map[int]int64{one: 8, unsure: 0})
	w.release(9, "red", 100, func(r *release.Release) { r.Jobs, r.SecureVersion = nil, 5 }, form)
	offered("for all jobs", map[int]int64{one: 9, unsure: 0})
	// The app that the line wrote is a release too, which nobody is offered.
	same := &release.Release{Format: release.Format, ID: 3, Product: "lamp", Name: "lamp-fw", Version: "blue", App: app, SecureVersion: 1, Forms: []release.Form{form}}
	if _, err := w.store.Set(release.Key("lamp", 3), same.JSON(), 0); err != nil {
		t.Fatal(err)
	}
	offered("the same app is known", map[int]int64{one: 9, unsure: 9})
	_, fields := w.entries(record.UpdateOffered)
	for _, f := range fields {
		if f.SecureVersion < 1 {
			t.Errorf("offered below: %+v", f)
		}
	}
}

// A release that was checked against its jobs tells the secure version of their apps.
func TestJobsTellSecureVersions(t *testing.T) {
	w := newSite(t, 0)
	list := visitOf(macOf(0), true)
	for n := range list {
		for m := range list[n].Images {
			list[n].Images[m].SecureVersion, list[n].Images[m].Version = nil, "blue"
		}
	}
	w.enter(list...)
	form := w.put(release.KindOther, []byte("swu"))
	me, id := target(macOf(0)), macOf(0).String()
	w.release(7, "red", 100, func(r *release.Release) { r.SecureVersion = 2 }, form)
	if href := w.poll(me, id).Links["deploymentBase"].Href; href != "" {
		t.Errorf("got %q", href)
	}
	two, three := uint32(2), uint32(3)
	low := &release.Release{Format: release.Format, ID: 8, Product: "lamp", Name: "lamp-fw", SecureVersion: 2, Jobs: []string{jobDigest}, JobsSecureVersion: &three, Forms: []release.Form{form}}
	w.do(anna, http.StatusUnprocessableEntity, "PUT", "/v1/releases/lamp/8", strings.NewReader(string(low.JSON())))
	w.release(7, "red", 100, func(r *release.Release) { r.SecureVersion, r.JobsSecureVersion = 2, &two }, form) // the same once more, completed
	if href := w.poll(me, id).Links["deploymentBase"].Href; !strings.HasSuffix(href, "/deploymentBase/7") {
		t.Errorf("got %q", href)
	}
}
