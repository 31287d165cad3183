package firmware

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/filefault"
)

func env(name string) (string, bool) {
	value, ok := map[string]string{"SIZE": "1M", "NAME": "storage", "EMPTY": ""}[name]
	return value, ok
}

// resolve gives each partition as "name type.subtype offset size flags".
func resolve(t *testing.T, csv string) string {
	t.Helper()
	table, err := ParseCSV("t.csv", []byte(csv), TableOptions{Env: env})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, p := range table.Partitions {
		lines = append(lines, fmt.Sprintf("%s %d.%d %#x %#x %d", p.Name, p.Type, p.Subtype, p.Offset, p.Size, p.Flags))
	}
	return strings.Join(lines, "; ")
}

func TestCSVGrammar(t *testing.T) {
	for _, v := range []struct{ name, csv, want string }{
		{"comments and blanks", "# a\n\n   # b, c\r\n  nvs , data , nvs , 0x9000 , 0x4000 \r\n\t\n", "nvs 1.2 0x9000 0x4000 0"},
		{"no last line end", "nvs,data,nvs,,0x4000", "nvs 1.2 0x9000 0x4000 0"},
		{"app rounds up to a page", "nvs,data,nvs,,16K\na,app,factory,,1M\nb,data,fat,,4096\nc,app,ota_0,,64k",
			"nvs 1.2 0x9000 0x4000 0; a 0.0 0x10000 0x100000 0; b 1.129 0x110000 0x1000 0; c 0.16 0x120000 0x10000 0"},
		{"data rounds up to a sector", "a,data,0x99,,100\nb,data,0x98,,100", "a 1.153 0x9000 0x64 0; b 1.152 0xa000 0x64 0"},
		{"suffixes", "a,0x40,1,0x24K,4k\nb,0x41,2,1m,1M\nc,0x42,3,,1kK",
			"a 64.1 0x9000 0x1000 0; b 65.2 0x100000 0x100000 0; c 66.3 0x200000 0x100000 0"},
		{"bases", "a,1,0b10,0o110000,12 K\nb,+1,2,0xc000,12_288", "a 1.2 0x9000 0x3000 0; b 1.2 0xc000 0x3000 0"},
		{"negative size ends there", "a,data,fat,0x10000,-0x20000\nb,data,fat,,-1M", "a 1.129 0x10000 0x10000 0; b 1.129 0x20000 0xe0000 0"},
		{"names in any case", "a,DATA,Nvs,,0x3000\nb,App,OTA_15,,4K", "a 1.2 0x9000 0x3000 0; b 0.31 0x10000 0x1000 0"},
		{"default subtype", "a,data,,,4K\nb,0x40,,,4K", "a 1.6 0x9000 0x1000 0; b 64.6 0xa000 0x1000 0"},
		{"flags", "a,data,fat,,4K,encrypted\nb,data,fat,,4K,readonly:encrypted\nc,data,nvs,,4K,:readonly:",
			"a 1.129 0x9000 0x1000 1; b 1.129 0xa000 0x1000 3; c 1.2 0xb000 0x1000 2"},
		{"further columns", "a,data,fat,,4K,,,# says nothing", "a 1.129 0x9000 0x1000 0"},
		{"variables", "$NAME,data,fat,,$SIZE\n${NAME}_2,data,fat,,${SIZE},$EMPTY\n$EMPTY\n#$UNKNOWN",
			"storage 1.129 0x9000 0x100000 0; storage_2 1.129 0x109000 0x100000 0"},
		{"a dollar alone", "a$,data,fat,,4K", "a$ 1.129 0x9000 0x1000 0"},
		{"bootloader and table", "boot,bootloader,primary,,\ntable,partition_table,primary,,\nnvs,data,nvs,,16K\nnext,bootloader,ota,,\ntable2,partition_table,ota,,",
			"boot 2.0 0x1000 0x7000 0; table 3.0 0x8000 0x1000 0; nvs 1.2 0x9000 0x4000 0; next 2.1 0xd000 0x7000 0; table2 3.1 0x14000 0x1000 0"},
		{"tee", "a,data,tee_ota,,8K\nb,app,tee_1,,64K", "a 1.144 0x9000 0x2000 0; b 0.49 0x10000 0x10000 0"},
	} {
		t.Run(v.name, func(t *testing.T) {
			if got := resolve(t, v.csv); got != v.want {
				t.Errorf("\n got %s\nwant %s", got, v.want)
			}
		})
	}
}

func TestCSVFaults(t *testing.T) {
	for _, v := range []struct {
		csv  string
		want []string
	}{
		{"", []string{"t.csv: the table has no partitions"}},
		{"# nothing\n", []string{"the table has no partitions"}},
		{"a", []string{"t.csv:1: a has no type; use one of app, bootloader, data, partition_table"}},
		{"a,dat,nvs,,4K", []string{`type "dat" is not known`}},
		{"a,255,1,,4K", []string{"type 255 is out of range"}},
		{"a,data,-1,,4K", []string{"subtype -1 is out of range"}},
		{"a,app,,,4K", []string{"the app partition a has no subtype; use factory, test or ota_0 to ota_15"}},
		{"a,0x40,nvs,,4K", []string{`subtype "nvs" of type 0x40 is not known; use a number`}},
		{"a,data,fat,,", []string{"a has no size; write one like 64K"}},
		{"a,data,fat,,0", []string{"a has size 0"}},
		{"a,data,fat,,4X", []string{`size "4X" is not a number like 0x10000, 64K or 1M`}},
		{"a,data,fat,,K", []string{`size "K" is not a number`}},
		{"a,data,fat,,1kkkkkkkkk", []string{`size "1kkkkkkkkk" is not a number`}},
		{"a,data,fat,,010", []string{`size "010" is not a number`}},
		{"a,data,fat,,0x100000000", []string{`size "0x100000000" is not a number`}},
		{"a,data,fat,-4096,4K", []string{`offset "-4096" is not a number`}},
		{"a,data,fat,0x10000,-0x10000", []string{"a is to end at 0x10000, but begins at 0x10000"}},
		{"a,data,fat,0xfffff000,8K", []string{"a ends beyond 4 GiB"}},
		{"a,data,fat,,4K,secret", []string{`flag "secret" is not known; use encrypted or readonly`}},
		{"a,data,fat,,4K,encrypted : readonly", []string{`flag "encrypted " is not known`, `flag " readonly" is not known`}},
		{",data,fat,,4K", []string{"the partition has no name"}},
		{"fünfzehnbuchstäben,data,fat,,4K\nabcdefghijklmnöp,data,fat,,4K", []string{"would be cut within a character"}},
		{"a,data,fat,,$MISSING", []string{"$MISSING is not set in the environment", "a has no size"}},
		{"a,data,fat,0x8000,4K", []string{"a at 0x8000 overlaps the partition table, which ends at 0x9000"}},
		{"a,data,fat,0x20000,4K\nb,data,fat,0x10000,4K", []string{"t.csv:2: b at 0x10000 overlaps a, which ends at 0x21000; leave the offset empty, or list partitions by rising offset"}},
		{"a,data,fat,0x9100,4K", []string{"a begins at 0x9100, want a multiple of 0x1000"}},
		{"a,app,factory,,5000", []string{"a has size 0x1388, want a multiple of 0x1000"}},
		{"a,data,ota,,8K\nb,data,ota,,4K", []string{"t.csv:2: b is a second partition of data/ota", "t.csv:2: b has size 0x1000, but data/ota must have 0x2000"}},
		{"a,data,ota,,8K,readonly\nb,data,coredump,,64K,readonly", []string{"a is always written to", "b is always written to"}},
		{"a,data,nvs,,8K", []string{"a has size 0x2000, but nvs needs 0x3000"}},
		// Faults of different lines come together, and a broken line does not
		// make those after it look wrong.
		{"a,data,nvs,,4X\nb,data,fat,,4K\nc,data,fat,0x20000,4K\nd,data,odd,,4K\nd,app,factory,0x30000,64K\nd,data,fat,,4K",
			[]string{`t.csv:1: size "4X"`, `t.csv:4: subtype "odd"`, "t.csv:6: the name d is taken by line 5"}},
	} {
		_, err := ParseCSV("t.csv", []byte(v.csv), TableOptions{Env: env})
		t.Run(v.csv, func(t *testing.T) { wantFaults(t, err, v.want...) })
	}
}

func TestCSVNames(t *testing.T) {
	table, err := ParseCSV("t.csv", []byte("sixteen_letters_,data,fat,,4K\nsixteen_letters_and_more,data,fat,,4K\n"), TableOptions{})
	wantFaults(t, err, "t.csv:2: the name sixteen_letters_ is taken by line 1")
	want := []string{
		"t.csv: line 1: sixteen_letters_ has 16 characters; ESP-IDF promises 15",
		"t.csv: line 2: the name sixteen_letters_and_more is cut to sixteen_letters_",
	}
	if strings.Join(table.Warnings, "\n") != strings.Join(want, "\n") {
		t.Errorf("got warnings %q", table.Warnings)
	}
}

func TestCSVElsewhere(t *testing.T) {
	o := TableOptions{Offset: 0x10000}
	table, err := ParseCSV("t.csv", []byte("boot,bootloader,primary,,\nnvs,data,nvs,,16K\n"), o)
	if err != nil || table.Partitions[0].Size != 0xf000 || table.Partitions[1].Offset != 0x11000 {
		t.Errorf("got %+v, %v", table, err)
	}
	_, err = ParseCSV("t.csv", []byte("nvs,data,nvs,0x9000,16K\n"), o)
	wantFaults(t, err, "nvs at 0x9000 overlaps the partition table, which ends at 0x11000")
}

// The bootloader that a CSV lists is where the ROM of the chip looks for it, up to the
// table.
func TestBootloaderOfEachChip(t *testing.T) {
	for _, f := range chip.Families {
		table, err := ParseCSV("t.csv", []byte("boot,bootloader,primary,,\n"), TableOptions{Chip: f})
		if err != nil || table.Partitions[0].Offset != f.Bootloader || table.Partitions[0].Size != 0x8000-f.Bootloader {
			t.Errorf("%s: got %+v, %v", f.Name, table, err)
		}
	}
}

func FuzzTableCSV(f *testing.F) {
	for _, name := range []string{"avior", "two_ota", "flags_custom", "long_name", "bad_overlap", "bad_subtype"} {
		f.Add(fixture(f, "partitions/"+name+".csv"))
	}
	f.Add([]byte("$NAME,0x40,,-5,-1M,encrypted:readonly\n"))
	f.Add([]byte("b,bootloader,primary,,\nt,partition_table,,,\na,app,ota_3,,${SIZE}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := ParseCSV("t.csv", b, TableOptions{Env: env})
		if err != nil {
			if len(filefault.All(err)) == 0 {
				t.Fatalf("an error without faults: %v", err)
			}
			return
		}
		back, err := ParseBinaryTable("t.bin", table.Binary(), TableOptions{})
		if err != nil || !bytes.Equal(back.Binary(), table.Binary()) {
			t.Fatalf("CSV to binary to table: %v", err)
		}
	})
}
