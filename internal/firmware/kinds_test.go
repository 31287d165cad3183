package firmware

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// TestKindsOfTables is every kind of table that real projects have, held
// against bytes written here: no generator is asked.
func TestKindsOfTables(t *testing.T) {
	row := func(kind, subtype byte, offset, size uint32, name string, flags uint32) []byte {
		b := append([]byte{0xaa, 0x50, kind, subtype}, make([]byte, 28)...)
		binary.LittleEndian.PutUint32(b[4:], offset)
		binary.LittleEndian.PutUint32(b[8:], size)
		copy(b[12:28], name)
		binary.LittleEndian.PutUint32(b[28:], flags)
		return b
	}
	nvs, factory := row(1, 2, 0x9000, 0x6000, "nvs", 0), row(0, 0, 0x10000, 0x100000, "factory", 0)
	two := append(bytes.Clone(nvs), factory...)
	const rows = "nvs,data,nvs,0x9000,24K,%sfactory,app,factory,0x10000,1M,%s"
	lines := func(end string) string { return fmt.Sprintf(rows, end, end) }
	for _, v := range []struct {
		name, csv string
		want      []byte
	}{
		{"line feeds", lines("\n"), two},
		{"CR LF", lines("\r\n"), two},
		{"CR alone", lines("\r"), two},
		{"mixed ends", fmt.Sprintf(rows, "\r\n\r", "\n\r\n"), two},
		{"vertical tab, form feed", fmt.Sprintf(rows, "\v", "\f"), two},
		{"separators of Unicode", fmt.Sprintf(rows, "\u2028", "\u2029"), two},
		{"next line", fmt.Sprintf(rows, "\u0085", "\x1c\x1d\x1e"), two},
		{"byte order mark before a row", "\ufeff" + lines("\n"), two},
		{"byte order mark before a comment", "\ufeff# a table\r\n" + lines("\r\n"), two},
		{"comment with CR alone", "# Name, Type\r" + lines("\r"), two},
		{"automatic offsets", "nvs,data,nvs,,24K\nfactory,app,factory,,1M", two},
		{"sizes in bytes", "nvs,data,nvs,,24576\nfactory,app,factory,,1048576", two},
		{"subtype 0xff of data", lines("\n") + "s,data,0xff,,64K,encrypted", append(bytes.Clone(two), row(1, 0xff, 0x110000, 0x10000, "s", 1)...)},
		{"subtype 255", lines("\n") + "s,data,255,,64K", append(bytes.Clone(two), row(1, 0xff, 0x110000, 0x10000, "s", 0)...)},
		{"subtype 0xff of a type of its own", lines("\n") + "s,0x40,0xff,,4K", append(bytes.Clone(two), row(0x40, 0xff, 0x110000, 0x1000, "s", 0)...)},
		{"subtype 0 of data in figures", lines("\n") + "o,1,0,,8K", append(bytes.Clone(two), row(1, 0, 0x110000, 0x2000, "o", 0)...)},
		{"type 0xfe", lines("\n") + "s,0xfe,0,,4K", append(bytes.Clone(two), row(0xfe, 0, 0x110000, 0x1000, "s", 0)...)},
		{"readonly nvs of two sectors", lines("\n") + "f,data,nvs,,8K,readonly", append(bytes.Clone(two), row(1, 2, 0x110000, 0x2000, "f", 2)...)},
		{"both flags", lines("\n") + "f,data,fat,,64K,encrypted:readonly", append(bytes.Clone(two), row(1, 0x81, 0x110000, 0x10000, "f", 3)...)},
		{"littlefs", lines("\n") + "f,data,littlefs,,64K", append(bytes.Clone(two), row(1, 0x83, 0x110000, 0x10000, "f", 0)...)},
		{"coredump", lines("\n") + "f,data,coredump,,64K,encrypted", append(bytes.Clone(two), row(1, 3, 0x110000, 0x10000, "f", 1)...)},
		{"last slot and test", lines("\n") + "a,app,ota_15,,64K\nb,app,test,,64K",
			append(bytes.Clone(two), append(row(0, 0x1f, 0x110000, 0x10000, "a", 0), row(0, 0x20, 0x120000, 0x10000, "b", 0)...)...)},
		{"negative size", lines("\n") + "f,data,fat,,-0x400000", append(bytes.Clone(two), row(1, 0x81, 0x110000, 0x2f0000, "f", 0)...)},
		{"umlauts", lines("\n") + "zähler,data,fat,,64K", append(bytes.Clone(two), row(1, 0x81, 0x110000, 0x10000, "zähler", 0)...)},
		{"sixteen bytes", lines("\n") + "sixteen_letters_,data,fat,,64K", append(bytes.Clone(two), row(1, 0x81, 0x110000, 0x10000, "sixteen_letters_", 0)...)},
	} {
		table, err := ParseTable("t.csv", []byte(v.csv), fourMB)
		if err != nil {
			t.Errorf("%s: %v", v.name, err)
			continue
		}
		if got := table.Binary()[:len(v.want)]; !bytes.Equal(got, v.want) {
			t.Errorf("%s: got\n%x\nwant\n%x", v.name, got, v.want)
		}
		if got := table.Binary()[len(v.want):][:2]; !bytes.Equal(got, md5Magic[:2]) {
			t.Errorf("%s: rows go on: %x", v.name, got)
		}
	}
}

// Files of real builds, each with what is right for it.
func TestTablesOfRealBuilds(t *testing.T) {
	plain, err := ParseCSV("t.csv", fixture(t, "example/partitions.csv"), fourMB)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"csv-bom-comment", "csv-bom-row", "csv-cr-only"} {
		table, err := ParseTable(name, fixture(t, "cases/"+name+"/partitions.csv"), fourMB)
		if err != nil || !bytes.Equal(table.Binary(), plain.Binary()) {
			t.Errorf("%s: got %v, %v", name, table, err)
		}
	}
	table, err := ParseTable("f", fixture(t, "cases/subtype-0xff/partitions.csv"), fourMB)
	if err != nil || !bytes.Equal(table.Binary(), fixture(t, "cases/subtype-0xff/partition-table.bin")) {
		t.Errorf("subtype-0xff: got %v", err)
	}
	_, err = ParseTable("t.csv", []byte("\xff\xfen\x00v\x00s\x00"), fourMB)
	wantFaults(t, err, "t.csv: the file is UTF-16; save it as CSV UTF-8")
}

// TestImagesOfOtherChips: what is right for their mapping, speed and pages is
// no fault; what is wrong for them is.
func TestImagesOfOtherChips(t *testing.T) {
	const esp32, s2, c3, s3, c2, c6, h2 = 0, 2, 5, 9, 12, 13, 16
	for _, v := range []struct {
		name   string
		chip   uint16
		freq   byte
		load   uint32 // of the first segment, whose data is at 0x20
		page   byte   // in the descriptor; 0: none
		faults string
	}{
		{"ESP32", esp32, 0xf, 0x3f400020, 0, ""},
		{"ESP32, not on its page", esp32, 0, 0x3f400040, 0, "within a 64 KiB page"},
		{"ESP32 with code where others have it", esp32, 0, 0x42000040, 0, ""},
		{"ESP32 with the speed of a C2", esp32, 3, 0x3f400020, 0, "unknown flash frequency 0x3"},
		{"S2", s2, 0xf, 0x3f000020, 0, ""},
		{"S3", s3, 0xf, 0x3c000020, 0, ""},
		{"S3, not on its page", s3, 0xf, 0x3c000040, 0, "within a 64 KiB page"},
		{"S3 with what an ESP32 would map", s3, 0, 0x3f400044, 0, ""},
		{"C3", c3, 0xf, 0x42000020, 0, ""},
		{"C3, memory where an ESP32 has code", c3, 0, 0x40380000, 0, ""},
		{"C2 at 60m", c2, 0xf, 0x3c000020, 0, ""},
		{"C2, pages of 16 KiB", c2, 0, 0x3c004020, 14, ""},
		{"C2, not on its page", c2, 0, 0x3c004040, 14, "within a 16 KiB page"},
		{"C6, pages of 32 KiB", c6, 0, 0x42008020, 15, ""},
		{"H2 at 48m", h2, 0xf, 0x42000020, 0, ""},
		{"a chip that nobody knows", 99, 7, 0x12345678, 0, ""},
	} {
		header := append([]byte{imageMagic, 1, 2, 0x20 | v.freq}, make([]byte, 20)...)
		binary.LittleEndian.PutUint16(header[12:], v.chip)
		header[23] = 1
		data := make([]byte, 512)
		if v.page != 0 {
			binary.LittleEndian.PutUint32(data, appMagic)
			data[appPageAt] = v.page
		}
		file := build(header, segment(v.load, data))
		info := Describe(v.name, file)
		if got := strings.Join(info.Faults, "; "); got != v.faults && (v.faults == "" || !strings.Contains(got, v.faults)) {
			t.Errorf("%s: got faults %q, want %q", v.name, got, v.faults)
		}
		file[len(file)-1]++ // the SHA-256 counts for every chip
		if info = Describe(v.name, file); !strings.Contains(strings.Join(info.Faults, "; "), "the SHA-256 is") {
			t.Errorf("%s, damaged: got faults %q", v.name, info.Faults)
		}
	}
}
