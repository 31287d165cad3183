package job

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The files of the example job, for tests that change one of them.
func exampleDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../fixtures/example")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func edit(t *testing.T, path string, pairs ...string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(string(b), pairs[i]) {
			t.Fatalf("%s holds no %q", path, pairs[i])
		}
	}
	if err := os.WriteFile(path, []byte(strings.NewReplacer(pairs...).Replace(string(b))), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestExampleJob(t *testing.T) {
	job, err := Load("../../fixtures/example/job.toml")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range job.Regions {
		how := "plain"
		if r.Encrypted {
			how = "encrypted"
		}
		got = append(got, strings.Join([]string{r.Name, how}, " "))
	}
	want := "bootloader encrypted, partition-table encrypted, otadata encrypted, app encrypted, ota_0 encrypted, sys plain, users plain, rules plain"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
	if job.CryptConfig() != 15 || job.Locks() || len(job.Warnings) != 0 {
		t.Errorf("config %d, locks %t, warnings %q", job.CryptConfig(), job.Locks(), job.Warnings)
	}
}

func TestDigestsChangeWithWhatTheyName(t *testing.T) {
	dir := exampleDir(t)
	path := filepath.Join(dir, "job.toml")
	before, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	edit(t, path, `mode = "release"`, "mode = \"release\"\nfuses = { UART_DOWNLOAD_DIS = 1 }")
	fuses, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if fuses.PlanDigest() == before.PlanDigest() || fuses.Digest() == before.Digest() {
		t.Error("a fuse more does not change the digests")
	}
	if !fuses.Locks() {
		t.Error("UART_DOWNLOAD_DIS makes no lock step")
	}
	edit(t, path, `timeout = "10s"`, `timeout = "20s"`)
	wait, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if wait.PlanDigest() == fuses.PlanDigest() || wait.Digest() != fuses.Digest() {
		t.Error("a timeout has to be approved, and makes no other devices")
	}
}

func TestJobFaultsNameFileLineAndFix(t *testing.T) {
	for _, c := range []struct {
		name  string
		edits []string
		want  []string
	}{
		{"unknown key", []string{"baud = 921600", "boud = 921600"}, []string{`job.toml:16: flash.boud: unknown key; did you mean "baud"?`}},
		{"several at once", []string{`chip = "esp32"`, `chip = "esp32x9"`, `size = "4MB"`, `size = "4 melons"`},
			[]string{`job.toml:13: flash.size: "4 melons" is not a size; write it like 4MB`}},
		{"chip and policy", []string{`chip = "esp32"`, `chip = "esp32x9"`, `policy = "derived" `, `policy = "guessed" `},
			[]string{`job.toml:5: chip: "esp32x9" is not known; write one of esp32`, `key.policy: "guessed" is not known`}},
		{"length of the key", []string{`policy = "derived" `, "bits = 512\npolicy = \"derived\" "}, []string{"job.toml:35: key.bits: 512: the ESP32 takes keys of [256] bits for flash encryption"}},
		{"all at once", []string{`name = "station-example"`, `nme = "station-example"`, `size = "4MB"`, `size = "banana"`, `mode = "dio"`, `mode = "dip"`,
			`policy = "derived" `, `policy = "derivd" `, `timeout = "10s"`, `timeout = "xx"`, `partition = "users"`, `partition = 7`, "data/rules.bin", "data/rulez.bin", `mode = "release"`, `mode = "relase"`},
			[]string{`job.toml:3: nme: unknown key; did you mean "name"?`, `job.toml:13: flash.size: "banana" is not a size`, `job.toml:14: flash.mode: "dip" is not known`, `did you mean "dio"?`,
				`key.policy: "derivd" is not known; write one of derived, random, shared; did you mean "derived"?`, `boot.timeout: "xx" is not a time`,
				`job.toml:28: image.2.partition: is a whole number, want text`, `job.toml:30: image.3: `, `rulez.bin: there is no such file`, `security.mode: "relase" is not known`, `did you mean "release"?`}},
		{"loader", []string{"baud = 921600", `loader = "stub"`}, []string{`job.toml:16: flash.loader: "stub" is not known; write one of rom, ram`}},
		{"marker with a control character", []string{`marker = "station-example: ready"`, `marker = "ready\r\n"`}, []string{"boot.marker: it holds control characters"}},
		{"marker too long", []string{`marker = "station-example: ready"`, `marker = "` + strings.Repeat("x", 257) + `"`}, []string{"boot.marker: it has 257 bytes, at most 256"}},
		{"missing marker", []string{`marker = "station-example: ready"`, ``}, []string{"boot.marker: is missing; write a text that the firmware prints"}},
		{"blank marker", []string{`marker = "station-example: ready"`, `marker = "   "`}, []string{`job.toml:42: boot.marker: "   " is blank, which any firmware prints; write a text`}},
		{"marker of fillers", []string{`marker = "station-example: ready"`, `marker = "\u3164\u2800"`}, []string{`job.toml:42: boot.marker: `, "is blank"}},
		{"names of nothing", []string{`name = "station-example"`, `name = " \u2800"`, `revision = "1"`, `revision = " "`},
			[]string{`job.toml:3: name: `, `cannot be used: it is blank; write name = "product"`, `job.toml:4: revision: " " cannot be used: it is blank; write revision = "1" and count it up`}},
		{"names that act", []string{`name = "station-example"`, `name = "lamp\u202e"`, `revision = "1"`, `revision = "1\u001b[2J"`},
			[]string{`job.toml:3: name: "lamp\u202e" cannot be used: it holds characters that cannot be seen`, `job.toml:4: revision: "1\x1b[2J" cannot be used: it holds characters`}},
		{"names that are paths", []string{`name = "station-example"`, `name = "../../x"`, `revision = "1"`, `revision = "` + strings.Repeat("1", 300) + `"`},
			[]string{`job.toml:3: name: "../../x" cannot be used: it would be a path`, `cannot be used: it is longer than 100 bytes`}},
		{"missing file", []string{"build/ota_0.bin", "build/ota_9.bin"}, []string{"ota_9.bin: there is no such file; build the project"}},
		{"no build", []string{"build/flasher_args.json", "build/none.json"}, []string{"job.toml:8: flasher_args: open ", "none.json: no such file"}},
		{"no build of this product", []string{"build/flasher_args.json", "partitions.csv"}, []string{"partitions.csv:1: not a flasher_args.json"}},
		{"weak config", []string{`mode = "release"`, "mode = \"release\"\nflash_crypt_config = 0"}, []string{"FLASH_CRYPT_CONFIG = 0 weakens"}},
		{"forbidden fuse", []string{`mode = "release"`, "mode = \"release\"\nfuses = { DIS_CACHE = 1 }"}, []string{"DIS_CACHE"}},
		{"secure boot v1 without signed images", []string{`mode = "release"`, "mode = \"release\"\nfuses = { ABS_DONE_0 = 1 }"}, []string{"job.toml:40: security.fuses.ABS_DONE_0: switches secure boot on"}},
		{"secure boot v2 in a table", []string{`mode = "release"`, "mode = \"release\"\n[security.fuses]\nABS_DONE_1 = 1"}, []string{"job.toml:41: security.fuses.ABS_DONE_1: switches secure boot on"}},
		{"data in an app partition", []string{`partition = "sys"`, `partition = "factory"`}, []string{"sys.bin: no ESP image"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(exampleDir(t), "job.toml")
			edit(t, path, c.edits...)
			_, err := Load(path)
			if err == nil {
				t.Fatal("the job was accepted")
			}
			if c.name == "all at once" && strings.Count(err.Error(), "\n") != 7 {
				t.Errorf("want 8 faults, each once, in\n%v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("want %q in\n%v", want, err)
				}
			}
		})
	}
}

func TestWeakConfigIsAllowedByNameAndWarned(t *testing.T) {
	path := filepath.Join(exampleDir(t), "job.toml")
	edit(t, path, `mode = "release"`, "mode = \"release\"\nflash_crypt_config = 0\nallow_weak_flash_crypt_config = true")
	job, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if job.CryptConfig() != 0 || len(job.Warnings) != 1 || !strings.Contains(job.Warnings[0], "equal blocks look equal") {
		t.Errorf("config %d, warnings %q", job.CryptConfig(), job.Warnings)
	}
}

func FuzzJob(f *testing.F) {
	b, err := os.ReadFile("../../fixtures/example/job.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("[[image]]\nfile='x'\naddress=1\n[security.fuses]\nWR_DIS=3\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		job, err := Parse(filepath.Join(t.TempDir(), "job.toml"), data)
		if (job == nil) == (err == nil) {
			t.Fatalf("job %v, error %v", job, err)
		}
	})
}

// A job of which the partition table cannot be known is refused for what is wrong with it, whatever
// wants a partition of its own.
func TestNoPartitionTable(t *testing.T) {
	tables := map[string]string{
		"token": "[identity]\ntoken = true\n\n[boot]",
		"nvs":   "[identity]\nkind = \"nvs\"\ntemplate = \"t.csv\"\nkeys = \"nvs_keys\"\n\n[boot]",
	}
	const table, image = "partition_table = \"partitions.csv\"\n", "[[image]]\nfile = \"bootloader.bin\""
	for _, v := range []struct {
		name, with, first string // in place of the table, and before the first image
		want              string
	}{
		{"no table", "", "", "there is no partition table"},
		{"a table that is none", "", "[[image]]\nfile = \"sys.bin\"\naddress = 0x8000\n\n", "is no partition table"},
		{"an image that is not there", "", "[[image]]\nfile = \"missing.bin\"\naddress = 0x8000\n\n", "there is no such file"},
		{"an image of no place", "", "[[image]]\nfile = \"sys.bin\"\naddress = \"where\"\n\n", "image.0.address: is text"},
		{"no build", "flasher_args = \"missing.json\"\n", "", "flasher_args: open"},
		{"a table that is not there", "partition_table = \"missing.csv\"\n", "", "there is no such file"},
	} {
		for kind, identity := range tables {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS("../../fixtures/small")); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "t.csv"), []byte("key,type,encoding,value\na,namespace,,\nid,data,string,{id}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "job.toml")
			edit(t, path, table, v.with, image, v.first+image, "[boot]", identity)
			if _, err := Load(path); err == nil || !strings.Contains(err.Error(), v.want) {
				t.Errorf("%s, %s: %v", v.name, kind, err)
			}
		}
	}
}
