package bootlog

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const lampReady = "lamp: ready"

func caseOf(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../fixtures/cases/consoles", name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Consoles of real chips: what an application says is not taken for what its
// ROM or bootloader says, and the last start counts.
func TestConsolesOfChips(t *testing.T) {
	for name, want := range map[string]struct {
		ready   bool
		finding string
		version string
	}{
		"app-invalid-magic":       {true, "", "1.0"},
		"app-version-other":       {true, "", "1.0"},
		"app-waiting-download":    {true, "", "1.0"},
		"app-wrong-chip-id":       {true, "", "1.0"},
		"power-on-flash-read-err": {true, "", "1.0"},
		"wdt-format-ready":        {true, "", "1.0"},
		"psram":                   {false, "psram-missing", "1.0"},
		"solo":                    {false, "single-core", ""},
		"rev-app-5.1":             {false, "chip-revision", ""},
		"rev-boot-4.4":            {false, "chip-revision", ""},
	} {
		log := caseOf(t, name)
		line, found := Marker(log, lampReady)
		if found != want.ready || found && line != lampReady {
			t.Errorf("%s: marker %q, %t, want %t", name, line, found, want.ready)
		}
		r := Parse(log)
		if f, bad := r.Fault(); bad == want.ready || f.Code != want.finding {
			t.Errorf("%s: got %v, want %s", name, codes(r), want.finding)
		}
		if r.Version != want.version || r.DownloadMode {
			t.Errorf("%s: version %q, download mode %t", name, r.Version, r.DownloadMode)
		}
	}
}

const goodROM = "ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\nload:0x3fff0030,len:7176\r\n"
const goodBoot = goodROM + "entry 0x40080640\r\nI (31) boot: ESP-IDF v5.3 2nd stage bootloader\r\nI (99) boot: End of partition table\r\nI (240) boot: Loaded app from partition at offset 0x10000\r\n"
const goodApp = goodBoot + "I (254) cpu_start: Multicore app\r\nI (281) app_init: App version:      1.0\r\nI (300) main_task: Calling app_main()\r\n"

// Each text of the ROM and the bootloader, printed by an application, says
// nothing; in its own phase it keeps the start from being good.
func TestTextsCountInTheirPhase(t *testing.T) {
	for _, p := range patterns {
		for _, m := range p.match {
			text := strings.ReplaceAll(m, "|", " ")
			log := goodApp + "I (400) lamp: " + text + "\r\n" + text + "\r\n" + lampReady + "\r\n"
			if _, found := Marker([]byte(log), lampReady); !found {
				t.Errorf("%s: %q of an application hides its marker", p.code, text)
			}
			if (p.where == rom || p.where == boot) && Parse([]byte(log)).Found(p.code) {
				t.Errorf("%s: %q of an application counts", p.code, text)
			}
			before := goodROM + text + "\r\n" + strings.TrimPrefix(goodApp, goodROM)
			if p.where == boot {
				tag, words, tagged := strings.Cut(text, ": ")
				if !tagged {
					tag, words = "boot", text
				}
				before = goodBoot + "E (250) " + tag + ": " + words + "\r\n" + strings.TrimPrefix(goodApp, goodBoot)
			}
			if p.where != rom && p.where != boot || !p.fatal {
				continue
			}
			if !Parse([]byte(before)).Found(p.code) {
				t.Errorf("%s: %q does not count in its phase", p.code, text)
			}
			if _, found := Marker([]byte(before+lampReady), lampReady); found {
				t.Errorf("%s: %q in its phase, and the start is good", p.code, text)
			}
			// Another start that is good makes up for it.
			if _, found := Marker([]byte(before+goodApp+lampReady), lampReady); !found {
				t.Errorf("%s: a good start after it does not count", p.code)
			}
		}
	}
}

// What ROM and bootloader print is no marker, nor is what an earlier start said.
func TestMarkerIsTheApplicationsOfTheLastStart(t *testing.T) {
	for _, c := range []struct {
		log, marker string
		found       bool
	}{
		{goodBoot, "End of partition", false},
		{goodBoot, "load:0x", false},
		{goodBoot + "hello\r\n", "hello", true}, // an application without ESP-IDF's log
		{goodApp + "hello\r\n" + goodROM, "hello", false},
		{goodApp + "hello\r\n" + goodApp, "hello", false},
		{goodApp + "I (9) boot: hello\r\n", "hello", true},
		{goodApp + "\xff\xfe 设备就绪 \x07 1.0-β\r\n", "设备就绪  1.0-β", true},
		{goodApp + "x\u202e设\u009b备\r\n", "设备", true}, // directions and C1 are dropped
	} {
		if _, found := Marker([]byte(c.log), c.marker); found != c.found {
			t.Errorf("%.30q … %q, marker %q: got %t", c.log, c.log[max(0, len(c.log)-30):], c.marker, found)
		}
	}
	r := Parse([]byte(goodBoot + "I (281) app_init: App version:      1.0-β\r\n"))
	if r.Version != "1.0-β" {
		t.Errorf("got version %q", r.Version)
	}
}

// A good start takes away what the ROM of the start before it found.
func TestFaultsOfAnEarlierStartAreOver(t *testing.T) {
	const bad = goodROM + "flash read err, 1000\r\n"
	for _, c := range []struct {
		log    string
		fault  string
		failed bool
	}{
		{bad, "no-bootloader-header", true},
		{bad + goodROM, "no-bootloader-header", false}, // says why, until the next one says more
		{bad + goodApp, "", false},
		{bad + goodApp + "E (893) psram: PSRAM ID read error: 0xffffffff\r\n", "psram-missing", false},
	} {
		r := Parse([]byte(c.log))
		if f, _ := r.Fault(); f.Code != c.fault || r.Failed != c.failed {
			t.Errorf("%.200q: got %q, failed %t", c.log, f.Code, r.Failed)
		}
	}
}

// A fault that comes twice will come again; once it may be the supply that rose.
func TestDecided(t *testing.T) {
	bad := goodROM + "flash read err, 1000\r\n"
	worse := goodROM + "csum err:0x1!=0x2\r\n"
	for _, c := range []struct {
		log     string
		decided bool
	}{
		{bad, false}, {bad + bad, true}, {bad + "rst:0x3 (SW_RESET),boot:0x12 (SPI_FAST_FLASH_BOOT)\r\n" + bad, true}, {bad + worse, false}, {bad + goodApp, false}, {bad + goodApp + lampReady + bad, false},
		{goodROM + strings.Repeat("invalid header: 0xdeadbeef\r\n", 3), false},
		{goodROM + strings.Repeat("invalid header: 0xdeadbeef\r\n", 20), true},
		{goodApp + strings.Repeat("hello\r\n", 20), false},
	} {
		if got := Parse([]byte(c.log)).Decided; got != c.decided {
			t.Errorf("%.200q: got %t", c.log, got)
		}
	}
}

// Wordings of one fault from ESP-IDF 4.0 to 6.1.
func TestWordingsOfTheRevision(t *testing.T) {
	for _, text := range []string{
		"E (38) boot_comm: This chip is revision 1 but the application is configured for minimum revision 3. Can't run.",
		"E (38) boot_comm: Image requires chip rev >= v3.0, but chip is v1.0",
		"E (38) boot_comm: Image requires chip rev <= v2.99, but chip is v3.0",
		"E (38) boot: Image requires chip rev >= v3.0, but chip is v1.0",
		"E (38) boot_comm: Image requires efuse blk rev >= v1.0, but chip is v0.0",
		"E (38) boot_comm: chip revision check failed. Required >= v3.0, found v1.0.",
	} {
		if f, _ := Parse([]byte(goodBoot + text + "\r\n")).Fault(); f.Code != "chip-revision" {
			t.Errorf("%s: got %+v", text, f)
		}
	}
}

// A line that is cut hides no marker, wherever in it the marker stands.
func TestMarkerAcrossEveryBorder(t *testing.T) {
	marker := strings.Repeat("设备就绪 ", 19)[:MaxMarker-10]
	for before := maxLine - 2*MaxMarker; before < maxLine+MaxMarker; before++ {
		text := goodApp + strings.Repeat("x", before) + marker + strings.Repeat("y", 2*maxLine)
		if _, found := Marker([]byte(text), marker); !found {
			t.Fatalf("after %d bytes of a line it is not found", before)
		}
	}
}

// FuzzPieces: whatever a console holds and however it is cut, the pieces say
// what the whole says, and a marker across any border is found.
func FuzzPieces(f *testing.F) {
	for _, name := range []string{"psram", "power-on-flash-read-err", "wdt-format-ready"} {
		f.Add(caseOf(f, name), uint16(7), uint16(300))
	}
	f.Add(bytes.Repeat([]byte("é"), 3000), uint16(1023), uint16(2048))
	f.Add([]byte("\x1b[0;3\x1b[\xe8\xae\x1b\xbe\r\n"), uint16(1), uint16(5))
	f.Fuzz(func(t *testing.T, log []byte, a, b uint16) {
		const marker = "设备就绪 1.0-β"
		if strings.Contains(string(log), "rst:") || bytes.Contains(log, []byte("ets J")) {
			log = bytes.ReplaceAll(bytes.ReplaceAll(log, []byte("rst:"), nil), []byte("ets J"), nil)
		}
		at := min(int(a), len(log))
		text := slices.Concat([]byte(goodApp), log[:at], []byte{'\n'}, bytes.Repeat([]byte{'x'}, int(b)%3000), []byte(marker), log[at:])
		whole := NewWatch(marker)
		whole.Add(text)
		wantLine, found := whole.Marker()
		if !found {
			t.Fatal("the marker is not found")
		}
		for _, size := range []int{1, 1 + int(a)%61, 1 + int(b)%1100} {
			w := NewWatch(marker)
			for piece := range slices.Chunk(text, size) {
				w.Add(piece)
			}
			if line, found := w.Marker(); line != wantLine || !found || w.Report().Version != whole.Report().Version || !slices.Equal(codes(w.Report()), codes(whole.Report())) {
				t.Fatalf("in pieces of %d: got %q, %v, want %q, %v", size, line, codes(w.Report()), wantLine, codes(whole.Report()))
			}
		}
	})
}
