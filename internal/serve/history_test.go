package serve

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/record"
	"station/internal/release"
	"station/internal/store"
)

// with restarts the server on another store, as after the loss of a store or its
// restoration from a backup.
func (w *site) with(folder string) {
	w.t.Helper()
	if w.plain != nil {
		w.plain.CloseIdleConnections() // a server waits for them when it stops
		w.plain = nil
	}
	if err := w.stop(); err != nil {
		w.t.Fatal(err)
	}
	var err error
	if w.store, err = store.Open(folder); err != nil {
		w.t.Fatal(err)
	}
	w.start()
}

// Where the store was lost, the new rollout counts an offer that only the ledger has,
// once: at the device's next visit, or with its result.
func TestOffersOfTheLedgerAreCounted(t *testing.T) {
	w := newSite(t, 3)
	bring := func() { w.release(7, "1.2.0", 100, nil, w.put(release.KindApp, []byte("app"))) }
	counts := func(offered, succeeded int) {
		t.Helper()
		if r, _, err := release.LoadRollout(w.store, "lamp", 7); err != nil || r == nil || r.Offered != offered || r.Succeeded != succeeded {
			t.Errorf("the rollout is %+v, %v; want %d offered, %d succeeded", r, err, offered, succeeded)
		}
	}
	visit := func(n int) { w.do(device(w.devices[n]), 200, "GET", "/files/lamp/app.bin", nil) }
	takes := func(n int) {
		w.do(device(w.devices[n]), 200, "POST", "/files/lamp/result", strings.NewReader(`{"release":7,"result":"success"}`))
	}
	bring()
	visit(0)
	visit(1)
	counts(2, 0)
	w.with(filepath.Join(w.dir, "new"))
	bring()
	visit(0)
	visit(0)
	counts(1, 0)
	takes(1)
	takes(0)
	counts(2, 2)
	visit(2)
	counts(3, 2)
	if offers, _ := w.entries(record.UpdateOffered); len(offers) != 3 {
		t.Errorf("%d offers in the ledger", len(offers))
	}
}

// A server whose store is new, empty or older than the ledger offers no device an older
// release than it runs or one that failed on it. Offers that the ledger has are not
// entered again.
func TestStoreBelowTheLedger(t *testing.T) {
	for _, kind := range []string{"empty", "older", "of the first offer"} {
		t.Run(kind, func(t *testing.T) {
			w := newSite(t, 1)
			me := device(w.devices[0])
			bring := func(id int64, secure uint32) { // by the author, with its rollout
				w.release(id, "blue", 100, func(r *release.Release) { r.SecureVersion = secure }, w.put(release.KindApp, []byte("app")))
			}
			take := func(id int64, secure uint32, how string) {
				bring(id, secure)
				w.do(me, 200, "GET", "/files/lamp/app.bin", nil)
				w.do(me, 200, "POST", "/files/lamp/result", strings.NewReader(fmt.Sprintf(`{"release":%d,"result":%q}`, id, how)))
			}
			old := filepath.Join(w.dir, "old")
			keep := func(now string) {
				if kind == now {
					if err := os.CopyFS(old, os.DirFS(w.store.Dir())); err != nil {
						t.Fatal(err)
					}
				}
			}
			bring(6, 1)
			w.do(me, 200, "GET", "/files/lamp/app.bin", nil)
			keep("of the first offer")
			take(6, 1, success)
			keep("older")
			take(7, 2, success)
			take(8, 2, failure)
			w.with(old)
			for id, secure := range map[int64]uint32{5: 0, 6: 1, 7: 2, 8: 2} {
				bring(id, secure)
			}
			for range 2 {
				w.do(me, 404, "GET", "/files/lamp/app.bin", nil)
				if links := w.poll(target(w.devices[0]), w.devices[0].String()).Links; links["deploymentBase"].Href != "" || links["cancelAction"].Href != "" {
					t.Errorf("it is told %+v", links)
				}
			}
			for _, id := range []int64{6, 7, 8} { // said again: known, and nothing new
				w.do(target(w.devices[0]), 200, "POST", fmt.Sprintf("/default/controller/v1/%s/deploymentBase/%d/feedback", w.devices[0], id), feedback(id, "closed", "failure"))
			}
			bring(9, 1) // newer by its number alone
			w.do(me, 404, "GET", "/files/lamp/app.bin", nil)
			take(10, 2, success)
			var got []string
			for _, kind := range []record.Kind{record.UpdateOffered, record.UpdateResult} {
				_, fields := w.entries(kind)
				for _, f := range fields {
					got = append(got, fmt.Sprint(f.Release, f.State))
				}
			}
			if want := []string{"6", "7", "8", "10", "6success", "7success", "8failure", "10success"}; !slices.Equal(got, want) {
				t.Errorf("the ledger has %q, want %q", got, want)
			}
		})
	}
}

// With a new store the server still accepts the result of an update that the device was
// offered before, though the release is not in the store any more.
func TestOfferOutlivesTheStore(t *testing.T) {
	w := newSite(t, 1)
	me, id := target(w.devices[0]), w.devices[0].String()
	form := w.put(release.KindOther, []byte("swu"))
	w.release(8, "1.2.0", 100, func(r *release.Release) { r.SecureVersion = 3 }, form)
	w.poll(me, id)
	w.with(filepath.Join(w.dir, "new"))
	if links := w.poll(me, id).Links; !strings.HasSuffix(links["cancelAction"].Href, "/cancelAction/8") {
		t.Errorf("its release is gone, and it is told %+v", links)
	}
	w.do(me, 200, "POST", "/default/controller/v1/"+id+"/deploymentBase/8/feedback", feedback(8, "closed", "success"))
	for other, secure := range map[int64]uint32{7: 3, 9: 2} {
		w.release(other, "1.2.0", 100, func(r *release.Release) { r.SecureVersion = secure }, w.put(release.KindOther, []byte("swu")))
	}
	if links := w.poll(me, id).Links; links["deploymentBase"].Href != "" {
		t.Errorf("it runs 8, and is told %+v", links)
	}
	offers, _ := w.entries(record.UpdateOffered)
	_, results := w.entries(record.UpdateResult)
	if len(offers) != 1 || len(results) != 1 || results[0].SecureVersion != 3 || results[0].Version != "1.2.0" {
		t.Errorf("%d offers, results %+v", len(offers), results)
	}
}

// Merging the ledger's history into the store's keeps each list within its limit,
// without duplicates.
func TestMergeKeepsBounds(t *testing.T) {
	var told state
	for id := range int64(maxRemembered + 9) {
		told.Told, told.Cancelled = remember(told.Told, id), remember(told.Cancelled, id)
		told.addFailed(id)
	}
	st := state{Told: slices.Clone(told.Told), Tried: slices.Clone(told.Tried), Cancelled: slices.Clone(told.Cancelled), revision: 1}
	for range 2 {
		st.merge(told)
	}
	if !slices.Equal(st.Told, told.Told) || !slices.Equal(st.Tried, told.Tried) || !slices.Equal(st.Cancelled, told.Cancelled) || len(st.Told) != maxRemembered {
		t.Errorf("got %+v", st)
	}
}
