package report

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"slices"
	"strings"
	"testing"

	"rsc.io/qr"

	"station/internal/record"
)

func labelOf(t *testing.T, x *line, n int) Label {
	t.Helper()
	b, err := LabelOf(x.l, mac(n))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOnlySealedDevicesGetALabel(t *testing.T) {
	x := recorded(t, false)
	for n, want := range map[int]string{2: "", 7: "", 3: "SCRAP E-FUSE-WRONG", 4: "QUARANTINE E-BOOT-SELFKEY", 6: "BEGUN", 8: "RETRY E-BOOT-MARKER", 99: "does not know"} {
		b, err := LabelOf(x.l, mac(n))
		if (err == nil) != (want == "") || err != nil && (!errors.Is(err, ErrNotSealed) || !strings.Contains(err.Error(), want)) {
			t.Errorf("device %d: got %+v, %v, want %q", n, b, err, want)
		}
	}
}

// Each print is an entry, and a second one has to be asked for.
func TestPrintsAreEntries(t *testing.T) {
	x := recorded(t, false)
	if err := labelOf(t, x, 1).Record(x.l, "anna", "zpl to /dev/usb/lp0", false); err != nil {
		t.Fatal(err)
	}
	b := labelOf(t, x, 1)
	if err := b.Record(x.l, "bob", "png", false); !errors.Is(err, ErrPrinted) || !strings.Contains(err.Error(), "by anna") {
		t.Errorf("the second print: got %v", err)
	}
	if err := b.Record(x.l, "bob", "png", true); err != nil {
		t.Fatal(err)
	}
	list, err := x.l.History(mac(1))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		if e.Kind == record.LabelPrinted {
			got = append(got, e.Decision+" "+e.Operator+" "+e.Message)
		}
	}
	if want := "print anna zpl to /dev/usb/lp0, reprint bob png"; strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if d, _, _ := x.l.Device(mac(1)); !d.Sealed || d.Batch != "b1" || d.Runs != 1 {
		t.Errorf("a print has changed the device: %+v", d)
	}
}

func TestWhatALabelSays(t *testing.T) {
	x := recorded(t, false)
	b := labelOf(t, x, 1)
	if got, want := b.code(), "MAC=240A9E3779B1;KEY="+keyID(1); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	b.Serial = "AV-000001"
	if got, want := b.code(), "MAC=240A9E3779B1;SN=AV-000001;KEY="+keyID(1); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := strings.Join(b.lines(), "|"), "24:0A:9E:37:79:B1|SN AV-000001|lamp|derived:station-master|0000000000000001"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	b.ID = "00112233445566778899aabbccddeeff"
	if got, want := b.code(), "MAC=240A9E3779B1;SN=AV-000001;ID="+b.ID+";KEY="+keyID(1); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !slices.Contains(b.lines(), "ID "+b.ID) {
		t.Errorf("no ID in %q", b.lines())
	}
	simulated := labelOf(t, recorded(t, true), 1)
	for name, write := range LabelFormats {
		var out bytes.Buffer
		if err := write(simulated, &out); err != nil {
			t.Fatal(err)
		}
		if name != "png" && !strings.Contains(out.String(), "SIMULATION") {
			t.Errorf("%s does not say SIMULATION", name)
		}
	}
	if !strings.HasPrefix(simulated.code(), "SIMULATION;") {
		t.Errorf("the code is %q", simulated.code())
	}
}

// A serial number cannot bring commands of its own to the printer.
func TestZPL(t *testing.T) {
	b := Label{MAC: mac(1), Serial: "A^XZ~JA_5E\\\n", KeyID: keyID(1), Job: "lamp"}
	var out strings.Builder
	if err := b.ZPL(&out); err != nil {
		t.Fatal(err)
	}
	z := out.String()
	if !strings.HasPrefix(z, "^XA\n") || !strings.HasSuffix(z, "\n^XZ\n") || strings.Count(z, "^XZ") != 1 || strings.Contains(z, "~") {
		t.Errorf("got %s", z)
	}
	if n := strings.Count(z, "SN A_5EXZ_7EJA_5F5E_5C_0A^FS"); n != 1 {
		t.Errorf("the serial number is not there, escaped: %s", z)
	}
	if strings.Count(z, "^FD") != strings.Count(z, "^FS") || strings.Count(z, "^FD") != 6 {
		t.Errorf("fields: %s", z)
	}
}

// The picture holds the very modules of the code, and text that fits.
func TestPNG(t *testing.T) {
	for _, b := range []Label{
		{MAC: mac(1), KeyID: keyID(1), Job: "lamp"},
		{MAC: mac(1), Serial: strings.Repeat("S", 60), ID: strings.Repeat("0", 32), KeyID: "derived:" + strings.Repeat("m", 64) + ":0123456789abcdef", Job: strings.Repeat("long name ", 10), Simulated: true},
	} {
		var out bytes.Buffer
		if err := b.PNG(&out); err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(&out)
		if err != nil {
			t.Fatal(err)
		}
		if img.Bounds() != image.Rect(0, 0, 591, 295) {
			t.Errorf("its size is %v", img.Bounds())
		}
		code, err := qr.Encode(b.code(), qr.M)
		if err != nil {
			t.Fatal(err)
		}
		scale := 295 / (code.Size + 2*quiet)
		edge := (295 - scale*(code.Size+2*quiet)) / 2
		dark := func(x, y int) bool { r, _, _, _ := img.At(x, y).RGBA(); return r < 0x8000 }
		for y := -quiet; y < code.Size+quiet; y++ {
			for x := -quiet; x < code.Size+quiet; x++ {
				if dark(edge+(x+quiet)*scale+scale/2, edge+(y+quiet)*scale+scale/2) != code.Black(x, y) {
					t.Fatalf("module %d, %d is wrong", x, y)
				}
			}
		}
		for y := range 295 {
			for x := 591 - 8; x < 591; x++ {
				if dark(x, y) {
					t.Fatalf("a text runs into the edge at %d, %d", x, y)
				}
			}
		}
	}
}

// On a dark terminal the light modules are blocks.
func TestTerminal(t *testing.T) {
	b := Label{MAC: mac(1), Serial: "A\x1b[2J", KeyID: keyID(1), Job: "lamp"}
	var out strings.Builder
	if err := b.Terminal(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("a serial number brings an escape sequence to the terminal")
	}
	code, err := qr.Encode(b.code(), qr.L)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for y := range code.Size {
		for x := range code.Size {
			block := []rune(lines[(y+2)/2])[x+2]
			light := block == '█' || block == '▀' && y%2 == 0 || block == '▄' && y%2 == 1
			if light == code.Black(x, y) {
				t.Fatalf("module %d, %d is wrong", x, y)
			}
		}
	}
}
