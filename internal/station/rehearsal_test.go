package station

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/job"
	"station/internal/racetest"
	"station/internal/sim"
)

// ownFirmware makes another project of the example's application: its name,
// and the texts that a job may wait for, with checksum and hash put right.
func ownFirmware(t *testing.T, file string, minRevision uint16) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"station-example": "my-lamp\x00\x00\x00\x00\x00\x00\x00\x00"} {
		b = bytes.ReplaceAll(b, []byte(from), []byte(to))
	}
	binary.LittleEndian.PutUint16(b[15:], minRevision)
	at, sum := 24, byte(0xef)
	for range b[1] {
		size := int(binary.LittleEndian.Uint32(b[at+4:]))
		for _, v := range b[at+8 : at+8+size] {
			sum ^= v
		}
		at += 8 + size
	}
	end := at | 15
	b[end] = sum
	if b[23] == 1 {
		hash := sha256.Sum256(b[:end+1])
		copy(b[end+1:], hash[:])
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// README, steps 2 and 3, with a firmware that is not the bundled one: any
// correct job passes, whatever flash, revision, crystal and serial numbers it wants.
func TestRehearsalOfOnesOwnProduct(t *testing.T) {
	var cases racetest.Sample
	for _, c := range []struct {
		name  string
		edits []string
		min   uint16
		xtal  string
		model sim.Options
	}{
		{"own marker", nil, 0, "", sim.Options{Revision: 3, FlashSize: 4 << 20}},
		{"large flash", []string{`size = "4MB"`, `size = "16MB"`}, 0, "", sim.Options{Revision: 3, FlashSize: 16 << 20}},
		{"revision 3.1", nil, 301, "", sim.Options{Revision: 3, Minor: 1, FlashSize: 4 << 20}},
		{"26 MHz", nil, 0, "26", sim.Options{Revision: 3, FlashSize: 4 << 20, Crystal: 26}},
		{"serials", []string{"[boot]", "[serial]\npattern = \"SN-[0-9]{4}[A-C]\"\n[boot]"}, 0, "", sim.Options{Revision: 3, FlashSize: 4 << 20}},
	} {
		if cases.Out(2) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			edits := append([]string{`marker = "station-example: ready"`, `marker = "my-lamp: all well"`}, c.edits...)
			path := flowtest.EditJob(t, edits...)
			dir := filepath.Dir(path)
			for _, app := range []string{"build/station-example.bin", "build/ota_0.bin"} {
				ownFirmware(t, filepath.Join(dir, app), c.min)
			}
			if c.xtal != "" {
				if err := os.WriteFile(filepath.Join(dir, "sdkconfig"), []byte("CONFIG_XTAL_FREQ_26=y\nCONFIG_XTAL_FREQ="+c.xtal+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			job, err := job.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			c.model.Ready = job.Boot.Marker
			model := ChipFor(job)
			if model.Revision != c.model.Revision || model.Minor != c.model.Minor || model.FlashSize != c.model.FlashSize ||
				model.Crystal != c.model.Crystal || model.Ready != c.model.Ready {
				t.Errorf("got %+v, want %+v", model, c.model)
			}
			r, err := OpenRehearsal(t.Context(), job, t.TempDir(), filepath.Join(t.TempDir(), "ledger.db"), "test")
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			line, err := r.Line(job, &Virtual{Slots: 2, Count: 3, Model: model})
			if err != nil {
				t.Fatal(err)
			}
			r.MakeUpSerials(line)
			var said strings.Builder
			line.Emit = func(e flow.Event) { said.WriteString(string(e.Code) + e.Detail + e.Console) }
			if counts := line.Run(t.Context()); counts.Passed != 3 {
				t.Errorf("got %+v: %s", counts, said.String())
			}
			if !strings.Contains(said.String(), "does not run here") {
				t.Errorf("the console does not say who speaks: %s", said.String())
			}
		})
	}
}

// On a screen somebody scans in a rehearsal too.
func TestScannedSerialInARehearsal(t *testing.T) {
	job, err := job.Load(flowtest.EditJob(t, "[boot]", "[serial]\npattern = \"SN[0-9]{4}\"\n\n[boot]"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenRehearsal(t.Context(), job, t.TempDir(), filepath.Join(t.TempDir(), "ledger.db"), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	line, err := r.Line(job, &Virtual{Slots: 1, Count: 1, Model: ChipFor(job)})
	if err == nil {
		err = line.Serials.Scan("", "SN0007")
	}
	if err != nil {
		t.Fatal(err)
	}
	if counts := line.Run(t.Context()); counts.Passed != 1 {
		t.Errorf("got %+v", counts)
	}
	if mac, bound, err := r.Ledger.SerialOwner("SN0007"); !bound || err != nil || !mac.Local() {
		t.Errorf("the serial number belongs to %v (%t, %v)", mac, bound, err)
	}
}

// As many virtual chips are made as were asked for, also where there are more slots.
func TestAsManyVirtualChipsAsAskedFor(t *testing.T) {
	for _, c := range []struct{ slots, count, want int }{{4, 0, 4}, {0, 0, 1}, {4, 1, 1}, {4, 4, 4}, {1, 3, 3}} {
		v, made := &Virtual{Slots: c.slots, Count: c.count}, 0
		for ok := true; ok && made < 10; made++ {
			if _, ok = v.take(); !ok {
				break
			}
		}
		if made != c.want {
			t.Errorf("%d slots, %d asked for: %d chips, want %d", c.slots, c.count, made, c.want)
		}
	}
}

func TestMadeUpSerials(t *testing.T) {
	for _, pattern := range []string{"SN[0-9]{8}", "[A-Z]{2}-\\d+", "(LAMP|BULB)[0-9a-f]{4}", "x.*y.{3}", "A?B[12]{9,}", "\\w{10}", "[^a-z]{5}", "(?i)sn[0-9]{3}"} {
		re := regexp.MustCompile("^(?:" + pattern + ")$")
		seen := map[string]bool{}
		for n := range 200 {
			s, err := madeUp(re, n)
			if err != nil || seen[s] {
				t.Fatalf("%s: number %d: %q again, %v", pattern, n, s, err)
			}
			seen[s] = true
		}
	}
	if _, err := madeUp(regexp.MustCompile("^(?:SN[0-9])$"), 10); err == nil {
		t.Error("ten numbers are not enough for eleven")
	}
}
