package station

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"station/internal/record"
	"station/internal/release"
	"station/internal/release/releasetest"
	"station/internal/store"
)

// A release whose document was lost comes back from the files that the ledger names, unless its bundle
// is of another app than the release.
func TestRestoredBundleIsHeldAgainstTheRelease(t *testing.T) {
	app, err := os.ReadFile("../../fixtures/small/app.bin")
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]struct {
		change func(header []byte)
		want   string
	}{
		"the same":               {func([]byte) {}, ""},
		"another app":            {func(h []byte) { h[24]++ }, "something else than the release: app"},
		"another secure version": {func(h []byte) { h[128+4]++ }, "something else than the release: secure version"},
	} {
		t.Run(name, func(t *testing.T) {
			kept, err := store.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			r := &Releases{Ledger: emptyField(t), Store: kept, Operator: "anna"}
			bundle := releasetest.Bundle(t, app)
			v.change(bundle)
			f := record.Field{Product: "lamp", Release: 7, Input: digestOf(app), App: digestOf(app)}
			for _, part := range []struct {
				kind release.Kind
				data []byte
			}{{release.KindApp, app}, {release.KindBundle, bundle}} {
				form, err := r.put(part.kind, bytes.NewReader(part.data))
				if err != nil {
					t.Fatal(err)
				}
				f.Forms = append(f.Forms, record.FieldForm{Kind: string(form.Kind), Size: form.Size, SHA256: form.SHA256})
			}
			if err := r.append(record.ReleaseMade, f, ""); err != nil {
				t.Fatal(err)
			}
			doc, err := r.Make(t.Context(), NewRelease{App: app, Product: "lamp"})
			if v.want == "" && (err != nil || len(doc.Forms) != 2 || doc.Forms[1].Check != "0102030405060708") {
				t.Errorf("got %+v, %v", doc, err)
			}
			if v.want != "" && (err == nil || !strings.Contains(err.Error(), v.want)) {
				t.Errorf("got %v, want %s", err, v.want)
			}
		})
	}
}
