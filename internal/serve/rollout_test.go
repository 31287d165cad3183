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

// A rollout reaches its share, goes on where it is widened, keeps what it
// offered while it is paused, and stops by itself when too many fail.
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

// Who asks many times at once was offered it once; results are counted once.
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
