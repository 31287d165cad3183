package serve

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"

	"station/internal/firmware"
	"station/internal/release"
)

// An old entry of the ledger names an app only by the digest of what the line padded. A
// release of that app tells its secure version once it has AppFilled, and the device is
// not offered what it was sealed with. A false AppFilled is refused.
func TestOddAppOfAnOldEntry(t *testing.T) {
	w := newSite(t, 0)
	app, err := os.ReadFile("../../fixtures/secureboot/app.v1.bin")
	if err != nil {
		t.Fatal(err)
	}
	image, err := firmware.ParseImage(app)
	if err != nil {
		t.Fatal(err)
	}
	filled := release.FilledDigest(app)
	list := visitOf(macOf(0), true)
	for n := range list {
		for m := range list[n].Images {
			list[n].Images[m].SecureVersion, list[n].Images[m].Version, list[n].Images[m].Plain = nil, "blue", filled
		}
	}
	w.enter(list...)
	form := w.put(release.KindApp, app)
	doc := &release.Release{Format: release.Format, ID: 8, Product: "lamp", Name: "lamp-fw", Version: image.App.Version, SecureVersion: image.App.SecureVersion, Chip: image.ChipID,
		App: form.SHA256, AppSize: form.Size, Forms: []release.Form{form}}
	offered := func(name, want string) {
		t.Helper()
		if href := w.poll(target(macOf(0)), macOf(0).String()).Links["deploymentBase"].Href; want == "" && href != "" || !strings.HasSuffix(href, want) {
			t.Errorf("%s: it is offered %q, want %q", name, href, want)
		}
	}
	put := func(status int, change func(*release.Release)) {
		t.Helper()
		change(doc)
		w.do(anna, status, "PUT", "/v1/releases/lamp/8", bytes.NewReader(doc.JSON()))
	}
	w.release(7, "red", 100, func(r *release.Release) { r.SecureVersion = image.App.SecureVersion }, w.put(release.KindOther, []byte("swu")))
	put(http.StatusNoContent, func(*release.Release) {})
	w.hand(release.Rollout{Product: "lamp", Release: 8, Percent: 100, State: release.Running, Samples: 4, Failures: 50})
	offered("an older program's release", "")
	put(http.StatusUnprocessableEntity, func(r *release.Release) { r.AppFilled = jobDigest })
	put(http.StatusNoContent, func(r *release.Release) { r.AppFilled = filled })
	offered("completed", "/deploymentBase/7")
}
