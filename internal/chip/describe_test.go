package chip

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated documents")

// docs/chips.md has the table as it is. Run with -update after a change.
func TestChipsPage(t *testing.T) {
	const path = "../../docs/chips.md"
	var b strings.Builder
	b.WriteString("| chip | name in a job | state | bootloader at | crystal, MHz | cipher of the flash | key for flash encryption in | coding of key blocks | encryption is on by | secure boot is signed with | burn timing known at, MHz |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, f := range Families {
		s := f.Summary()
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s | %s | %s | %s | `%s` | %s | %s |\n", s.Title, s.Name, s.State, s.Bootloader, s.Crystals, s.Cipher, s.Key, s.Coding, s.Count, s.Signed, s.Burns)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- table -->\n", "<!-- end -->"
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("docs/chips.md has no place for the table")
	}
	want := before + begin + b.String() + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(page) != want {
		t.Error("docs/chips.md is not what the tables say: go test ./internal/chip -run ChipsPage -update")
	}
}

// What every literal must keep, whatever family is added one day.
func TestEveryFamily(t *testing.T) {
	names, ids := map[string]bool{}, map[uint16]bool{}
	for _, f := range Families {
		if names[f.Name] || ids[f.ImageID] || ByName(f.Name) != f {
			t.Errorf("%s: its name or chip ID is there twice", f.Name)
		}
		names[f.Name], ids[f.ImageID] = true, true
		e := &f.Efuse
		seen := map[string]bool{}
		for _, field := range e.Fields {
			if seen[field.Name] {
				t.Errorf("%s: field %s is there twice", f.Name, field.Name)
			}
			seen[field.Name] = true
			if b := e.Blocks[field.Block]; field.Word*32+field.Bit+field.Width > 32*b.Words {
				t.Errorf("%s: %s does not lie within %s", f.Name, field.Name, b.Name)
			}
		}
		read := map[uint32]string{}
		for _, b := range e.Blocks {
			for w := range b.Words {
				if other := read[b.Read+4*uint32(w)]; other != "" {
					t.Errorf("%s: %s and %s are read at one address", f.Name, other, b.Name)
				}
				read[b.Read+4*uint32(w)] = b.Name
			}
			if b.Purpose != "" && !seen[b.Purpose] {
				t.Errorf("%s: %s: no field %s", f.Name, b.Name, b.Purpose)
			}
		}
		if len(f.Speeds) == 0 || len(f.Mapped) == 0 || len(f.Crystals) == 0 || len(f.Revisions) == 0 || len(f.Seal.FlashKeys) == 0 {
			t.Errorf("%s: something that every family has is missing", f.Name)
		}
		f.everyName(t)
	}
}

// everyName looks for names in the seal that the chip does not have.
func (f *Family) everyName(t *testing.T) {
	t.Helper()
	s := &f.Seal
	var fields []string
	for _, v := range append(append(append([]Value{}, s.Right...), s.Release...), s.Development...) {
		fields = append(fields, v.Field)
	}
	for name := range s.Burnable {
		fields = append(fields, name)
	}
	for _, r := range s.Open {
		fields = append(fields, r.Field)
	}
	for _, r := range s.Foreign {
		fields = append(fields, r.Field)
	}
	fields = append(append(append(append(fields, s.Count), s.Loader...), s.Untouched...), s.Late...)
	for _, name := range fields {
		if _, ok := f.Efuse.Field(name); !ok {
			t.Errorf("%s: no field %s", f.Name, name)
		}
	}
	for purpose, use := range s.Keys {
		if len(use.Blocks) == 0 {
			t.Errorf("%s: no block takes a key for %s", f.Name, purpose)
		}
		for _, name := range use.Blocks {
			if f.Efuse.Block(name) < 0 {
				t.Errorf("%s: no block %s", f.Name, name)
			}
		}
	}
}

// The last key block of these chips cannot hold a key for flash encryption.
func TestLastKeyBlock(t *testing.T) {
	for name, want := range map[string]bool{"esp32s2": true, "esp32s3": false, "esp32c3": false, "esp32c5": true, "esp32c6": false, "esp32c61": true, "esp32h2": false, "esp32p4": true} {
		f := ByName(name)
		blocks := f.Seal.Keys[FlashEncryption].Blocks
		if got := blocks[len(blocks)-1] == "BLOCK_KEY5"; got != want {
			t.Errorf("%s: BLOCK_KEY5 takes a key for flash encryption: %v", name, got)
		}
	}
}

// How long the C2's controller waits between bits depends on the crystal.
func TestTimingOfTheC2(t *testing.T) {
	for mhz, cycles := range map[int]uint32{26: 130, 40: 200} {
		last := ESP32C2.Efuse.Timing[mhz][3]
		if last.Addr != 0x6000_8910 || last.Value != cycles<<8 || last.Mask != 0xff00 {
			t.Errorf("%d MHz: %+v", mhz, last)
		}
	}
}
