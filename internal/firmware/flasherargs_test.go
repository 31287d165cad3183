package firmware

import (
	"path/filepath"
	"slices"
	"testing"

	"station/internal/filefault"
)

func TestExampleFlasherArgs(t *testing.T) {
	a, err := ParseFlasherArgs("flasher_args.json", fixture(t, "example/build/flasher_args.json"))
	if err != nil {
		t.Fatal(err)
	}
	if a.Chip != "esp32" || a.Mode != "dio" || a.Freq != "40m" || a.Size != "4MB" {
		t.Errorf("got %+v", a)
	}
	want := []FlashFile{
		{"bootloader", "bootloader/bootloader.bin", 0x1000, false},
		{"partition-table", "partition_table/partition-table.bin", 0x8000, false},
		{"otadata", "ota_data_initial.bin", 0xd000, false},
		{"app", "station-example.bin", 0x10000, false},
	}
	if !slices.Equal(a.Files, want) {
		t.Errorf("got %v, want %v", a.Files, want)
	}
}

func TestFlasherArgsForms(t *testing.T) {
	a, err := ParseFlasherArgs("f.json", []byte(`{
		"write_flash_args": ["--flash-mode", "qio", "--flash-freq", "80m", "--flash-size", "detect", "--encrypt"],
		"flash_files": {"0x10000": "app.bin", "65536000": "/abs/data.bin"},
		"app": {"offset": "0x10000", "file": "app.bin", "encrypted": "true"},
		"storage": {"offset": "0x200000", "file": "../storage.bin", "encrypted": false},
		"note": {"text": "no image"}, "number": 7
	}`))
	if err != nil {
		t.Fatal(err)
	}
	if a.Chip != "" || a.Mode != "qio" || a.Freq != "80m" || a.Size != "detect" {
		t.Errorf("got %+v", a)
	}
	want := []FlashFile{{"app", "app.bin", 0x10000, true}, {"storage", "../storage.bin", 0x200000, false}, {"", "/abs/data.bin", 65536000, false}}
	if !slices.Equal(a.Files, want) {
		t.Errorf("got %v, want %v", a.Files, want)
	}
	images := a.ImageFiles(filepath.Join("jobs", "build"))
	for n, file := range []string{filepath.Join("jobs", "build", "app.bin"), filepath.Join("jobs", "storage.bin"), "/abs/data.bin"} {
		if images[n].File != file || images[n].Address != want[n].Address || images[n].Name != want[n].Name {
			t.Errorf("got %+v, want %s", images[n], file)
		}
		if encrypt := images[n].Encrypt; (encrypt != nil) != want[n].Encrypted || encrypt != nil && !*encrypt {
			t.Errorf("%s: got encrypt %v", file, encrypt)
		}
	}
}

// Builds of ESP-IDF 3.3 have empty pairs for what the project does not have.
func TestFlasherArgsOfOldBuilds(t *testing.T) {
	a, err := ParseFlasherArgs("f.json", fixture(t, "cases/flasher-args-idf33/flasher_args.json"))
	if err != nil || len(a.Files) != 3 || a.TableOffset() != 0x8000 || a.Files[1].Name != "partition_table" {
		t.Errorf("got %+v, %v", a, err)
	}
	a, err = ParseFlasherArgs("f.json", fixture(t, "cases/table-offset/flasher_args.json"))
	if err != nil || a.TableOffset() != 0x9000 {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestFlasherArgsFaults(t *testing.T) {
	for _, v := range []struct {
		json string
		want []string
	}{
		{"", []string{"f.json: not a flasher_args.json of an ESP-IDF build: EOF"}},
		{"{\n\n\"a\": x}", []string{"f.json:3: not a flasher_args.json of an ESP-IDF build: invalid character 'x'"}},
		{"{} {}", []string{"more follows after the end"}},
		{"[]", []string{"not a flasher_args.json"}},
		{"{}", []string{"f.json: names no images; build the project first"}},
		{`{"flash_files": ["a"]}`, []string{"flash_files is not an object"}},
		{`{"flash_files": {"0x1000": 5}}`, []string{"not a flasher_args.json"}},
		{`{"flash_files": {"here": "a.bin", "-1": "b.bin", "0x0": "c.bin"}}`, []string{`"here" is not a flash address`, `"-1" is not a flash address`}},
		{`{"flash_files": {"0x1000": "", "0x2000": "a.bin"}}`, []string{"names no file for address 0x1000"}},
		{`{"flash_files": {"": "a.bin", "0x0": "b.bin"}}`, []string{`"" is not a flash address`}},
		{`{"flash_files": {"0x1000": "a.bin", "4096": "b.bin"}}`, []string{"a.bin and b.bin are both for address 0x1000"}},
		{`{"flash_files": {"0x1000": "a.bin"}, "app": {"offset": "0x1000", "file": "b.bin"}}`, []string{"a.bin and b.bin are both for address 0x1000"}},
	} {
		_, err := ParseFlasherArgs("f.json", []byte(v.json))
		t.Run(v.json, func(t *testing.T) { wantFaults(t, err, v.want...) })
	}
}

func FuzzFlasherArgs(f *testing.F) {
	f.Add(fixture(f, "example/build/flasher_args.json"))
	f.Add([]byte(`{"flash_files":{"0x1000":"a"},"app":{"offset":"4096","file":"a","encrypted":"true"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseFlasherArgs("f.json", b)
		if err != nil {
			if len(filefault.All(err)) == 0 {
				t.Fatalf("an error without faults: %v", err)
			}
			return
		}
		for n := 1; n < len(a.Files); n++ {
			if a.Files[n-1].Address >= a.Files[n].Address {
				t.Fatalf("two files for one address, or out of order: %v", a.Files)
			}
		}
		if len(a.ImageFiles("dir")) != len(a.Files) {
			t.Fatal("not every file is an image")
		}
	})
}
