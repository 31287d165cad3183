package bootlog

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../fixtures/boot", name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func codes(r Report) (all []string) {
	for _, f := range r.Findings {
		all = append(all, f.Code)
	}
	return all
}

// The consoles were recorded from the mask ROM of 2019 in an emulator.
func TestConsolesOfTheROM(t *testing.T) {
	const noHeader = "no-bootloader-header"
	appMissing := []string{"app-missing", "no-bootable-app"}
	for _, c := range []struct {
		name  string
		codes []string
		fault string
		loop  bool
		far   string // entry, second stage, table, loaded, app started
	}{
		{"enc_ok", []string{"app-crash"}, "", false, "ESTLA"},
		{"plain_ok", []string{"app-crash"}, "", false, "ESTLA"},
		{"plain_cnt3", []string{"app-crash"}, "", false, "ESTLA"},
		{"plain_crypt1", []string{noHeader}, noHeader, false, ""},
		{"wrongkey", []string{noHeader}, noHeader, false, ""},
		{"enc_cnt0", []string{noHeader}, noHeader, false, ""},
		{"enc_cnt3", []string{noHeader}, noHeader, false, ""},
		{"keyrev", []string{noHeader}, noHeader, false, ""},
		{"keyzero", []string{noHeader}, noHeader, false, ""},
		{"enc_at0", []string{noHeader}, noHeader, false, ""},
		{"blank_nocrypt", []string{noHeader}, noHeader, false, ""},
		{"blank_crypt", []string{noHeader}, noHeader, false, ""},
		{"pt_wrong", []string{"table-unreadable"}, "table-unreadable", true, "ES"},
		{"nopt", []string{"table-unreadable"}, "table-unreadable", true, "ES"},
		{"app_plain", appMissing, "app-missing", true, "EST"},
		{"noapp", appMissing, "app-missing", true, "EST"},
		{"plain_bitflip", []string{"bootloader-checksum", "basic-interpreter"}, "bootloader-checksum", false, ""},
		{"plain_truncboot", []string{"bootloader-truncated"}, "bootloader-truncated", false, ""},
	} {
		r := Parse(fixture(t, c.name))
		if !slices.Equal(codes(r), c.codes) {
			t.Errorf("%s: got %v, want %v", c.name, codes(r), c.codes)
		}
		if f, _ := r.Fault(); f.Code != c.fault {
			t.Errorf("%s: fault %q, want %q", c.name, f.Code, c.fault)
		}
		if r.Loop != c.loop {
			t.Errorf("%s: loop %v, want %v", c.name, r.Loop, c.loop)
		}
		if got := far(r); got != c.far {
			t.Errorf("%s: came as far as %q, want %q", c.name, got, c.far)
		}
		if r.ROM != 2019 || len(r.Resets) == 0 || r.Resets[0] != (Reset{1, "POWERON_RESET", 0x12, "SPI_FAST_FLASH_BOOT"}) {
			t.Errorf("%s: ROM %d, resets %v", c.name, r.ROM, r.Resets)
		}
		if r.Loaded && r.App != 0x10000 {
			t.Errorf("%s: application at %#x, want 0x10000", c.name, r.App)
		}
	}
}

func far(r Report) string {
	var s string
	for i, b := range []bool{r.Entry, r.SecondStage, r.Table, r.Loaded, r.AppStarted} {
		if b {
			s += "ESTLA"[i : i+1]
		}
	}
	return s
}

// One line of each kind, as the ROMs and ESP-IDF print them.
func TestEveryTextHasItsFinding(t *testing.T) {
	for line, want := range map[string]string{
		"waiting for download": "download-mode",
		"I (60) flash_encrypt: flash encryption is enabled (3 plaintext flashes left)": "encryption-on",
		"W (400) flash_encrypt: Flash encryption mode is DEVELOPMENT (not secure)":     "encryption-development",
		"I (400) flash_encrypt: Flash encryption mode is RELEASE":                      "encryption-release",
		"flash read err, 1000":                  "no-bootloader-header",
		"ets_main.c 371 ":                       "no-bootloader-header",
		"invalid header: 0x3a526555":            "no-bootloader-header",
		"csum err:0xaa!=0xbb":                   "bootloader-checksum",
		"load:0x40078000,len:-1":                "bootloader-truncated",
		"Secure boot check fail":                "secure-boot-v1",
		"secure boot check fail":                "secure-boot-v1",
		"Invalid magic 0x12":                    "secure-boot-v2",
		"Too many blocks: 0x5":                  "secure-boot-v2",
		"Sig block 0 invalid: CRC":              "secure-boot-v2",
		"Sig block 1 signed with untrusted key": "secure-boot-v2",
		"signature verification failed":         "secure-boot-v2",
		"No signature block magic byte found at signature sector (found 0)":                                           "secure-boot-v2",
		"secure boot verification failed":                                                                             "secure-boot-v2",
		"secure boot verification succeeded":                                                                          "secure-boot-accepted",
		"I (382) secure_boot_v2: secure boot v2 is already enabled, continuing..":                                     "secure-boot-v2-on",
		"I (382) secure_boot_v2: secure boot v2 is already enabled. Continuing..":                                     "secure-boot-v2-on",
		"I (712) secure_boot_v1: bootloader secure boot is already enabled. No need to generate digest. continuing..": "secure-boot-v1-on",
		"I (722) secure_boot: bootloader secure boot is already enabled, continuing..":                                "secure-boot-v1-on",
		"E (300) secure_boot_v2: No signature block generated for valid scheme":                                       "app-signature",
		"Download mode is disabled. Restart with GPIO0 high.":                                                         "download-disabled",
		"Falling back to built-in command interpreter.":                                                               "basic-interpreter",
		"E (90) flash_parts: partition 0 invalid magic number 0x2512":                                                 "table-unreadable",
		"E (90) boot: Failed to verify partition table":                                                               "table-unreadable",
		"E (90) boot: load partition table error!":                                                                    "table-unreadable",
		"E (90) flash_parts: Incorrect MD5 checksum for the partition table":                                          "table-damaged",
		"E (90) flash_parts: partition table has no terminating entry, not valid":                                     "table-damaged",
		"E (90) flash_parts: partition 3 invalid - offset 0x10000 size 0x600000 exceeds flash chip size 0x400000":     "table-damaged",
		"E (90) esp_image: image at 0x10000 has invalid magic byte (nothing flashed here?)":                           "app-missing",
		"E (90) boot: Factory app partition is not bootable":                                                          "app-missing",
		"E (90) boot: OTA app partition slot 0 is not bootable":                                                       "app-missing",
		"E (90) esp_image: Checksum failed. Calculated 0x1 read 0x2":                                                  "app-corrupt",
		"E (90) esp_image: Image hash failed - image is corrupt":                                                      "app-corrupt",
		"E (90) secure_boot: image corrupted on flash":                                                                "app-corrupt",
		"E (90) esp_image: Image length 4 doesn't fit in partition length 2":                                          "app-length",
		"E (90) esp_image: invalid segment length 0xffffffff":                                                         "app-length",
		"E (90) boot: No bootable app partitions in the partition table":                                              "no-bootable-app",
		"E (90) secure_boot_v2: Secure Boot V2 verification failed.":                                                  "app-signature",
		"E (90) esp_image: Secure boot signature verification failed":                                                 "app-signature",
		"E (90) secure_boot_v1: image has invalid signature version field 0xffffffff":                                 "app-unsigned",
		"W (90) boot: ota data partition invalid, falling back to factory":                                            "otadata-invalid",
		"E (90) boot_comm: mismatch chip ID, expected 0, found 2":                                                     "wrong-chip",
		"wrong chip id 0x0002": "wrong-chip",
		"E (90) boot_comm: chip revision check failed. Required >= v3.0, found v1.0.":                                                  "chip-revision",
		"E (90) flash_encrypt: flash encryption is not enabled, and SECURE_FLASH_REQUIRE_ALREADY_ENABLED is set, refusing to boot.":    "encryption-not-enabled",
		"E (90) boot: Secure Boot and Flash Encryption cannot be enabled separately, only together (their keys go into one eFuse key)": "wrong-build",
		"I (90) flash_encrypt: Setting CRYPT_CNT for permanent encryption":                                                             "self-encrypting",
		"I (90) flash_encrypt: Generating new flash encryption key...":                                                                 "self-encrypting",
		"I (90) flash_encrypt: Encrypting partition 1 at offset 0x10000 (length 0x100000)...":                                          "self-encrypting",
		"I (90) boot: Resetting with flash encryption enabled...":                                                                      "self-encrypted",
		"E (90) flash_encrypt: Invalid key state, please read flash encryption documentation":                                          "key-state",
		"Brownout detector was triggered":                                                                                              "brownout",
		"E (5233) task_wdt: Task watchdog got triggered. The following":                                                                "app-watchdog",
		"Guru Meditation Error: Core  0 panic'ed (Interrupt wdt timeout on CPU0)":                                                      "app-watchdog",
		"Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled.":                                           "app-crash",
		"E (90) spi_flash: Detected size(2048k) smaller than the size in the binary image header(4096k). Probe failed.":                "flash-smaller",
	} {
		coloured := "\x1b[0;31m" + line + "\x1b[0m\r\n"
		r := Parse([]byte("noise\x00\xff\r\n" + coloured))
		if got := codes(r); len(got) != 1 || got[0] != want {
			t.Errorf("%q: got %v, want %s", line, got, want)
			continue
		}
		f := r.Findings[0]
		if f.Line != trim(line) {
			t.Errorf("got line %q, want %q", f.Line, line)
		}
		if f.Meaning == "" || f.Fatal && (f.Cause == "" || f.Action == "") {
			t.Errorf("%s lacks a sentence: %+v", f.Code, f)
		}
	}
}

// Revisions 0 to 2 say less about the same fault.
func TestConsoleOfTheROMOf2016(t *testing.T) {
	const boot = "ets Jun  8 2016 00:22:57\r\n\r\nrst:0x10 (RTCWDT_RTC_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n" +
		"flash read err, 1000\r\nets_main.c 371 \r\n"
	r := Parse([]byte(strings.Repeat(boot, 3)))
	if f, _ := r.Fault(); f.Code != "no-bootloader-header" || f.Line != "flash read err, 1000" {
		t.Errorf("got %+v", f)
	}
	if r.ROM != 2016 || !r.Loop || len(r.Resets) != 3 || r.Resets[2].Text != "RTCWDT_RTC_RESET" || !r.Resets[0].Flash() {
		t.Errorf("got %+v", r)
	}
}

func TestStraps(t *testing.T) {
	r := Parse([]byte("ets Jul 29 2019 12:21:46\n\nrst:0x1 (POWERON_RESET),boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))\nwaiting for download\n"))
	want := Reset{1, "POWERON_RESET", 3, "DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2)"}
	if !r.DownloadMode || len(r.Resets) != 1 || r.Resets[0] != want || !want.Download() || want.Flash() {
		t.Errorf("got %+v", r)
	}
	r = Parse([]byte("rst:0x1 (POWERON_RESET),boot:0xf (UART_BOOT(UART0))\nDownload mode is disabled. Restart with GPIO0 high.\n"))
	if !r.DownloadDisabled || !r.Resets[0].Download() || r.Resets[0].Mode != "UART_BOOT(UART0)" {
		t.Errorf("got %+v", r)
	}
}

func TestResetLoops(t *testing.T) {
	const silent = "rst:0x10 (RTCWDT_RTC_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"
	const starts = silent + "I (1) cpu_start: Pro cpu up.\r\n"
	for _, c := range []struct {
		name, log, fault string
		loop             bool
	}{
		{"two resets", silent + silent, "", false},
		{"three", silent + silent + silent, "silent-reset-loop", true},
		{"three with text", silent + silent + "load:0x3fff0030,len:7132\r\n" + silent, "reset-loop", true},
		{"starts each time", starts + starts + starts + starts, "", false},
		{"starts no more", starts + silent + silent + silent, "reset-loop", true},
	} {
		r := Parse([]byte(c.log))
		if f, _ := r.Fault(); f.Code != c.fault || r.Loop != c.loop {
			t.Errorf("%s: got %q, loop %v", c.name, f.Code, r.Loop)
		}
	}
}

func TestBrownoutByResetCode(t *testing.T) {
	r := Parse([]byte("rst:0xf (RTCWDT_BROWN_OUT_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\n"))
	if f, _ := r.Fault(); !r.Brownout || f.Code != "brownout" || f.Action == "" {
		t.Errorf("got %+v", r)
	}
}

func TestPlaintextFlashesLeft(t *testing.T) {
	r := Parse([]byte("I (60) flash_encrypt: flash encryption is enabled (0 plaintext flashes left)"))
	if r.EncryptionOn == nil || *r.EncryptionOn != 0 {
		t.Errorf("got %v", r.EncryptionOn)
	}
	if r := Parse(fixture(t, "enc_ok")); r.EncryptionOn != nil {
		t.Errorf("a console without a word about encryption gave %d", *r.EncryptionOn)
	}
}

func TestVersion(t *testing.T) {
	for log, want := range map[string]string{
		"\x1b[0;32mI (65) cpu_start: App version:      1.0.0-rc1\x1b[0m\r\n":                "1.0.0-rc1",
		"I (65) app_init: App version: 1\r\nrst:0xc\r\nI (65) app_init: App version: 2\r\n": "2",
		"I (31) boot: ESP-IDF v5.4 2nd stage bootloader\r\n":                                "",
	} {
		if r := Parse([]byte(log)); r.Version != want {
			t.Errorf("%q: got %q, want %q", log, r.Version, want)
		}
	}
}

func TestMarker(t *testing.T) {
	ok := fixture(t, "enc_ok")
	for _, c := range []struct {
		log    string
		marker string
		want   string
		found  bool
	}{
		{"\x1b[0;32mI (9) app: READY 7\x1b[0m\r\n", "READY", "I (9) app: READY 7", true},
		{"READY\r\nrst:0x1 (POWERON_RESET)\r\n", "READY", "", false},
		{"rst:0x1 (POWERON_RESET)\r\nREA", "READY", "", false},
		{"rst:0x1 (POWERON_RESET)\r\nREADY", "READY", "READY", true},
		{"boot: Loaded app\r\n", "", "", false},
		{string(ok[:bytes.Index(ok, []byte("Rebooting"))]), "", "I (23966) cpu_start: Pro cpu up.", true},
	} {
		line, found := Marker([]byte(c.log), c.marker)
		if line != c.want || found != c.found {
			t.Errorf("%.40q: got %q, %v, want %q, %v", c.log, line, found, c.want, c.found)
		}
	}
}

// A console that begins in the middle of a line, loses bytes or has noise
// between its lines still tells its fault.
func TestDamagedConsole(t *testing.T) {
	log := fixture(t, "nopt")
	for cut := range 200 {
		if r := Parse(log[cut:]); !r.Found("table-unreadable") {
			t.Fatalf("from byte %d: got %v", cut, codes(r))
		}
	}
	noise := rand.New(rand.NewPCG(1, 2))
	noisy := bytes.ReplaceAll(log, []byte("\r\n"), func() []byte {
		b := make([]byte, 300)
		for i := range b {
			b[i] = byte(noise.Uint32()) | 0x80
		}
		return append(b, "\r\r\n"...)
	}())
	if r := Parse(noisy); !r.Found("table-unreadable") || !r.Loop {
		t.Errorf("with noise: got %v, loop %v", codes(r), r.Loop)
	}
	if r := Parse(append(bytes.Repeat([]byte{'x'}, 5000), "\ninvalid header: 0x12345678"...)); !r.Found("no-bootloader-header") {
		t.Errorf("after an endless line: got %v", codes(r))
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("../../fixtures/boot/*.log")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint16(len(b)/2))
	}
	f.Add([]byte("\x1b[\x1b[0;3\x1brst:0xzz (\nrst:0x1 ("), uint16(3))
	f.Fuzz(func(t *testing.T, log []byte, cut uint16) {
		r := Parse(log)
		seen := map[string]bool{}
		for _, x := range r.Findings {
			if seen[x.Code] || x.Code == "" || x.Meaning == "" {
				t.Fatalf("bad finding %+v", x)
			}
			seen[x.Code] = true
		}
		if r.Loop {
			if _, bad := r.Fault(); !bad {
				t.Fatal("a loop without a fault")
			}
		}
		// What was seen in the first part of a log stays seen: callers stop early.
		part := log[:min(int(cut), len(log))]
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			early := Parse(part[:i])
			if len(early.Resets) > len(r.Resets) || early.AppStarted && !r.AppStarted {
				t.Fatalf("%+v became %+v", early, r)
			}
		}
		Marker(log, "x")
	})
}

func BenchmarkParse(b *testing.B) {
	log := bytes.Repeat(fixture(b, "nopt"), 10)
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		Parse(log)
	}
}
