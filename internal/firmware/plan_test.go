package firmware

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
)

var yes, no = true, false

// exampleFiles is the example job's directory, to be changed by a test.
func exampleFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range []string{
		"partitions.csv", "build/bootloader/bootloader.bin", "build/partition_table/partition-table.bin",
		"build/ota_data_initial.bin", "build/station-example.bin", "build/ota_0.bin", "data/sys.bin", "data/users.bin", "data/rules.bin",
	} {
		files[name] = fixture(t, "example/"+name)
	}
	return files
}

// exampleLayout is the example job over those files.
func exampleLayout(files map[string][]byte) Layout {
	return Layout{
		Chip: "esp32", FlashSize: 4 << 20, Mode: "dio", Freq: "40m", Encrypted: true, Table: "partitions.csv",
		Images: []ImageFile{
			{File: "build/bootloader/bootloader.bin", Address: 0x1000},
			{File: "build/partition_table/partition-table.bin", Address: 0x8000},
			{Name: "factory", File: "build/station-example.bin", Address: 0x10000},
			{File: "build/ota_0.bin", Partition: "ota_0"},
			{File: "data/sys.bin", Partition: "sys"},
			{File: "data/users.bin", Partition: "users"},
			{File: "data/rules.bin", Partition: "rules"},
		},
		Read: func(name string) ([]byte, error) {
			if data, ok := files[name]; ok {
				return data, nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
	}
}

func summary(p *Plan) string {
	var b strings.Builder
	for _, r := range p.Regions {
		fmt.Fprintf(&b, "%s %#x %d %t %s\n", r.Name, r.Address, r.Size, r.Encrypted, r.Version)
	}
	return b.String()
}

func TestExamplePlan(t *testing.T) {
	files := exampleFiles(t)
	plan, err := exampleLayout(files).Plan()
	if err != nil {
		t.Fatal(err)
	}
	const want = `bootloader 0x1000 24512 true 
partition-table 0x8000 3072 true 
otadata 0xd000 8192 true 
factory 0x10000 204896 true 1.0.0
ota_0 0x60000 612448 true 1.1.0
sys 0x250000 65536 false 
users 0x2a0000 8192 false 
rules 0x350000 16384 false 
`
	if got := summary(plan); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if len(plan.Warnings) > 0 {
		t.Errorf("got warnings %q", plan.Warnings)
	}
	for _, r := range plan.Regions {
		if r.Size != len(r.Data) || r.Encrypted && r.Size%32 != 0 || len(r.SHA256) != len("sha256:")+64 {
			t.Errorf("%s: %d bytes of data, size %d, %s", r.Name, len(r.Data), r.Size, r.SHA256)
		}
	}
	app := plan.Regions[3]
	original := files["build/station-example.bin"]
	if !bytes.Equal(app.Data, append(bytes.Clone(original), bytes.Repeat([]byte{0xff}, 16)...)) {
		t.Error("the app is not the file, padded with FF")
	}
	if app.Project != "station-example" || app.Partition != "factory" || app.Slot != "factory" || app.MaxRevision != 399 {
		t.Errorf("got %+v", app)
	}
	if !bytes.Equal(plan.Regions[2].Data, EmptyOTAData()) {
		t.Error("otadata is not empty")
	}
	if text, err := json.Marshal(plan); err != nil || bytes.Contains(text, []byte(`"Data"`)) || !bytes.Contains(text, []byte(`"partition":"ota_0"`)) {
		t.Errorf("got %s, %v", text, err)
	}
}

// TestPlanFromTheBuild: flasher_args.json alone gives the same plan, with the
// otadata of the build.
func TestPlanFromTheBuild(t *testing.T) {
	args, err := ParseFlasherArgs("f", fixture(t, "example/build/flasher_args.json"))
	if err != nil {
		t.Fatal(err)
	}
	l := exampleLayout(exampleFiles(t))
	l.Table = ""
	l.Images = append(args.ImageFiles("build"), l.Images[3:]...)
	plan, err := l.Plan()
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Regions) != 8 || plan.Regions[2].Name != "otadata" || plan.Regions[2].Slot != "" || !plan.Regions[2].Encrypted || plan.Table.Partitions[3].Name != "ota_0" {
		t.Errorf("got\n%s", summary(plan))
	}
}

func TestPlanPatchesTheBootloaderOnly(t *testing.T) {
	files := exampleFiles(t)
	l := exampleLayout(files)
	l.Mode, l.Freq, l.FlashSize = "qio", "80m", 8<<20
	plan, err := l.Plan()
	if err != nil {
		t.Fatal(err)
	}
	boot, err := ParseImage(plan.Regions[0].Data)
	if err != nil || boot.Mode != "qio" || boot.Freq != "80m" || boot.FlashSize != 8<<20 {
		t.Errorf("got %+v, %v", boot, err)
	}
	if !bytes.HasPrefix(plan.Regions[3].Data, files["build/station-example.bin"]) {
		t.Error("the app was changed")
	}
	l.Mode, l.Freq, l.KeepSize = "keep", "", true
	if plan, err = l.Plan(); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(plan.Regions[0].Data, files["build/bootloader/bootloader.bin"]) {
		t.Error("the bootloader was changed")
	}
}

// A signed bootloader is not patched: the chip would refuse it.
func TestPlanLeavesASignedBootloaderAlone(t *testing.T) {
	files := exampleFiles(t)
	const boot = "build/bootloader/bootloader.bin"
	image := files[boot]
	if image[2] != 2 { // dio
		t.Fatalf("the example's bootloader has mode %d", image[2])
	}
	image = append(image, bytes.Repeat([]byte{0xff}, (SectorSize-len(image)%SectorSize)%SectorSize)...)
	files[boot] = append(image, append([]byte{0xe7, 2}, make([]byte, SectorSize-2)...)...)
	l := exampleLayout(files)
	// The table follows at 0x8000; this bootloader and its signature fit before it.
	if plan, err := l.Plan(); err != nil || !bytes.Equal(plan.Regions[0].Data[:len(files[boot])], files[boot]) {
		t.Errorf("with the settings that it was built with: %v", err)
	}
	l.Mode = "qio"
	if _, err := l.Plan(); err == nil || !strings.Contains(err.Error(), "the bootloader is signed") {
		t.Errorf("with other settings: %v", err)
	}
}

func TestPlanWithoutEncryption(t *testing.T) {
	l := exampleLayout(exampleFiles(t))
	l.Encrypted = false
	plan, err := l.Plan()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range plan.Regions {
		if r.Encrypted {
			t.Errorf("%s is encrypted", r.Name)
		}
	}
	l.Images[0].Encrypt = &yes
	_, err = l.Plan()
	wantFaults(t, err, "build/bootloader/bootloader.bin: is to be encrypted, but the chip will not have flash encryption")
}

func TestPlanFaults(t *testing.T) {
	otherChip := func(b []byte) []byte {
		b = bytes.Clone(b)
		binary.LittleEndian.PutUint16(b[12:], 9)
		return seal(b[:len(b)-hashSize])
	}
	for _, v := range []struct {
		name   string
		change func(l *Layout, files map[string][]byte)
		want   []string
	}{
		{"chip", func(l *Layout, _ map[string][]byte) { l.Chip = "esp32x9" }, []string{`chip "esp32x9" is not supported`}},
		{"no files", func(l *Layout, f map[string][]byte) { delete(f, "build/ota_0.bin"); f["data/sys.bin"] = nil },
			[]string{"build/ota_0.bin: there is no such file; build the project", "data/sys.bin: the file is empty"}},
		{"no table", func(l *Layout, f map[string][]byte) { l.Table, l.Images = "", l.Images[:1] }, []string{"there is no partition table"}},
		{"table not there", func(l *Layout, f map[string][]byte) { delete(f, "partitions.csv") }, []string{"partitions.csv: there is no such file"}},
		{"table broken", func(l *Layout, f map[string][]byte) { f["partitions.csv"] = []byte("nvs,data,nvs,,4X\n") }, []string{`partitions.csv:1: size "4X"`}},
		{"tables differ", func(l *Layout, f map[string][]byte) {
			f["partitions.csv"] = bytes.Replace(f["partitions.csv"], []byte("rules"), []byte("rooms"), 1)
			l.Images = l.Images[:6]
		},
			[]string{"build/partition_table/partition-table.bin: is another partition table than partitions.csv; build the project again"}},
		{"no bootloader, no app", func(l *Layout, _ map[string][]byte) { l.Images = l.Images[1:2] }, []string{"there is no bootloader", "there is no app"}},
		{"no such partition", func(l *Layout, _ map[string][]byte) { l.Images[4].Partition = "system" },
			[]string{"data/sys.bin: there is no partition system; use one of nvs, otadata, factory, ota_0, sys, users, rules"}},
		{"too big", func(l *Layout, f map[string][]byte) { f["data/sys.bin"] = make([]byte, 320<<10+1) },
			[]string{"data/sys.bin: is 1 bytes too big for the partition sys (0x50000 bytes at 0x250000)", "data/users.bin: at 0x2a0000 overlaps data/sys.bin, which takes the flash up to 0x2a1000"}},
		{"bootloader too big", func(l *Layout, f map[string][]byte) {
			name := "build/bootloader/bootloader.bin"
			f[name] = append(bytes.Clone(f[name]), make([]byte, 0x7001-len(f[name]))...)
		}, []string{"bootloader.bin: the bootloader is 1 bytes too big: the partition table begins at 0x8000", "partition-table.bin: at 0x8000 overlaps build/bootloader/bootloader.bin"}},
		{"overlap", func(l *Layout, _ map[string][]byte) {
			l.Images = append(l.Images, ImageFile{File: "data/users.bin", Address: 0x251000})
		}, []string{"data/users.bin: at 0x251000 overlaps data/sys.bin, which takes the flash up to 0x260000; move one of them"}},
		{"no sector", func(l *Layout, _ map[string][]byte) { l.Images[4].Address, l.Images[4].Partition = 0x250010, "" },
			[]string{"data/sys.bin: address 0x250010 is not on a sector; use a multiple of 0x1000"}},
		{"app within its partition", func(l *Layout, _ map[string][]byte) { l.Images[2].Address = 0x11000 },
			[]string{"address 0x11000 is within the partition factory; an app begins with its partition, at 0x10000"}},
		{"other chip", func(l *Layout, f map[string][]byte) { f["build/ota_0.bin"] = otherChip(f["build/ota_0.bin"]) },
			[]string{"build/ota_0.bin: the app is built for the ESP32-S3, not for the ESP32; use the right build"}},
		{"damaged images", func(l *Layout, f map[string][]byte) {
			f["build/ota_0.bin"] = f["data/sys.bin"]
			f["build/bootloader/bootloader.bin"] = f["build/bootloader/bootloader.bin"][:9000]
		}, []string{"build/ota_0.bin: no ESP image: it begins with 0x73", "bootloader.bin: cut short: segment 1 has 14800 bytes, the file only 2880 more"}},
		{"flash too small", func(l *Layout, _ map[string][]byte) { l.FlashSize = 2 << 20 },
			[]string{"partitions.csv:6: ota_0 ends at 0x250000, beyond the flash of 2 MB", "partitions.csv:7: sys ends", "partitions.csv:8: users ends", "partitions.csv:9: rules ends"}},
		{"beyond the flash", func(l *Layout, f map[string][]byte) {
			l.Images = append(l.Images, ImageFile{File: "data/rules.bin", Address: 0x400000, Encrypt: &no})
		}, []string{"data/rules.bin: ends at 0x404000, beyond the flash of 4 MB"}},
		{"flash mode", func(l *Layout, _ map[string][]byte) { l.Mode = "fast" }, []string{`bootloader.bin: flash mode "fast" is not known`}},
		{"into a partition", func(l *Layout, f map[string][]byte) {
			l.Images = append(l.Images, ImageFile{File: "big", Address: 0x0, Encrypt: &yes})
			f["big"] = make([]byte, 0x9800)
		}, []string{"big: reaches into the partition nvs at 0x9000", "bootloader.bin: at 0x1000 overlaps big"}},
		{"otadata without its app", func(l *Layout, f map[string][]byte) {
			l.Images = append(slices.Delete(l.Images, 3, 4), ImageFile{File: "otadata.bin", Partition: "otadata"})
			f["otadata.bin"] = OTAData{{Seq: 1, State: OTAValid}}.Bytes()
		}, []string{"otadata starts ota_0, which gets no image"}},
		{"otadata broken", func(l *Layout, f map[string][]byte) {
			l.Images = append(l.Images, ImageFile{File: "otadata.bin", Partition: "otadata"})
			f["otadata.bin"] = make([]byte, 16)
		}, []string{"otadata.bin: otadata has 0x10 bytes, want 0x2000"}},
	} {
		t.Run(v.name, func(t *testing.T) {
			files := exampleFiles(t)
			l := exampleLayout(files)
			v.change(&l, files)
			plan, err := l.Plan()
			if plan != nil {
				t.Error("there is a plan all the same")
			}
			wantFaults(t, err, v.want...)
		})
	}
}

// manyKinds is a table with every kind of partition that matters for scope.
const manyKinds = `nvs,data,nvs,,16K
otadata,data,ota,,8K
keys,data,nvs_keys,,4K
phy,data,phy,,4K
vault,data,fat,,64K,encrypted
odd,data,nvs,,12K,encrypted
plain,0x40,1,,64K
factory,app,factory,,1M
rescue,bootloader,recovery,0x200000,
copy,partition_table,ota,,
`

// TestScope: what is encrypted, and that the contrary is refused with the
// reason.
func TestScope(t *testing.T) {
	boot := fixture(t, "example/build/bootloader/bootloader.bin")
	images := map[string][]byte{
		"keys": count(68), "otadata": EmptyOTAData(), "factory": fixture(t, "example/build/station-example.bin"), "rescue": boot,
	}
	layout := func(more ...ImageFile) Layout {
		return Layout{
			FlashSize: 8 << 20, Encrypted: true, Table: "t.csv",
			Images: append([]ImageFile{{File: "boot", Address: 0x1000}}, more...),
			Read: func(name string) ([]byte, error) {
				if name == "t.csv" {
					return []byte(manyKinds), nil
				}
				if data, ok := images[name]; ok {
					return data, nil
				}
				if name == "boot" {
					return boot, nil
				}
				return []byte("data"), nil
			},
		}
	}
	reasons := map[string]string{ // empty: stays plain
		"otadata": "otadata is always decrypted", "keys": "NVS keys are always decrypted", "factory": "apps are always decrypted",
		"vault": "its partition has the flag encrypted", "odd": "its partition has the flag encrypted",
		"rescue": "bootloaders and partition tables are always decrypted", "copy": "bootloaders and partition tables are always decrypted",
		"nvs": "", "phy": "", "plain": "",
	}
	var all []ImageFile
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		all = append(all, ImageFile{File: name, Partition: name})
	}
	all = append(all, ImageFile{File: "digest", Address: 0}, ImageFile{File: "spare", Address: 0x300000, Encrypt: &yes}, ImageFile{File: "raw", Address: 0x301000, Encrypt: &no})
	plan, err := layout(all...).Plan()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range plan.Regions {
		want := reasons[r.Name] != "" || slices.Contains([]string{"boot", "partition-table", "digest", "spare"}, r.Name)
		if r.Encrypted != want {
			t.Errorf("%s: encrypted %t, want %t", r.Name, r.Encrypted, want)
		}
	}
	if len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "odd has the flag encrypted; the NVS library refuses") {
		t.Errorf("got warnings %q", plan.Warnings)
	}

	for n, image := range all[:len(reasons)] {
		want := "is to stay plain, but " + reasons[image.File] + "; drop encrypt = false"
		all[n].Encrypt = &no
		if reasons[image.File] == "" {
			all[n].Encrypt = &yes
			want = "is to be encrypted, but "
		}
		_, err := layout(all...).Plan()
		wantFaults(t, err, image.File+": "+want)
		all[n].Encrypt = nil
	}
	all[len(reasons)+1].Encrypt = nil
	_, err = layout(all...).Plan()
	wantFaults(t, err, "spare: at 0x300000 is in no partition; write encrypt = true or encrypt = false")
}

func TestFixedScope(t *testing.T) {
	for n, want := range []string{"the ROM decrypts the bootloader", "the bootloader decrypts the partition table"} {
		l := exampleLayout(exampleFiles(t))
		l.Images[n].Encrypt = &no
		_, err := l.Plan()
		wantFaults(t, err, "is to stay plain, but "+want+"; drop encrypt = false")
	}
	files := exampleFiles(t)
	l := exampleLayout(files)
	l.FlashSize = 32 << 20
	l.Images = append(l.Images, ImageFile{File: "far", Address: 0xfff000, Encrypt: &yes})
	files["far"] = make([]byte, 0x1001)
	_, err := l.Plan()
	wantFaults(t, err, "far: ends beyond 0x1000000, which flash encryption of the ESP32 cannot reach")
}

// The bootloader looks at one app first; that one must be there.
func TestPlanRefusesAnEmptyFirstApp(t *testing.T) {
	l := exampleLayout(exampleFiles(t))
	l.Images = slices.Delete(l.Images, 2, 3)
	_, err := l.Plan()
	wantFaults(t, err, "the app partition factory gets no image, and the bootloader looks for it first")

	files := exampleFiles(t)
	files["boot_app0.bin"] = fixture(t, "cases/arduino-boot_app0/boot_app0.bin")
	l = exampleLayout(files)
	l.Images = append(slices.Delete(l.Images, 2, 3), ImageFile{File: "boot_app0.bin", Partition: "otadata"})
	if plan, err := l.Plan(); err != nil || len(plan.Warnings) > 0 {
		t.Errorf("otadata chooses ota_0: got %v", err)
	}
	files["boot_app0.bin"] = bytes.Repeat([]byte{0x5a}, OTADataSize)
	_, err = l.Plan()
	wantFaults(t, err, "the app partition factory gets no image")
	l = exampleLayout(files)
	l.Images = append(l.Images, ImageFile{File: "boot_app0.bin", Partition: "otadata"})
	if plan, err := l.Plan(); err != nil || len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "no entry of this otadata has a right CRC") {
		t.Errorf("otadata of anything: got %v", err)
	}
}

// What the job names for a partition or an address wins over the build's image
// for it, whose file need not be there.
func TestTheJobsImageWins(t *testing.T) {
	for _, own := range []ImageFile{{File: "own.bin", Partition: "factory"}, {File: "own.bin", Address: 0x10000}} {
		files := exampleFiles(t)
		files["own.bin"] = files["build/station-example.bin"]
		delete(files, "build/station-example.bin")
		l := exampleLayout(files)
		l.Images[2].Build = true
		l.Images = append(l.Images, ImageFile{File: "build/bootloader/none.bin", Address: 0x1000, Build: true}, own)
		plan, err := l.Plan()
		if err != nil {
			t.Fatalf("%+v: %v", own, err)
		}
		if r := plan.Regions[3]; r.Name != "own" || r.Address != 0x10000 || r.Version != "1.0.0" {
			t.Errorf("%+v: got\n%s", own, summary(plan))
		}
	}
	// Wherever in the partition the build's image lies.
	l := exampleLayout(exampleFiles(t))
	l.Images = append(l.Images, ImageFile{File: "build/none.bin", Address: 0x2a1000, Build: true})
	if plan, err := l.Plan(); err != nil || !strings.Contains(summary(plan), "users 0x2a0000") {
		t.Errorf("got %v, %v", plan, err)
	}
}

// A table signed for secure boot V1 has 68 bytes behind its 0xC00.
func TestPlanTakesASignedTable(t *testing.T) {
	files := exampleFiles(t)
	const name = "build/partition_table/partition-table.bin"
	files[name] = append(pad(files[name], TableSize)[:TableSize:TableSize], count(v1Signature)...)
	plan, err := exampleLayout(files).Plan()
	if err != nil {
		t.Fatal(err)
	}
	if r := plan.Regions[1]; r.Size != 3168 || !bytes.HasPrefix(r.Data, files[name]) {
		t.Errorf("got %d bytes, want the 3140 of the file and padding", r.Size)
	}
}

// The text that a binary is made of is not flashed in its stead.
func TestPlanRefusesTextForABinary(t *testing.T) {
	files := exampleFiles(t)
	l := exampleLayout(files)
	l.Table = ""
	l.Images[1].File = "partitions.csv"
	_, err := l.Plan()
	wantFaults(t, err, "partitions.csv: is the CSV of a partition table; name a CSV as partition_table")
	l = exampleLayout(files)
	l.Images[4].File = "partitions.csv"
	files["nvs.csv"] = []byte("\ufeffkey,type,encoding,value\r\ncfg,namespace,,\r\n")
	l.Images = append(l.Images, ImageFile{File: "nvs.csv", Partition: "nvs"})
	_, err = l.Plan()
	wantFaults(t, err, "partitions.csv: is the CSV of a partition table, which the firmware cannot use",
		"nvs.csv: is the CSV of an NVS partition")
}

// NVS refuses such a partition at run time, whether it gets an image or not.
func TestPlanWarnsOfEncryptedNVS(t *testing.T) {
	files := exampleFiles(t)
	files["partitions.csv"] = fixture(t, "cases/nvs-encrypted-flag/partitions.csv")
	l := exampleLayout(files)
	l.Images = slices.Delete(l.Images, 1, 2)
	plan, err := l.Plan()
	if err != nil || len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "nvs has the flag encrypted") {
		t.Errorf("got %v, %v", plan, err)
	}
	l.Encrypted = false
	if plan, err := l.Plan(); err != nil || len(plan.Warnings) != 0 {
		t.Errorf("without flash encryption: got %v, %v", plan, err)
	}
}

func TestUnreadable(t *testing.T) {
	l := exampleLayout(nil)
	l.Read = func(string) ([]byte, error) {
		return nil, &fs.PathError{Op: "read", Path: "x", Err: errors.New("disk on fire")}
	}
	l.Images = l.Images[:2]
	_, err := l.Plan()
	wantFaults(t, err, "bootloader.bin: disk on fire", "partition-table.bin: disk on fire", "partitions.csv: disk on fire")
}

// What all images have together is bounded too: what comes behind is not read.
func TestImagesAreBoundedTogether(t *testing.T) {
	read := 0
	l := Layout{FlashSize: 4 << 20, Read: func(string) ([]byte, error) {
		read++
		return make([]byte, 30<<20), nil
	}}
	for n := range 100 {
		l.Images = append(l.Images, ImageFile{File: fmt.Sprintf("%d.bin", n), Address: uint32(n) << 12})
	}
	if _, err := l.Plan(); err == nil || read != 3 || !strings.Contains(err.Error(), "3.bin: it is not read: the images before it have more than 64 MB") {
		t.Errorf("%d images were read: %v", read, err)
	}
}
