package hsm_test

import (
	"bytes"
	"testing"

	"station/internal/chip"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
)

func TestKDFInput(t *testing.T) {
	want := []byte("\x00\x00\x00\x01station flash encryption v1\x00esp32\x24\x0a\xc4\x01\x02\x03\x00\x00\x01\x00")
	if got := hsm.KDFInput(derived(32)); !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	want[len(want)-2], want[len(want)-1] = 0, 192
	if got := hsm.KDFInput(derived(24)); !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	seen := map[string]bool{}
	for _, m := range []chip.MAC{mac, {}, {0: 1}, {5: 1}} {
		for _, size := range []int{24, 32} {
			for _, purpose := range []chip.Purpose{chip.FlashEncryption, chip.SecureBootV1, chip.HMAC} {
				for _, family := range []string{"esp32", "esp32c3", "esp32s3"} {
					r := request(m, size)
					r.Purpose, r.Chip = purpose, family
					seen[string(hsm.KDFInput(r))] = true
				}
			}
		}
	}
	if len(seen) != 72 {
		t.Errorf("72 requests give %d inputs", len(seen))
	}
}

// The labels are for ever: keys of sealed devices come from them.
func TestLabelsByPurpose(t *testing.T) {
	for purpose, want := range map[chip.Purpose]string{
		chip.FlashEncryption: "station flash encryption v1", chip.SecureBootV1: "station secure boot v1", chip.HMAC: "station hmac v1",
		chip.DeviceID: "station device id v1", chip.DeviceToken: "station device token v1", chip.DevicePrivateKey: "station device private key v1",
		chip.NVSKeys: "station nvs keys v1",
	} {
		r := request(mac, 32)
		r.Purpose, r.Chip = purpose, "esp32c3"
		if got, want := string(hsm.KDFInput(r)), "\x00\x00\x00\x01"+want+"\x00esp32c3\x24\x0a\xc4\x01\x02\x03\x00\x00\x01\x00"; got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestCheckValueIsHMAC(t *testing.T) {
	for _, n := range []int{1, 16, 24, 32, 63, 64} {
		key := bytes.Repeat([]byte{byte(n), 0xff}, 32)[:n]
		if got, err := hsm.CheckValue(newSecret(t, key)); err != nil || got != kcv(key) {
			t.Errorf("%d bytes: got %s, %v, want %s", n, got, err, kcv(key))
		}
	}
	for _, n := range []int{0, 65} {
		if got, err := hsm.CheckValue(newSecret(t, make([]byte, n))); err == nil {
			t.Errorf("%d bytes: got %s, want an error", n, got)
		}
	}
}

func TestParseKeyID(t *testing.T) {
	for _, id := range []hsm.KeyID{
		{hsm.Derived, "station-master", "1f2e3d4c5b6a7988"},
		{hsm.Shared, "fleet: summer 2024", "0000000000000000"},
		{hsm.Random, "ключ", "ffffffffffffffff"},
	} {
		if got, err := hsm.ParseKeyID(id.String()); err != nil || got != id {
			t.Errorf("got %+v, %v, want %+v", got, err, id)
		}
	}
	for _, bad := range []string{
		"", "derived", "derived:x", "derived:x:", "derived::1f2e3d4c5b6a7988", "other:x:1f2e3d4c5b6a7988",
		"derived:x:1F2E3D4C5B6A7988", "derived:x:1f2e3d4c5b6a798", "derived:x:1f2e3d4c5b6a79888",
		"derived: x:1f2e3d4c5b6a7988", "derived:a\nb:1f2e3d4c5b6a7988", "derived:\xff:1f2e3d4c5b6a7988",
	} {
		if got, err := hsm.ParseKeyID(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, got)
		}
	}
}

// NVS keys take two blocks, and are other keys than those of flash that are as long.
func TestNVSKeys(t *testing.T) {
	cfg := hsmtest.Known(t, hsmtest.Token(t), "station-master", hsmtest.Master)
	token := hsmtest.Open(t, cfg)
	r := derived(64)
	r.Purpose = chip.NVSKeys
	second := hsm.KDFInput(r)
	second[3] = 2
	want := append(hmacSHA256(hsmtest.Master, hsm.KDFInput(r)), hmacSHA256(hsmtest.Master, second)...)
	if k := deviceKey(t, token, r); !bytes.Equal(k.Secret.Reveal(), want) {
		t.Errorf("got %x, want %x", k.Secret.Reveal(), want)
	}
	r.Purpose = chip.FlashEncryption
	if k := deviceKey(t, token, r); bytes.Equal(k.Secret.Reveal(), want) || bytes.Equal(k.Secret.Reveal()[:32], want[:32]) {
		t.Error("the key of the flash is the one for NVS")
	}
}
