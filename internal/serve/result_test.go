package serve

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"station/internal/record"
	"station/internal/release"
)

// A device reports the success of a release that was withdrawn or replaced while it was
// installing. That is recorded, and the device is offered nothing older.
func TestResultOfAnEarlierOffer(t *testing.T) {
	for _, door := range []string{"hawkBit", "files"} {
		t.Run(door, func(t *testing.T) {
			w := newSite(t, 1)
			me, id := target(w.devices[0]), w.devices[0].String()
			form := w.put(release.KindApp, []byte("app"))
			w.release(7, "1.2.0", 0, func(r *release.Release) { r.SecureVersion = 2 }, form)
			eight := w.release(8, "1.2.0", 100, func(r *release.Release) { r.SecureVersion = 3 }, form)
			w.do(device(w.devices[0]), 200, "GET", "/files/lamp/app.bin", nil)
			w.hand(release.Rollout{Product: "lamp", Release: 7, Percent: 100, State: release.Running, Samples: 4, Failures: 50})
			w.withdraw(eight)
			get := func(status int) { w.do(device(w.devices[0]), status, "GET", "/files/lamp/app.bin", nil) }
			get(200) // it is offered 7 by now, below what it is about to run
			say := func(release int64, how string) {
				if door == "files" {
					w.do(device(w.devices[0]), 200, "POST", "/files/lamp/result", strings.NewReader(fmt.Sprintf(`{"release":%d,"result":%q}`, release, how)))
					return
				}
				status := map[bool]int{true: 200, false: 404}[release > 6]
				w.do(me, status, "POST", fmt.Sprintf("/default/controller/v1/%s/deploymentBase/%d/feedback", id, release), feedback(release, "closed", how))
			}
			for range 2 {
				say(6, "success") // which it was never offered
				say(8, "success")
				say(8, "failure") // it is known better
			}
			get(404)
			if href := w.poll(me, id).Links["deploymentBase"].Href; href != "" {
				t.Errorf("it runs 8 and is offered %s", href)
			}
			say(7, "failure") // which is told late
			say(7, "success") // and what it runs counts, though it is not what it runs now
			var st state
			if err := w.server.load(w.devices[0], &st); err != nil || st.Release != 8 || st.SecureVersion != 3 || st.Offered != 0 {
				t.Errorf("kept: %+v, %v", st, err)
			}
			_, fields := w.entries(record.UpdateResult)
			var ends []string
			for _, f := range fields {
				ends = append(ends, fmt.Sprint(f.Release, " ", f.State))
			}
			if want := []string{"8 success", "7 failure", "7 success"}; !slices.Equal(ends, want) {
				t.Errorf("got %q, want %q", ends, want)
			}
			for id, want := range map[int64][2]int{8: {1, 0}, 7: {0, 1}} {
				roll, _, err := release.LoadRollout(w.store, "lamp", id)
				if err != nil || [2]int{roll.Succeeded, roll.Failed} != want {
					t.Errorf("rollout %d: %+v, %v", id, roll, err)
				}
			}
		})
	}
}

// withdraw withdraws a release by its author's door.
func (w *site) withdraw(r *release.Release) {
	w.t.Helper()
	r.Withdrawn = "it burns"
	w.do(anna, http.StatusNoContent, "PUT", fmt.Sprintf("/v1/releases/lamp/%d", r.ID), strings.NewReader(string(r.JSON())))
}
