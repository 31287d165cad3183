package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
)

// The ceremony of docs/tokens.md: a master that was brought into the tokens of
// two stations is adopted at each. Both tell the same check value and make the
// same key for the same device; before, neither uses it. One that can leave the
// token is adopted by nobody.
func TestTwoStationsWithOneMaster(t *testing.T) {
	var checks []string
	var keys [][]byte
	for range 2 {
		w := newWorkplace(t)
		w.destroy("station-master")
		w.run(0, "key", "note", "station-master", "--operator", "eve") // that of the workplace is gone
		w.bringIn("open", pkcs11.CKA_EXTRACTABLE, true)
		if _, said := w.run(3, "key", "adopt", "open", "--role", "master", "--operator", "eve"); !strings.Contains(said, "EXTRACTABLE is true: it can leave the token") {
			t.Errorf("got %s", said)
		}
		w.destroy("open")
		w.bringIn("station-master", pkcs11.CKA_DERIVE, false)
		w.product("small")
		job := filepath.Join("small", "job.toml")
		if out, _ := w.run(3, "hsm", "status", "--job", job); !strings.Contains(out, "station key adopt station-master") {
			t.Errorf("not adopted yet: %s", out)
		}
		out, _ := w.run(0, "key", "adopt", "station-master", "--operator", "eve")
		_, after, _ := strings.Cut(out, "check value   ")
		check, _, _ := strings.Cut(after, "\n")
		checks = append(checks, check)
		w.run(0, "hsm", "status", "--job", job)
		keys = append(keys, w.sealOne(job, "24:0a:c4:01:02:03").key)
	}
	if checks[0] != checks[1] || checks[0] != hsmtest.Check(hsmtest.Master) {
		t.Errorf("check values %q, want twice %s", checks, hsmtest.Check(hsmtest.Master))
	}
	if !bytes.Equal(keys[0], keys[1]) {
		t.Error("the stations make different keys for one device")
	}
}

// bringIn puts the known master into the workplace's token as a program of
// others would, with one attribute as given.
func (w *workplace) bringIn(label string, attr uint, value bool) {
	w.t.Helper()
	list := append(hsmtest.MasterTemplate(label), pkcs11.NewAttribute(pkcs11.CKA_VALUE, hsmtest.Master))
	for i, a := range list {
		switch a.Type {
		case attr:
			list[i] = pkcs11.NewAttribute(attr, value)
		case pkcs11.CKA_ID:
			list[i] = pkcs11.NewAttribute(pkcs11.CKA_ID, []byte{1})
		}
	}
	cfg := hsm.Config{URI: hsm.URI{Token: "line-1", ModulePath: "/usr/lib/softhsm/libsofthsm2.so", PINSource: "file:" + filepath.Join(w.hsm, "pin")}}
	hsmtest.Create(w.t, cfg, list...)
}
