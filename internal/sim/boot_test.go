package sim

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The images of the recorded boots, as far as a console shows them.

func recordedBootloader() []byte {
	head := make([]byte, 80)
	head[0] = 0x50
	copy(head[8:], "v5.2-dev-254-g1950b15")
	copy(head[40:], "Apr 25 2023 00:13:32")
	return testImage(0x40080650, 3, 0x10, true,
		part{0x3fff0030, filled(7132, head)},
		part{0x40078000, filled(15648, nil)},
		part{0x40080400, filled(4, nil)},
		part{0x40080404, filled(3884, nil)})
}

func recordedApp() []byte {
	return testImage(0x40081628, 3, 0x10, true,
		part{0x3f400020, filled(101388, appHead("app-template", "1cd5752"))},
		part{0x3ffb0000, filled(11660, nil)},
		part{0x40080000, filled(17992, nil)},
		part{0x400d0018, filled(424592, nil)},
		part{0x40084648, filled(46064, nil)})
}

func recordedTable() []byte {
	return tableOf(
		row(0, 0, 0x10000, 0x100000, "factory", 0),
		row(1, 1, 0x110000, 0x40000, "rfdata", 0),
		row(1, 2, 0x150000, 0x40000, "wifidata", 0))
}

func recordedImages() map[uint32][]byte {
	return map[uint32][]byte{0x1000: recordedBootloader(), 0x8000: recordedTable(), 0x10000: recordedApp()}
}

var testKey = [32]byte(bytes.Repeat([]byte{0x17, 0x2a, 0xc5, 0x99}, 8))

// keyed are factory fuses with a key, FLASH_CRYPT_CONFIG and FLASH_CRYPT_CNT burned.
func keyed(o Options, key [8]uint32, count uint32) *Words {
	w := FactoryWords(o)
	copy(w[blockStart[1]:], key[:])
	SetField(&w, "FLASH_CRYPT_CONFIG", 0xf)
	SetField(&w, "FLASH_CRYPT_CNT", count)
	SetField(&w, "RD_DIS", 1)
	return &w
}

var (
	stamp = regexp.MustCompile(`\(\d+\)`)
	hexes = regexp.MustCompile(`0x[0-9a-f]{2,8}`)
)

// comparable is a console without times and, where loose, without numbers.
func comparable(text string, loose bool) []string {
	text = stamp.ReplaceAllString(text, "(t)")
	if loose {
		text = hexes.ReplaceAllString(text, "0x")
	}
	return strings.Split(text, "\r\n")
}

func without(images map[uint32][]byte, at uint32) map[uint32][]byte {
	delete(images, at)
	return images
}

// The consoles of the real ROM and a real bootloader in the states that a
// factory meets. Images and keys are ours; what they print is compared line by line, numbers
// that depend on unknown content (loose) apart, to the first line that only that build printed.
func TestRecordedConsoles(t *testing.T) {
	crypt := func(images map[uint32][]byte) map[uint32][]byte { return encryptAll(testKey, 0xf, images) }
	right := keyWords(testKey[:])
	reversed := right
	for i := range reversed {
		reversed[i] = 0x01020304 * uint32(i+1)
	}
	flipped := recordedImages()
	flipped[0x1000][0x100] ^= 1
	mixed := crypt(recordedImages())
	mixed[0x10000] = recordedApp()
	wrongTable := crypt(recordedImages())
	wrongTable[0x8000] = encryptAll([32]byte{1}, 0xf, map[uint32][]byte{0: recordedTable()})[0]
	short := recordedImages()
	short[0x1000] = short[0x1000][:headerBytes+8+7132+8+15648]
	elsewhere := map[uint32][]byte{0x1000: encryptAll(testKey, 0xf, map[uint32][]byte{0: recordedBootloader()})[0]}
	for _, s := range []struct {
		file   string
		images map[uint32][]byte
		key    [8]uint32
		count  uint32
		loose  bool
		until  string // first line that is not compared; empty: all
	}{
		{"plain_ok", recordedImages(), [8]uint32{}, 0, false, "cpu_start: App cpu up"},
		{"plain_cnt3", recordedImages(), right, 3, false, "cpu_start: App cpu up"},
		{"enc_ok", crypt(recordedImages()), right, 1, false, "cpu_start: App cpu up"},
		{"plain_crypt1", recordedImages(), right, 1, true, "SECOND"},
		{"wrongkey", encryptAll([32]byte{1}, 0xf, recordedImages()), right, 1, true, "SECOND"},
		{"keyrev", crypt(recordedImages()), reversed, 1, true, "SECOND"},
		{"keyzero", crypt(recordedImages()), [8]uint32{}, 1, true, "SECOND"},
		{"enc_cnt0", crypt(recordedImages()), right, 0, true, "SECOND"},
		{"enc_cnt3", crypt(recordedImages()), right, 3, true, "SECOND"},
		{"enc_at0", elsewhere, right, 1, true, "SECOND"},
		{"blank_nocrypt", nil, right, 0, false, "SECOND"},
		{"blank_crypt", nil, right, 1, true, "SECOND"},
		{"pt_wrong", wrongTable, right, 1, true, "rst:0x3"},
		{"nopt", without(crypt(recordedImages()), 0x8000), right, 1, true, "rst:0x3"},
		{"app_plain", mixed, right, 1, false, "rst:0x3"},
		{"noapp", without(crypt(recordedImages()), 0x10000), right, 1, false, "rst:0x3"},
		{"plain_bitflip", flipped, [8]uint32{}, 0, true, ""},
		{"plain_truncboot", short, [8]uint32{}, 0, false, ""},
	} {
		t.Run(s.file, func(t *testing.T) {
			log, err := os.ReadFile("../../fixtures/boot/" + s.file + ".log")
			if err != nil {
				t.Fatal(err)
			}
			w := keyed(Options{}, s.key, s.count)
			SetField(w, "CONSOLE_DEBUG_DISABLE", 0)
			c := newChip(t, Options{Words: w, Flash: lay(2<<20, s.images), BootStraps: 0x12})
			got, want := comparable(bootText(t, c), s.loose), comparable(string(log), s.loose)
			compareLines(t, got, want, s.until)
		})
	}
}

func compareLines(t *testing.T, got, want []string, until string) {
	t.Helper()
	for len(want) > 0 && want[len(want)-1] == "" {
		want = want[:len(want)-1] // the emulator that made it has no watchdog
	}
	for i, line := range want {
		if until == "SECOND" && i > 4 { // the repetitions
			return
		}
		if until != "" && strings.Contains(line, until) {
			if i < 3 {
				t.Fatalf("nothing was compared: %q is line %d", until, i)
			}
			return
		}
		if i >= len(got) || got[i] != line {
			t.Fatalf("line %d\n got %q\nwant %q\nin %q", i, got[min(i, len(got)-1)], line, got)
		}
	}
}

// The 2016 ROM of revisions 0 to 2 has its own words for a missing bootloader.
func TestOldROM(t *testing.T) {
	for _, c := range []struct {
		name    string
		console uint32
		want    string
	}{
		{"console disabled", 1, "flash read err, 1000\r\nets_main.c 371 \r\nets Jun  8 2016 00:22:57\r\n\r\nrst:0x10 (RTCWDT_RTC_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\nflash read err, 1000\r\nets_main.c 371 \r\n"},
		{"console enabled", 0, "flash read err, 1000\r\nFalling back to built-in command interpreter.\r\nOK\r\n>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Revision: 1}
			w := FactoryWords(o)
			SetField(&w, "CONSOLE_DEBUG_DISABLE", c.console)
			o.Words = &w
			got := bootText(t, newChip(t, o))
			want := "ets Jun  8 2016 00:22:57\r\n\r\nrst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n" + c.want
			if !strings.HasPrefix(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestWrongChipIDInTheBootloader(t *testing.T) {
	b := recordedBootloader()
	b[12] = 2
	got := bootText(t, newChip(t, Options{Flash: lay(2<<20, map[uint32][]byte{0x1000: b})}))
	if !strings.Contains(got, "\r\nwrong chip id 0x0002\r\n") {
		t.Errorf("got %q", got)
	}
}

// stationApp is a small app of the example's name.
func stationApp(head []byte, more ...part) []byte {
	return testImage(0x40081000, 2, 0x20, true, append([]part{{0x3f400020, filled(0x1000, head)}}, more...)...)
}

func bootloaderWith(text string) []byte {
	return testImage(0x40080650, 2, 0x20, true, part{0x3fff0030, filled(0x400, []byte(text))})
}

// encryptedChip is a sealed development or release chip that boots the example.
func encryptedChip(t testing.TB, count uint32, o Options) *Chip {
	t.Helper()
	o.Words = keyed(o, keyWords(testKey[:]), count)
	o.Flash = lay(4<<20, encryptAll(testKey, 0xf, map[uint32][]byte{
		0x1000:  bootloaderWith("flash_encrypt"),
		0x8000:  tableOf(row(0, 0, 0x10000, 0x100000, "factory", 0)),
		0x10000: stationApp(appHead(exampleApp, "1.2.3"), part{0x3ffb0000, []byte("flash_encrypt..!")}),
	}))
	return newChip(t, o)
}

func TestEncryptedBootToTheReadyLine(t *testing.T) {
	for _, c := range []struct {
		count uint32
		want  []string
	}{
		{1, []string{"flash_encrypt: flash encryption is enabled (3 plaintext flashes left)", "Flash encryption mode is DEVELOPMENT (not secure)"}},
		{7, []string{"(2 plaintext flashes left)"}},
		{0x7f, []string{"(0 plaintext flashes left)", "boot: Checking flash encryption...", "Loaded app from partition at offset 0x10000",
			"cpu_start: App version:      1.2.3", "main_task: Calling app_main()", "station-example: ready"}},
	} {
		got := bootText(t, encryptedChip(t, c.count, Options{}))
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("count %#x: no %q in %q", c.count, want, got)
			}
		}
	}
}

func TestReleaseModeAsTheAppSeesIt(t *testing.T) {
	o := Options{}
	c := encryptedChip(t, 0x7f, o)
	for _, name := range []string{"DISABLE_DL_ENCRYPT", "DISABLE_DL_DECRYPT", "DISABLE_DL_CACHE"} {
		SetField(&c.fuses.words, name, 1)
	}
	if got := bootText(t, c); !strings.Contains(got, "flash_encrypt: Flash encryption mode is RELEASE") {
		t.Errorf("got %q", got)
	}
}

// What is wrong with a table or an app is said in the bootloader's words.
func TestBootloaderComplaints(t *testing.T) {
	table := func() []byte { return tableOf(row(0, 0, 0x10000, 0x100000, "factory", 0)) }
	app := func() []byte { return stationApp(appHead("x", "1")) }
	for _, c := range []struct {
		name   string
		change func(images map[uint32][]byte)
		want   string
	}{
		{"table MD5", func(m map[uint32][]byte) { m[0x8000][12] ^= 1 }, "flash_parts: Incorrect MD5 checksum"},
		{"table too big for the flash", func(m map[uint32][]byte) {
			m[0x8000] = tableOf(row(0, 0, 0x10000, 0x1000000, "factory", 0))
		}, "flash_parts: partition 0 invalid - offset 0x10000 size 0x1000000 exceeds flash chip size 0x400000"},
		{"table without end", func(m map[uint32][]byte) {
			m[0x8000] = bytes.Repeat(row(1, 6, 0x9000, 0x1000, "x", 0), tableSize/rowSize)
		}, "partition table has no terminating entry, not valid"},
		{"two MD5 rows", func(m map[uint32][]byte) {
			b := m[0x8000]
			copy(b[2*rowSize:], b[rowSize:2*rowSize])
		}, "Only one MD5 checksum is allowed"},
		{"app checksum", func(m map[uint32][]byte) { m[0x10000][0x400] ^= 1 }, "esp_image: Checksum failed. Calculated 0x"},
		{"app hash", func(m map[uint32][]byte) { m[0x10000][2] = 0 }, "esp_image: Image hash failed - image is corrupt"},
		{"app for another chip", func(m map[uint32][]byte) { m[0x10000][12] = 9 }, "mismatch chip ID, expected 0, found 9"},
		{"app for a newer chip", func(m map[uint32][]byte) { m[0x10000][15], m[0x10000][16] = 0x90, 1 }, "chip revision check failed. Required >= v4.0, found v3.0."},
		{"app for an older chip", func(m map[uint32][]byte) { m[0x10000][17], m[0x10000][18] = 199, 0 }, "chip revision check failed. Required <= v1.99, found v3.0."},
		{"app with many segments", func(m map[uint32][]byte) { m[0x10000][1] = 17 }, "segment count 17 exceeds max 16"},
		{"app with a long segment", func(m map[uint32][]byte) { m[0x10000][31] = 0x7f }, "esp_image: invalid segment length 0x7f"},
		{"app loaded nowhere", func(m map[uint32][]byte) {
			m[0x10000] = testImage(0, 2, 0x20, true, part{0x60000000, make([]byte, 4)})
		}, "invalid: bad load address range"},
		{"app mapped askew", func(m map[uint32][]byte) {
			m[0x10000] = testImage(0, 2, 0x20, true, part{0x3f400000, make([]byte, 4)})
		}, "load address 0x3f400000, doesn't match data 0x00010020"},
		{"app larger than its partition", func(m map[uint32][]byte) {
			m[0x8000] = tableOf(row(0, 0, 0x10000, 0x1000, "factory", 0))
		}, "doesn't fit in partition length 4096"},
		{"app missing", func(m map[uint32][]byte) { delete(m, 0x10000) }, "No bootable app partitions in the partition table"},
		{"header larger than the flash", func(m map[uint32][]byte) {
			b := testImage(0x40080650, 2, 0x30, true, part{0x3fff0030, make([]byte, 64)})
			m[0x1000] = b
		}, "Detected size(4096k) smaller than the size in the binary image header(8192k). Probe failed."},
	} {
		t.Run(c.name, func(t *testing.T) {
			images := map[uint32][]byte{0x1000: bootloaderWith(""), 0x8000: table(), 0x10000: app()}
			c.change(images)
			got := bootText(t, newChip(t, Options{Flash: lay(4<<20, images)}))
			if !strings.Contains(got, c.want) {
				t.Errorf("no %q in %q", c.want, got)
			}
			if strings.Contains(got, "app_main") {
				t.Errorf("it booted all the same: %q", got)
			}
		})
	}
}
