package firmware

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/filefault"
)

const fixtures = "../../fixtures"

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(fixtures, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wantFaults holds an error against what each of its faults must say, in any
// order and with nothing besides.
func wantFaults(t *testing.T, err error, want ...string) {
	t.Helper()
	list := filefault.All(err)
	for _, w := range want {
		n := slices.IndexFunc(list, func(f *filefault.Fault) bool { return strings.Contains(f.Error(), w) })
		if n < 0 {
			t.Errorf("no fault says %q in:\n%v", w, err)
			continue
		}
		list = slices.Delete(list, n, n+1)
	}
	for _, f := range list {
		t.Errorf("unexpected fault: %v", f)
	}
}

func count(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// build makes an image from a header of 24 bytes and segments.
func build(header []byte, segments ...[]byte) []byte {
	b := bytes.Clone(header)
	b[1] = byte(len(segments))
	sum := byte(0xef)
	for _, s := range segments {
		b = append(b, s[:4]...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s)-4))
		b = append(b, s[4:]...)
		for _, x := range s[4:] {
			sum ^= x
		}
	}
	b = append(b, make([]byte, 15-len(b)%16)...)
	return seal(append(b, sum))
}

// seal appends the SHA-256.
func seal(b []byte) []byte {
	hash := sha256.Sum256(b)
	return append(b, hash[:]...)
}

// segment is a load address and data, as build takes it.
func segment(load uint32, data []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, load), data...)
}

// small is an image whose hashes are known: two segments, SHA-256.
func small(t testing.TB) []byte {
	t.Helper()
	header, err := hex.DecodeString("e902022000000840ee0000000000000000ffff0000000001")
	if err != nil {
		t.Fatal(err)
	}
	return build(header, segment(0x3fff0018, count(4)), segment(0x40078000, count(64)))
}

func TestSmallImage(t *testing.T) {
	b := small(t)
	if got := fmt.Sprintf("%x", sha256.Sum256(b)); len(b) != 144 || got != "c0c9aefdd33d0e4ac738587837cbb96db7e9695b843094a949fc684103798506" {
		t.Fatalf("got %d bytes of sha256 %s", len(b), got)
	}
	i, err := ParseImage(b)
	if err != nil {
		t.Fatal(err)
	}
	if i.Mode != "dio" || i.Freq != "40m" || i.FlashSize != 4<<20 || i.Entry != 0x40080000 || i.ChipID != ChipESP32 ||
		i.MinRevision != 0 || i.MaxRevision != 0 || i.Checksum != 0xef || i.Length != 144 ||
		i.SHA256 != "1e84859bde6dc101d354551deab37802115569d11ebd7573c92675356e7afa6d" {
		t.Errorf("got %+v", i)
	}
	want := []Segment{{0x3fff0018, 32, 4}, {0x40078000, 44, 64}}
	if !slices.Equal(i.Segments, want) {
		t.Errorf("got segments %v, want %v", i.Segments, want)
	}
}

func TestImageFaults(t *testing.T) {
	patched := func(at int, v ...byte) []byte {
		b := small(t)
		copy(b[at:], v)
		body := b[:len(b)-hashSize]
		return seal(bytes.Clone(body))
	}
	raw := func(at int, v byte) []byte {
		b := small(t)
		b[at] = v
		return b
	}
	header := small(t)[:headerSize]
	for _, v := range []struct {
		name  string
		image []byte
		want  []string
	}{
		{"empty", nil, []string{"0 bytes are no ESP image"}},
		{"magic", raw(0, 0xff), []string{"it begins with 0xff, want 0xe9"}},
		{"damaged data", raw(50, 0xaa), []string{"the checksum is 0xef, computed 0x43", "the SHA-256 is 1e84859b…"}},
		{"damaged hash", raw(143, 0), []string{"the SHA-256 is 1e84859b…"}},
		{"mode", patched(2, 9), []string{"unknown SPI mode 9"}},
		{"frequency and size", patched(3, 0x85), []string{"unknown flash frequency 0x5", "unknown flash size 0x8"}},
		{"hash flag", patched(23, 7), []string{"the header says 7 where it says whether a SHA-256 follows"}},
		{"no segments", patched(1, 0), []string{"0 segments, want 1 to 16"}},
		{"many segments", patched(1, 17), []string{"17 segments, want 1 to 16"}},
		{"odd segment", build(header, segment(0x3fff0018, count(6))), []string{"segment 0 has 6 bytes, want a multiple of 4"}},
		{"long segment", patched(28, 0xff, 0xff), []string{"cut short: segment 0 has 65535 bytes, the file only 112 more"}},
		{"huge segment", patched(28, 0xfc, 0xff, 0xff, 0xff), []string{"cut short: segment 0 has 4294967292 bytes"}},
		{"unmapped", build(header, segment(0x3f400020, count(16)), segment(0x400d0020, count(4))),
			[]string{"segment 1 at offset 0x38 cannot be mapped to 0x400d0020"}},
		{"no room for a segment", small(t)[:38], []string{"segment 1 of 2 begins beyond the end"}},
		{"no checksum", small(t)[:108], []string{"the checksum is missing"}},
		{"no hash", small(t)[:140], []string{"the SHA-256 is missing"}},
	} {
		t.Run(v.name, func(t *testing.T) {
			_, err := ParseImage(v.image)
			wantFaults(t, err, v.want...)
		})
	}
}

func TestImageRevisions(t *testing.T) {
	header := small(t)[:headerSize]
	header[14] = 1                                  // the old field: v1.x
	binary.LittleEndian.PutUint16(header[15:], 0)   // the new one: not set
	binary.LittleEndian.PutUint16(header[17:], 301) // up to v3.1
	image, err := ParseImage(build(header, segment(0x3fff0018, count(4))))
	if err != nil || image.MinRevision != 100 || image.MaxRevision != 301 {
		t.Fatalf("got %+v, %v", image, err)
	}
	r := Region{Name: "factory", MinRevision: image.MinRevision, MaxRevision: image.MaxRevision}
	for rev, want := range map[chip.Revision]string{
		0:   "factory: built for chips from revision v1.0, this one is v0.0",
		100: "", 301: "",
		302: "factory: built for chips up to revision v3.1, this one is v3.2",
	} {
		if err := r.CheckRevision(rev); fmt.Sprint(err) != want && (err != nil || want != "") {
			t.Errorf("%v: got %v, want %q", rev, err, want)
		}
	}
}

func TestDescriptors(t *testing.T) {
	app, err := ParseImage(fixture(t, "example/build/ota_0.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if app.App == nil || app.Bootloader != nil || app.App.Project != "station-example" || app.App.Version != "1.1.0" ||
		app.App.IDF != "v5.4" || app.App.Date != "Nov 20 2026" || app.App.Time != "12:00:00" || len(app.App.ELFSHA256) != 64 {
		t.Errorf("got %+v", app.App)
	}
	boot, err := ParseImage(fixture(t, "example/build/bootloader/bootloader.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if b := boot.Bootloader; boot.App != nil || b == nil || b.Version != 1 || b.IDF != "v5.4" || b.Time != "Nov 20 2026 12:00:00" {
		t.Errorf("got %+v", b)
	}
	if got := text([]byte("a\x1b[31m\xffb\x00c")); got != "a?[31m?b" {
		t.Errorf("text for a terminal: got %q", got)
	}
}

func FuzzImage(f *testing.F) {
	f.Add(small(f))
	f.Add(fixture(f, "example/build/bootloader/bootloader.bin")[:300])
	f.Fuzz(func(t *testing.T, b []byte) {
		image, err := ParseImage(b)
		if err != nil {
			return
		}
		if image.Length > len(b) || len(image.Segments) == 0 {
			t.Fatalf("an image of %d bytes in a file of %d, %d segments", image.Length, len(b), len(image.Segments))
		}
		patched, err := Patch(b, "qio", "80m", 16<<20)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseImage(patched)
		if err != nil || again.Mode != "qio" || again.Freq != "80m" || again.FlashSize != 16<<20 || len(patched) != len(b) {
			t.Fatalf("patched: got %+v, %v", again, err)
		}
	})
}
