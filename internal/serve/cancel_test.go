package serve

import (
	"fmt"
	"strings"
	"testing"

	"station/internal/record"
	"station/internal/release"
)

// A device that is installing a release that it may not have any more is told to cancel
// it before it is offered another one.
func TestCancelComesFirst(t *testing.T) {
	for _, how := range []string{"withdrawn", "stopped"} {
		for _, next := range []int64{7, 9} {
			t.Run(fmt.Sprint(how, ", next ", next), func(t *testing.T) {
				w := newSite(t, 1)
				me, id := target(w.devices[0]), w.devices[0].String()
				home := "/default/controller/v1/" + id
				form := w.put(release.KindOther, []byte("swu"))
				eight := w.release(8, "1.2.0", 100, nil, form)
				if href := w.poll(me, id).Links["deploymentBase"].Href; !strings.HasSuffix(href, "/8") {
					t.Fatalf("got %q", href)
				}
				w.do(me, 200, "POST", home+"/deploymentBase/8/feedback", feedback(8, "proceeding", "none"))
				if how == "withdrawn" {
					w.withdraw(eight)
				} else {
					w.hand(release.Rollout{Product: "lamp", Release: 8, Percent: 100, State: release.Stopped, Samples: 4, Failures: 50})
				}
				w.release(next, "1.2.0", 100, nil, form)
				w.do(me, 404, "GET", fmt.Sprint(home, "/deploymentBase/", next), nil)
				w.do(me, 404, "GET", home+"/softwaremodules/8/artifacts", nil)
				for range 2 {
					if links := w.poll(me, id).Links; !strings.HasSuffix(links["cancelAction"].Href, "/cancelAction/8") || links["deploymentBase"].Href != "" {
						t.Fatalf("got %+v", links)
					}
				}
				w.do(me, 200, "GET", home+"/cancelAction/8", nil)
				w.do(me, 200, "POST", home+"/cancelAction/8/feedback", feedback(8, "rejected", "none")) // it goes on with it
				if links := w.poll(me, id).Links; !strings.HasSuffix(links["cancelAction"].Href, "/cancelAction/8") {
					t.Errorf("after it refused: %+v", links)
				}
				w.do(me, 200, "POST", home+"/cancelAction/8/feedback", feedback(8, "closed", "success"))
				if href := w.poll(me, id).Links["deploymentBase"].Href; !strings.HasSuffix(href, fmt.Sprint("/", next)) {
					t.Errorf("after it gave up it is offered %q", href)
				}
				if _, fields := w.entries(record.UpdateResult); len(fields) != 1 || fields[0].Release != 8 || fields[0].State != cancelled {
					t.Errorf("the ledger has %+v", fields)
				}
			})
		}
	}
}

// A device that is installing a release that it may still have is offered a newer one at
// once, without a cancel. While the rollout of its release is only paused it keeps that
// offer.
func TestNewerOfferNeedsNoCancel(t *testing.T) {
	w := newSite(t, 1)
	me, id := target(w.devices[0]), w.devices[0].String()
	form := w.put(release.KindOther, []byte("swu"))
	w.release(8, "1.2.0", 100, nil, form)
	w.poll(me, id)
	w.hand(release.Rollout{Product: "lamp", Release: 8, Percent: 100, State: release.Paused, Samples: 4, Failures: 50})
	w.release(7, "1.2.0", 100, nil, form)
	for _, want := range []int64{8, 9} {
		if links := w.poll(me, id).Links; !strings.HasSuffix(links["deploymentBase"].Href, fmt.Sprint("/", want)) || links["cancelAction"].Href != "" {
			t.Errorf("got %+v, want release %d", links, want)
		}
		w.release(9, "1.3.0", 100, nil, form)
	}
}
