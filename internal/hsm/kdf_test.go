package hsm_test

import (
	"bytes"
	"testing"

	"station/internal/chip"
	"station/internal/hsm"
)

func TestKDFInput(t *testing.T) {
	want := []byte("\x00\x00\x00\x01station flash encryption v1\x00esp32\x24\x0a\xc4\x01\x02\x03\x00\x00\x01\x00")
	if got := hsm.KDFInput(mac, 32); !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	want[len(want)-2], want[len(want)-1] = 0, 192
	if got := hsm.KDFInput(mac, 24); !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	seen := map[string]bool{}
	for _, m := range []chip.MAC{mac, {}, {0: 1}, {5: 1}} {
		for _, size := range []int{24, 32} {
			seen[string(hsm.KDFInput(m, size))] = true
		}
	}
	if len(seen) != 8 {
		t.Errorf("8 requests give %d inputs", len(seen))
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
