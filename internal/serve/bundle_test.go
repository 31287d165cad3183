package serve

import (
	"bytes"
	"encoding/hex"
	"net/http"
	"os"
	"strings"
	"testing"

	"station/internal/firmware"
	"station/internal/release"
	"station/internal/release/releasetest"
)

// What a release says of its app must agree with the app, or, if it has only a bundle,
// with the bundle's header.
func TestReleaseIsHeldAgainstItsFiles(t *testing.T) {
	w := newSite(t, 0)
	app, err := os.ReadFile("../../fixtures/small/app.bin")
	if err != nil {
		t.Fatal(err)
	}
	image, err := firmware.ParseImage(app)
	if err != nil {
		t.Fatal(err)
	}
	whole := w.put(release.KindApp, app)
	bundle := w.put(release.KindBundle, releasetest.Bundle(t, app))
	bundle.Check = "0102030405060708"
	for name, form := range map[string]release.Form{"app": whole, "bundle": bundle} {
		honest := release.Release{Format: release.Format, ID: 7, Product: "lamp", Name: "lamp-fw", Version: image.App.Version, SecureVersion: image.App.SecureVersion,
			Chip: image.ChipID, App: whole.SHA256, AppSize: whole.Size, Forms: []release.Form{form}}
		put := func(status int, r release.Release) said {
			return w.do(anna, status, "PUT", "/v1/releases/"+r.Product+"/7", bytes.NewReader(r.JSON()))
		}
		for what, lie := range map[string]func(*release.Release){
			"version":        func(r *release.Release) { r.Version += "9" },
			"secure version": func(r *release.Release) { r.SecureVersion++ },
			"chip":           func(r *release.Release) { r.Chip = 9 },
			"size":           func(r *release.Release) { r.AppSize++ },
			"app":            func(r *release.Release) { r.App = jobDigest },
		} {
			r := honest
			lie(&r)
			if got := put(http.StatusUnprocessableEntity, r); !strings.Contains(string(got.body), "says something else than the release") {
				t.Errorf("%s, another %s: got %s", name, what, got.body)
			}
		}
		if name == "bundle" {
			r := honest
			r.Product = "kettle"
			put(http.StatusUnprocessableEntity, r)
			r = honest
			r.Forms = []release.Form{form}
			r.Forms[0].Check = hex.EncodeToString(make([]byte, 8))
			put(http.StatusUnprocessableEntity, r)
			continue
		}
		put(http.StatusNoContent, honest)
	}
	honest := release.Release{Format: release.Format, ID: 8, Product: "lamp", Name: "lamp-fw", Version: image.App.Version, SecureVersion: image.App.SecureVersion,
		Chip: image.ChipID, App: whole.SHA256, AppSize: whole.Size, Forms: []release.Form{bundle}}
	w.do(anna, http.StatusNoContent, "PUT", "/v1/releases/lamp/8", bytes.NewReader(honest.JSON()))
}
