package firmware

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/chip"
)

func TestPatch(t *testing.T) {
	b := small(t)
	for _, v := range []struct {
		mode, freq string
		size       uint32
		head       []byte // bytes 2 and 3
	}{
		{"", "", 0, []byte{0x02, 0x20}},
		{"keep", "keep", 0, []byte{0x02, 0x20}},
		{"qio", "80m", 16 << 20, []byte{0x00, 0x4f}},
		{"dout", "keep", 0, []byte{0x03, 0x20}},
		{"qout", "", 0, []byte{0x01, 0x20}},
		{"", "26m", 0, []byte{0x02, 0x21}},
		{"", "20m", 1 << 20, []byte{0x02, 0x02}},
		{"", "", 128 << 20, []byte{0x02, 0x70}},
	} {
		before := bytes.Clone(b)
		got, err := Patch(b, v.mode, v.freq, v.size)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got[2:4], v.head) || !bytes.Equal(b, before) {
			t.Errorf("%+v: got header %x", v, got[2:4])
		}
		if _, err := ParseImage(got); err != nil {
			t.Errorf("%+v: %v", v, err)
		}
	}
	got, err := Patch(b, "qio", "80m", 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	if i, _ := ParseImage(got); i.SHA256 != "372768d32b453a1cb73e0572746caf6dc89c47fc692a05b24eee29ae8e19fdf5" {
		t.Errorf("got sha256 %s", i.SHA256)
	}
}

// TestPatchKeepsTheRest: no hash is made where there is none, and what
// follows the image stays.
func TestPatchKeepsTheRest(t *testing.T) {
	header := small(t)[:headerSize]
	header[23] = 0
	b := build(header, segment(0x3fff0018, count(4)))
	b = append(b[:len(b)-hashSize], "signature"...)
	got, err := Patch(b, "qio", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	b[2] = 0
	if !bytes.Equal(got, b) {
		t.Errorf("got %x, want %x", got, b)
	}
}

// A frequency is written with the code that the chip has for it (FLASH_FREQUENCY of esptool 5.3.1):
// the C6's ROM takes 80m under the code of 40m, the C2 has other ones than the ESP32 under all of them.
func TestPatchOfEachChip(t *testing.T) {
	usual, newer := map[string]byte{"80m": 15, "40m": 0, "26m": 1, "20m": 2}, map[string]byte{"80m": 15, "40m": 0, "20m": 2}
	for name, codes := range map[string]map[string]byte{
		"esp32": usual, "esp32s2": usual, "esp32s3": usual, "esp32c3": usual, "esp32p4": usual, "esp32c5": newer, "esp32c61": newer,
		"esp32c6": {"80m": 0, "40m": 0, "20m": 2},
		"esp32c2": {"60m": 15, "30m": 0, "20m": 1, "15m": 2},
		"esp32h2": {"48m": 15, "24m": 0, "16m": 1, "12m": 2},
	} {
		f := chip.ByName(name)
		b, err := os.ReadFile(filepath.Join("../../fixtures/chips", name, "bootloader.bin"))
		if name == "esp32" {
			b, err = small(t), nil
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, speed := range chip.SpeedNames(chip.Families...) {
			got, err := Patch(b, "", speed, 0)
			code, has := codes[speed]
			if has != (err == nil) || has && got[3]&0xf != code {
				t.Errorf("%s, %s: got %x, %v, want code %d (%v)", f.Title, speed, got[:min(4, len(got))], err, code, has)
			}
		}
	}
}

func TestPatchErrors(t *testing.T) {
	b := small(t)
	damaged := bytes.Clone(b)
	damaged[50] ^= 1
	for _, v := range []struct {
		image      []byte
		mode, freq string
		size       uint32
		want       string
	}{
		{b, "dual", "", 0, `flash mode "dual" is not known; use qio, qout, dio, dout or keep`},
		{b, "fast", "", 0, `flash mode "fast" is not known`},
		{b, "", "60m", 0, `flash frequency "60m": the ESP32 has 80m, 40m, 26m, 20m; use one of them or keep`},
		{b, "", "", 3 << 20, "not 1 MB times a power of two"},
		{b, "", "", 1 << 19, "not 1 MB times a power of two"},
		{damaged, "dio", "", 0, "patch flash settings: the checksum"},
	} {
		if got, err := Patch(v.image, v.mode, v.freq, v.size); got != nil || err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("got %v, want %q", err, v.want)
		}
	}
}

func TestParseFlashSize(t *testing.T) {
	for s, want := range map[string]uint32{"1MB": 1 << 20, "4MB": 4 << 20, "16mb": 16 << 20, "128MB": 128 << 20, "3MB": 0, "": 0, "detect": 0, "256MB": 0} {
		got, err := ParseFlashSize(s)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: got %d, %v", s, got, err)
		}
	}
}
