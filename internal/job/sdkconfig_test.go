package job

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/firmware"
)

// What the build beside the job says against it is a warning; a build that
// agrees is silent.
func TestSdkconfigThatContradicts(t *testing.T) {
	const fits = "CONFIG_IDF_TARGET=\"esp32\"\nCONFIG_ESP_CONSOLE_UART_BAUDRATE=115200\nCONFIG_PARTITION_TABLE_OFFSET=0x8000\nCONFIG_ESPTOOLPY_FLASHSIZE=\"4MB\"\n# CONFIG_SECURE_BOOT is not set\n"
	for _, c := range []struct{ line, want string }{
		{"", ""},
		{"CONFIG_SECURE_FLASH_ENC_ENABLED=y\nCONFIG_SECURE_FLASH_ENCRYPTION_MODE_RELEASE=y\n", ""},
		{"CONFIG_SECURE_BOOT=y\n", "secure boot is on, and the job has none"},
		{"CONFIG_SECURE_BOOT_ENABLED=y\n", "secure boot is on"},
		{"CONFIG_SECURE_FLASH_ENCRYPTION_MODE_DEVELOPMENT=y\n", "flash encryption is in development mode"},
		{"CONFIG_SECURE_FLASH_ENCRYPTION_AES256=y\n", "write bits = 512 under [key]"},
		{"CONFIG_SECURE_FLASH_ENCRYPTION_AES128_DERIVED=y\n", "write bits = 128 under [key]"},
		{"CONFIG_SECURE_FLASH_ENCRYPTION_AES128=y\n", ""},
		{"CONFIG_ESP_CONSOLE_NONE=y\n", "the console is off"},
		{"CONFIG_CONSOLE_UART_NONE=y\r\n", "the console is off"},
		{"CONFIG_ESP_CONSOLE_UART_BAUDRATE=921600\n", "the console is at 921600 baud, the job listens at 115200; write baud = 921600 under [boot]"},
		{"CONFIG_PARTITION_TABLE_OFFSET=0x9000\n", "write partition_table_offset = 0x9000"},
		{"CONFIG_ESPTOOLPY_FLASHSIZE=\"8MB\"\n", "the flash has 8MB, the job says 4MB"},
		{"CONFIG_IDF_TARGET=\"esp32s3\"\n", "it is for the esp32s3"},
	} {
		dir := exampleDir(t)
		if err := os.WriteFile(filepath.Join(dir, "sdkconfig"), []byte(fits+c.line), 0o644); err != nil {
			t.Fatal(err)
		}
		job, err := Load(filepath.Join(dir, "job.toml"))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(job.Warnings, "\n"); c.want == "" && got != "" || !strings.Contains(got, c.want) || len(job.Warnings) > 1 {
			t.Errorf("%q: got warnings %q, want %q", c.line, job.Warnings, c.want)
		}
	}
}

// What depends on the job: a build that fits one contradicts another.
func TestSdkconfigForJobsOfOtherKinds(t *testing.T) {
	v1, v2 := SecureBoot{Version: 1, kind: chip.P256}, SecureBoot{Version: 2, kind: chip.RSA3072}
	for _, c := range []struct {
		boot       SecureBoot
		mode, text string
		want       string
	}{
		{SecureBoot{}, "release", "", ""},
		{SecureBoot{}, "release", "CONFIG_SECURE_BOOT=y", "the job has none"},
		{v1, "release", "CONFIG_SECURE_BOOT=y\nCONFIG_SECURE_BOOT_V1_ENABLED=y", ""},
		{v1, "release", "CONFIG_SECURE_BOOT_ENABLED=y", ""},
		{v1, "release", "CONFIG_SECURE_BOOT=y\nCONFIG_SECURE_BOOT_V2_ENABLED=y", "secure boot is version 2, the job's is version 1"},
		{v2, "release", "CONFIG_SECURE_BOOT=y\nCONFIG_SECURE_BOOT_V2_ENABLED=y", ""},
		{v2, "release", "CONFIG_SECURE_BOOT_ENABLED=y", "secure boot is version 1, the job's is version 2"},
		{v2, "release", "CONFIG_SECURE_BOOT=y\nCONFIG_SECURE_BOOT_V2_ENABLED=y\nCONFIG_SECURE_SIGNED_APPS_RSA_SCHEME=y", ""},
		{v2, "release", "CONFIG_SECURE_BOOT=y\nCONFIG_SECURE_BOOT_V2_ENABLED=y\nCONFIG_SECURE_SIGNED_APPS_ECDSA_V2_SCHEME=y", "checks signatures of ECDSA P-256 keys, the job's keys are RSA-3072"},
		{v2, "release", "CONFIG_SECURE_BOOT=y\nCONFIG_SECURE_BOOT_V2_ENABLED=y\nCONFIG_SECURE_SIGNED_APPS_ECDSA_V2_SCHEME=y\nCONFIG_SECURE_BOOT_ECDSA_KEY_LEN_192_BITS=y", "too weak and not signed with here; set CONFIG_SECURE_BOOT_ECDSA_KEY_LEN_256_BITS"},
		{v2, "release", "CONFIG_A=y", "secure boot is off"},
		{v2, "release", "", ""}, // there is no sdkconfig
		{SecureBoot{}, "development", "CONFIG_SECURE_FLASH_ENCRYPTION_MODE_DEVELOPMENT=y", ""},
		{SecureBoot{}, "development", "CONFIG_SECURE_FLASH_ENCRYPTION_MODE_RELEASE=y", "the firmware burns the fuses that a development job leaves open"},
	} {
		job := &Job{SecureBoot: c.boot}
		job.Security.Mode = c.mode
		got := strings.Join(parseConfig(c.text).contradicts(job), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%q for secure boot %d, mode %s: got %q, want %q", c.text, c.boot.Version, c.mode, got, c.want)
		}
	}
}

func TestDoubts(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`size = "4MB"`, `size = "8MB"`, "flash.size: the job says 8MB, the build is for 4MB; see which one the module has"},
		{"baud = 921600", "baud = 12345", "flash.baud: 12345 is no usual rate"},
		{`timeout = "10s"`, "timeout = \"10s\"\nbaud = 74880", ""},
		{`timeout = "10s"`, "timeout = \"10s\"\nbaud = 74881", "boot.baud: 74881 is no usual rate"},
		{`name = "station-example"`, `name = "Lampe 7 (Süd) 设备"`, ""},
		{`marker = "station-example: ready"`, `marker = " ok "`, `boot.marker: "ok" has fewer than 4 bytes, and other lines of the console may hold it`},
		{"station-example: ready", "example: ready", ""},
		{"example: ready", "example: raedy", `no image of the job holds the text "station-example: raedy"`},
	} {
		path := filepath.Join(exampleDir(t), "job.toml")
		edit(t, path, c.old, c.new)
		job, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(job.Warnings, "\n"); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q", c.new, got)
		}
	}
}

func TestVersionThatNoCommitHolds(t *testing.T) {
	job := &Job{Regions: []firmware.Region{{Name: "app", Version: "v1.2-3-gabcdef0-dirty"}, {Name: "other", Version: "v1.2"}}}
	job.Boot.Marker = "ready"
	job.doubts()
	if got := strings.Join(job.Warnings, "\n"); !strings.Contains(got, "app: version v1.2-3-gabcdef0-dirty was built from files that no commit holds") || strings.Contains(got, "other") {
		t.Errorf("got %q", got)
	}
}

func FuzzSdkconfig(f *testing.F) {
	f.Add("CONFIG_A=y\nCONFIG_B=\"x\"\r\n# CONFIG_C is not set\nCONFIG_=\n=\n")
	f.Fuzz(func(_ *testing.T, text string) {
		parseConfig(text).contradicts(&Job{})
	})
}
