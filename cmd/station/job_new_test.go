package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/firmware"
	"station/internal/job"
)

// A build for a chip of every family, with every length of key and kind of signing key
// that the family has, becomes a job that says so and contradicts nothing of the build.
func TestJobNewOfEveryFamily(t *testing.T) {
	sizes := map[int]string{128: "AES128_DERIVED", 256: "AES128", 512: "AES256"}
	schemes := map[chip.SigningKey]string{
		chip.RSA3072: "CONFIG_SECURE_SIGNED_APPS_RSA_SCHEME=y\n",
		chip.P256:    "CONFIG_SECURE_SIGNED_APPS_ECDSA_V2_SCHEME=y\nCONFIG_SECURE_BOOT_ECDSA_KEY_LEN_256_BITS=y\n",
		chip.P384:    "CONFIG_SECURE_SIGNED_APPS_ECDSA_V2_SCHEME=y\nCONFIG_SECURE_BOOT_ECDSA_KEY_LEN_384_BITS=y\n",
	}
	for _, f := range chip.Families[1:] {
		for _, bits := range slices.Sorted(maps.Keys(f.Seal.FlashKeys)) {
			text := newJob(t, f, fmt.Sprintf("CONFIG_IDF_TARGET=%q\nCONFIG_SECURE_FLASH_ENC_ENABLED=y\nCONFIG_SECURE_FLASH_ENCRYPTION_%s=y\n", f.Name, sizes[bits]), bits)
			if says := strings.Contains(text, fmt.Sprintf("\nbits = %d ", bits)); says != (bits != chip.UsualKeyBits) {
				t.Errorf("%s, %d bits: the job says %t", f.Name, bits, says)
			}
			if tabled := strings.Contains(text, "allow_tabled = true }"); tabled == f.Proved {
				t.Errorf("%s: the job says how a tabled chip is allowed: %t", f.Name, tabled)
			}
		}
		for _, kind := range f.Seal.SecureBoot[2].Keys {
			text := newJob(t, f, "CONFIG_SECURE_BOOT=y\nCONFIG_SECURE_BOOT_V2_ENABLED=y\n"+schemes[kind], chip.UsualKeyBits)
			for _, want := range []string{"# Secure boot is ON in the build, with " + string(kind) + " keys:", "# The " + f.Title + " takes " + f.SignedBy() + ".\n", "# version = 2\n"} {
				if !strings.Contains(text, want) {
					t.Errorf("%s, %s: no %q in\n%s", f.Name, kind, want, text)
				}
			}
			for flag, of := range map[string]chip.SigningKey{"--type p-256": chip.P256, "--type p-384": chip.P384} {
				if says := strings.Contains(text, flag); says != (kind == of) {
					t.Errorf("%s, %s: it says %s: %t", f.Name, kind, flag, says)
				}
			}
		}
	}
}

// A build for keys that nobody signs with here says so, and what to build for.
func TestJobNewForP192(t *testing.T) {
	text := newJob(t, chip.ESP32C2, "CONFIG_SECURE_BOOT=y\nCONFIG_SECURE_BOOT_V2_ENABLED=y\nCONFIG_SECURE_SIGNED_APPS_ECDSA_V2_SCHEME=y\nCONFIG_SECURE_BOOT_ECDSA_KEY_LEN_192_BITS=y\n", chip.UsualKeyBits)
	if want := "# The build's secure boot is for ECDSA P-192 keys, which are too weak: set CONFIG_SECURE_BOOT_ECDSA_KEY_LEN_256_BITS"; !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}

// Keys for HMACs that a build asks for are proposed, with the block that it names: the one
// of NVS as it stands, the one of updates behind a #, for it has to be made first.
func TestJobNewWithKeysForHMACs(t *testing.T) {
	const nvs, ours, theirs = "CONFIG_NVS_SEC_KEY_PROTECT_USING_HMAC=y\n", "CONFIG_SECURE_OTA_HMAC_KEY=y\nCONFIG_SECURE_OTA_HMAC_KEY_ID=4\n", "CONFIG_PRE_ENCRYPTED_OTA_USE_ECIES=y\n"
	for _, c := range []struct {
		config string
		want   []string
		not    string
	}{
		{"", nil, "key_id"},
		{nvs + "CONFIG_NVS_SEC_HMAC_EFUSE_KEY_ID=2\n", []string{"\n[hmac]\nkey_id = 2 "}, "[ota]"},
		{nvs + "CONFIG_NVS_SEC_HMAC_EFUSE_KEY_ID=-1\n", []string{"\n# [hmac]\n# key_id = 0\n", "write its number"}, "\n[hmac]"},
		{ours, []string{"\n# [ota]\n# key_id = 4   # as the build's", "\n# label = \"fleet-ota\"\n", "station key new --label fleet-ota"}, "[hmac]"},
		{theirs, []string{"\n# [ota]\n# key_id = 0   # write hmac_key_id"}, "[hmac]"},
		{nvs + "CONFIG_NVS_SEC_HMAC_EFUSE_KEY_ID=5\n" + ours, []string{"\n[hmac]\nkey_id = 5 ", "\n# [ota]\n# key_id = 4 "}, "\n[ota]"},
	} {
		text := newJob(t, chip.ESP32C3, "CONFIG_IDF_TARGET=\"esp32c3\"\n"+c.config, chip.UsualKeyBits)
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%q: no %q in\n%s", c.config, want, text)
			}
		}
		if strings.Contains(text, c.not) {
			t.Errorf("%q: there is %q in\n%s", c.config, c.not, text)
		}
	}
}

// newJob is the job of a family's build: its fixture, with that sdkconfig. It loads, with
// a key of so many bits, and with a warning of secure boot and of
// a tabled chip alone.
func newJob(t *testing.T, f *chip.Family, sdkconfig string, bits int) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../fixtures/chips/"+f.Name)); err != nil {
		t.Fatal(err)
	}
	csv, err := os.ReadFile(filepath.Join(dir, "partitions.csv"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := firmware.ParseCSV("partitions.csv", csv, firmware.TableOptions{Offset: firmware.DefaultTableOffset, FlashSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{fmt.Sprintf("%#x", f.Bootloader): "bootloader.bin", fmt.Sprintf("%#x", firmware.DefaultTableOffset): "table.bin"}
	for _, p := range table.Partitions {
		if p.Type == firmware.TypeApp {
			files[fmt.Sprintf("%#x", p.Offset)] = "app.bin"
		}
	}
	args, err := json.Marshal(map[string]any{"flash_files": files, "flash_settings": map[string]string{"flash_size": "1MB"}, "extra_esptool_args": map[string]string{"chip": f.Name}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"table.bin": table.Binary(), "flasher_args.json": args, "sdkconfig": []byte(sdkconfig)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "new.toml")
	root := rootCommand()
	root.SetArgs([]string{"job", "new", filepath.Join(dir, "flasher_args.json"), "--name", "lamp", "--marker", "station-example: ready", "--out", path})
	root.SetErr(new(strings.Builder))
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	j, err := job.Load(path)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if got := cmp.Or(j.Key.Bits, chip.UsualKeyBits); got != bits || j.Chip() != f {
		t.Errorf("%s: a key of %d bits for the %s, want %d", f.Name, got, j.ChipName(), bits)
	}
	for _, warning := range j.Warnings {
		if !slices.ContainsFunc([]string{"secure boot is on, and the job has none", "is tabled", "ECDSA P-192 keys, which are too weak", "write [ota]", "and the job has none: it burns one of its own"}, func(s string) bool { return strings.Contains(warning, s) }) {
			t.Errorf("%s: %s", f.Name, warning)
		}
	}
	return string(text)
}
