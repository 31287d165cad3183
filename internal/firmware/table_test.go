package firmware

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

var fourMB = TableOptions{FlashSize: 4 << 20}

// TestGeneratorVectors: the same binary as ESP-IDF's generator makes, and back.
func TestGeneratorVectors(t *testing.T) {
	for _, name := range []string{"avior", "flags_custom", "long_name", "two_ota"} {
		t.Run(name, func(t *testing.T) {
			want := fixture(t, "partitions/"+name+".bin")
			table, err := ParseTable(name+".csv", fixture(t, "partitions/"+name+".csv"), fourMB)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(table.Binary(), want) {
				t.Errorf("got\n%s", hex.Dump(table.Binary()[:0x120]))
			}
			back, err := ParseTable(name+".bin", want, fourMB)
			if err != nil {
				t.Fatal(err)
			}
			again, err := ParseCSV("again.csv", back.CSV(), fourMB)
			if err != nil {
				t.Fatalf("%v in\n%s", err, back.CSV())
			}
			if !bytes.Equal(again.Binary(), want) {
				t.Errorf("binary to CSV to binary differs:\n%s", back.CSV())
			}
		})
	}
}

func TestGeneratorRefusals(t *testing.T) {
	for name, want := range map[string][]string{
		"bad_align":   {"bad_align.csv:2: factory begins at 0x11000, want a multiple of 0x10000"},
		"bad_dup":     {"bad_dup.csv:2: the name nvs is taken by line 1", "bad_dup.csv:2: nvs has size 0x1000, but nvs needs 0x3000"},
		"bad_overlap": {"bad_overlap.csv:3: more at 0x80000 overlaps factory, which ends at 0x110000"},
		"bad_subtype": {`bad_subtype.csv:2: subtype "spiffs" of type app is not known; use factory, test or ota_0 to ota_15, or a number`},
		"bad_toobig":  {"bad_toobig.csv:2: factory ends at 0x610000, beyond the flash of 4 MB"},
	} {
		_, err := ParseTable(name+".csv", fixture(t, "partitions/"+name+".csv"), fourMB)
		wantFaults(t, err, want...)
	}
}

// TestDocumentedTable has automatic offsets of both alignments, flags and a
// type of its own.
func TestDocumentedTable(t *testing.T) {
	table, err := ParseCSV("t.csv", []byte(`
nvs,      data, nvs,      ,  0x4000
otadata,  data, ota,      ,  0x2000
phy_init, data, phy,      ,  0x1000
ota_0,    app,  ota_0,    ,  1500K
ota_1,    app,  ota_1,    ,  1500K
nvs_key,  data, nvs_keys, ,  0x1000, encrypted
cfg,      0x40, 1,        ,  64K, encrypted:readonly
`), fourMB)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(table.Binary())); got != "c709cba80b828c782d8c0ae2069479ecc20c633a82b2894e018e50c260068742" {
		t.Errorf("got sha256 %s of\n%s", got, table.CSV())
	}
	p, ok := table.Find("ota_1")
	if !ok || p.Offset != 0x190000 || p.otaSlot() != 1 || !p.Is("app", "ota_1") || p.SubtypeName() != "ota_1" {
		t.Errorf("got %+v", p)
	}
	if p, ok := table.At(0x308000 + 0xffff); !ok || p.Name != "cfg" || p.Flags != FlagEncrypted|FlagReadonly {
		t.Errorf("got %+v", p)
	}
	if _, ok := table.At(0x318000); ok {
		t.Error("there is a partition after the last one")
	}
}

func TestPartitionJSON(t *testing.T) {
	got, err := json.Marshal([]Partition{{Name: "keys", Type: TypeData, Subtype: 4, Offset: 4096, Size: 1, Flags: FlagEncrypted}, {Type: 0x40, Subtype: 9}})
	want := `[{"name":"keys","type":"data","subtype":"nvs_keys","offset":4096,"size":1,"encrypted":true,"readonly":false},` +
		`{"name":"","type":"0x40","subtype":"0x09","offset":0,"size":0,"encrypted":false,"readonly":false}]`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestBinaryFaults(t *testing.T) {
	good := fixture(t, "partitions/avior.bin")
	change := func(f func(b []byte)) []byte {
		b := bytes.Clone(good)
		f(b)
		return b
	}
	const md5Row = 7 * rowSize
	remade := func(f func(b []byte)) []byte {
		return change(func(b []byte) {
			f(b)
			sum := md5.Sum(b[:md5Row])
			copy(b[md5Row+16:], sum[:])
		})
	}
	for _, v := range []struct {
		name  string
		table []byte
		want  []string
	}{
		{"empty", bytes.Repeat([]byte{0xff}, TableSize), []string{"the table is empty"}},
		{"nothing", nil, []string{"no end marker", "the table is empty"}},
		{"cut", good[:md5Row+rowSize], []string{"the table has no end marker"}},
		{"damaged", change(func(b []byte) { b[5]++ }), []string{"the table's MD5 is 455419e1", "nvs begins at 0x9100", "otadata at 0xd000 overlaps nvs"}},
		{"two md5 rows", change(func(b []byte) { copy(b[md5Row+rowSize:], b[md5Row:md5Row+rowSize]) }), []string{"two MD5 rows"}},
		{"garbage", change(func(b []byte) { copy(b[md5Row+rowSize:], "xy") }), []string{"row 8 begins with 7879, want aa50"}},
		{"no text", remade(func(b []byte) { b[labelAt] = 7 }), []string{`the name "\avs" is not text`}},
		{"overlap and double name", remade(func(b []byte) { copy(b[4*rowSize:5*rowSize], b[5*rowSize:]) }),
			[]string{"users at 0x2a0000 overlaps users", "two partitions have the name users"}},
		{"on the table", remade(func(b []byte) { b[5] = 0x80 }), []string{"nvs begins at 0x8000, below the end of the partition table at 0x9000"}},
	} {
		t.Run(v.name, func(t *testing.T) {
			_, err := ParseBinaryTable("t.bin", v.table, fourMB)
			wantFaults(t, err, v.want...)
		})
	}
}

func TestBinaryWithoutMD5(t *testing.T) {
	b := fixture(t, "partitions/avior.bin")
	copy(b[7*rowSize:], bytes.Repeat([]byte{0xff}, rowSize))
	table, err := ParseTable("t.bin", b, fourMB)
	if err != nil || !bytes.Equal(table.Binary(), b) {
		t.Errorf("other bytes (%v)", err)
	}
	if len(table.Warnings) != 1 || !strings.Contains(table.Warnings[0], "t.bin: the table has no MD5 row") {
		t.Errorf("got warnings %q", table.Warnings)
	}
}

func TestRowLimit(t *testing.T) {
	var csv strings.Builder
	for n := range maxRows {
		fmt.Fprintf(&csv, "p%d,0x40,0,,4K\n", n)
	}
	table, err := ParseCSV("t.csv", []byte(csv.String()), TableOptions{})
	if err != nil || len(table.Partitions) != 94 || len(table.Binary()) != TableSize {
		t.Fatalf("94 rows: %v", err)
	}
	if back, err := ParseBinaryTable("t.bin", table.Binary(), TableOptions{}); err != nil || len(back.Partitions) != 94 {
		t.Errorf("94 rows back: %v", err)
	}
	csv.WriteString("last,0x40,0,,4K\n")
	_, err = ParseCSV("t.csv", []byte(csv.String()), TableOptions{})
	wantFaults(t, err, "95 partitions, want at most 94")
}

func FuzzTableBinary(f *testing.F) {
	for _, name := range []string{"avior", "two_ota", "long_name"} {
		f.Add(fixture(f, "partitions/"+name+".bin")[:0x160])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := ParseBinaryTable("t.bin", b, TableOptions{})
		if err != nil {
			return
		}
		again, err := ParseBinaryTable("again.bin", table.Binary(), TableOptions{})
		if err != nil || !bytes.Equal(again.Binary(), table.Binary()) {
			t.Fatalf("binary to binary: %v", err)
		}
	})
}
