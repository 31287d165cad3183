//go:build tokens

package tokens

import (
	"os"
	"testing"

	"station/internal/hsm"
)

func TestProbe(t *testing.T) {
	u, err := hsm.ParseURI(os.Getenv("TOKEN_URI"))
	if err != nil {
		t.Fatal(err)
	}
	token, err := hsm.Open(hsm.Config{URI: u})
	if err != nil {
		t.Fatal(err)
	}
	defer token.Close()
	all, err := token.Abilities(t.Context())
	t.Log(err)
	for _, a := range all {
		t.Logf("%-20s %v %s %s", a.For, a.Can, a.How, a.Why)
	}
	for _, r := range []hsm.Role{hsm.Master, hsm.KEK, hsm.Signer} {
		k, err := token.Init(t.Context(), r, r.Label())
		t.Logf("%s: %+v %v", r, k, err)
	}
	k, err := token.InitPRF(t.Context(), hsm.Master, "cmac", hsm.CMAC)
	t.Logf("cmac: %+v %v", k, err)
	k, err = token.NewShared(t.Context(), "shared", 32)
	t.Logf("shared: %+v %v", k, err)
	all, err = token.Abilities(t.Context())
	t.Log(err)
	for _, a := range all {
		t.Logf("%-20s %v %s %s", a.For, a.Can, a.How, a.Why)
	}
}
