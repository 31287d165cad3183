package hsm_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"station/internal/esp32"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/secret"
)

var mac = esp32.MAC{0x24, 0x0a, 0xc4, 0x01, 0x02, 0x03}

func TestQuick(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.Master, hsm.KEK, hsm.SharedKey, hsm.Signer)
	cfg = hsmtest.Known(t, cfg, "known", hsmtest.Master)
	tok := hsmtest.Open(t, cfg)
	for _, p := range []hsm.Policy{hsm.Derived, hsm.Shared, hsm.Random} {
		k, err := tok.DeviceKey(t.Context(), hsm.Request{MAC: mac, Size: 32, Policy: p, Label: p.Role().Label()})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", k)
	}
	k, err := tok.DeviceKey(t.Context(), hsm.Request{MAC: mac, Size: 24, Policy: hsm.Derived, Label: "known"})
	if err != nil {
		t.Fatal(err)
	}
	h := hmac.New(sha256.New, hsmtest.Master)
	h.Write(hsm.KDFInput(mac, 24))
	if want := h.Sum(nil)[:24]; !bytes.Equal(want, k.Secret.Reveal()) {
		t.Error(hex.EncodeToString(want))
	}
	key, _ := secret.New(bytes.Repeat([]byte{7}, 24))
	imp, err := tok.Import(t.Context(), "fleet", key)
	t.Logf("%+v %v", imp, err)
	s, err := tok.Status(t.Context(), hsm.Want{hsm.Master, "nope"})
	t.Logf("%+v %v", s, err)
	t.Log(s.Problems())
	sg, err := tok.Signer(t.Context(), "station-signer")
	if err != nil {
		t.Fatal(err)
	}
	d := sha256.Sum256([]byte("x"))
	_, err = sg.Sign(nil, d[:], nil)
	if err != nil {
		t.Error(err)
	}
	back := hsmtest.Away(t, cfg)
	t.Log(tok.Check(t.Context()))
	t.Log(tok.Check(t.Context()))
	back()
	t.Log(tok.Check(t.Context()))
}
