package job

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// laterJobWith is the small product of a chip, with more before its table [boot].
func laterJobWith(t *testing.T, chip, more string, pairs ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../fixtures/chips/"+chip)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "job.toml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(append([]string{"[boot]\n", more + "\n[boot]\n"}, pairs...)...).Replace(string(data))
	for name, content := range map[string]string{path: text, filepath.Join(dir, "identity.csv"): "key,type,encoding,value\ndevice,namespace,,\nid,data,string,{id}\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

const nvsByHMAC = "[identity]\nkind = \"nvs\"\ntemplate = \"identity.csv\"\nhmac = true\nprints = \"identity: {id}\"\n"

// A key for HMACs is refused where the chip has none, or no block for it; what is wrong
// with its table is told with its line.
func TestHMACFaults(t *testing.T) {
	const key = "[hmac]\nkey_id = 2\n"
	for _, v := range []struct{ chip, more, want string }{
		{"esp32c3", key, ""},
		{"esp32c3", key + nvsByHMAC, ""},
		{"esp32c2", key, "hmac: the ESP32-C2 does not compute HMACs with a key in its fuses; leave [hmac] out"},
		{"esp32c61", key, "hmac: the ESP32-C61 does not compute HMACs"},
		{"esp32c3", "[hmac]\n", "hmac.key_id: write the number of the key block that the firmware names, 0 to 5 (CONFIG_NVS_SEC_HMAC_EFUSE_KEY_ID)"},
		{"esp32c3", "[hmac]\nkey_id = 6\n", "hmac.key_id: write the number"},
		{"esp32c3", "[hmac]\nkey_id = -1\n", "hmac.key_id: write the number"},
		{"esp32c3", key + "policy = \"own\"\n", "hmac.policy: \"own\" is not known"},
		{"esp32c3", key + "policy = \"random\"\nprf = \"aes-cmac\"\n", "hmac.prf: belongs to policy = \"derived\" alone"},
		{"esp32c3", key + "escrow = \"nowhere.pem\"\n", "hmac.escrow: "},
		{"esp32c3", key + "[identity]\nhmac = true\n", "identity.kind: \"esp_secure_cert\" has no template and no keys"},
		{"esp32c3", nvsByHMAC, "identity.hmac: the devices have no key for HMACs; write [hmac] with key_id"},
		{"esp32c3", key + nvsByHMAC + "keys = \"nvs_keys\"\n", "identity.keys: is a partition of keys, and with hmac = true the chip makes them"},
	} {
		_, err := Load(laterJobWith(t, v.chip, v.more))
		switch {
		case v.want == "" && err != nil, v.want != "" && (err == nil || !strings.Contains(err.Error(), v.want) || !strings.Contains(err.Error(), "job.toml:")):
			t.Errorf("%s, %q: got %v, want %q", v.chip, v.more, err, v.want)
		}
	}
	for _, v := range []struct{ chip, more, want string }{
		{"esp32c3", key + "[ota]\nkey_id = 3\nlabel = \"fleet\"\n", ""},
		{"esp32c3", "[ota]\nkey_id = 0\nlabel = \"fleet\"\n", ""},
		{"esp32c61", "[ota]\nkey_id = 3\nlabel = \"fleet\"\n", "ota: the ESP32-C61 does not compute HMACs with a key in its fuses; leave [ota] out"},
		{"esp32c3", "[ota]\nlabel = \"fleet\"\n", "ota.key_id: write the number of the key block that the firmware names, 0 to 5 (hmac_key_id of its esp_decrypt_cfg_t)"},
		{"esp32c3", "[ota]\nkey_id = 3\n", "ota.label: is missing"},
		{"esp32c3", "[ota]\nkey_id = 3\nlabel = \"station-master\"\n", "ota.label: is that of another key of the devices"},
		{"esp32c3", key + "[ota]\nkey_id = 2\nlabel = \"fleet\"\n", "ota.key_id: is that of [hmac]; one block holds one key"},
		{"esp32c3", "[ota]\nkey_id = 3\nlabel = \"fleet\"\npolicy = \"derived\"\n", "unknown key"},
	} {
		_, err := Load(laterJobWith(t, v.chip, v.more))
		if v.want == "" && err != nil || v.want != "" && (err == nil || !strings.Contains(err.Error(), v.want) || !strings.Contains(err.Error(), "job.toml:")) {
			t.Errorf("%s, %q: got %v, want %q", v.chip, v.more, err, v.want)
		}
	}
	_, err := Load(laterJobWith(t, "esp32c3", "[hmac]\nkey_id = 2\npolicy = \"shared\"\n", `policy = "derived"`, `policy = "shared"`))
	if err == nil || !strings.Contains(err.Error(), "hmac.label: is that of the key for flash encryption") {
		t.Errorf("one shared key for two purposes: %v", err)
	}
}

// Whoever approves sees the key, its block and what it comes of; where it is and comes
// from is in the digest of the job, and a key that devices share is warned of.
func TestHMACIsApproved(t *testing.T) {
	digests := map[string]string{}
	for _, more := range []string{"", "[hmac]\nkey_id = 2\n", "[hmac]\nkey_id = 3\n", "[hmac]\nkey_id = 2\nlabel = \"other\"\n", "[hmac]\nkey_id = 2\nlabel = \"other\"\npolicy = \"shared\"\n"} {
		j, err := Load(laterJobWith(t, "esp32c3", more))
		if err != nil {
			t.Fatal(err)
		}
		for _, digest := range []string{j.Digest(), j.PlanDigest()} {
			if before, taken := digests[digest]; taken {
				t.Errorf("%q and %q have the digest %s", before, more, digest)
			}
			digests[digest] = more
		}
		shared := strings.Contains(strings.Join(j.Warnings, "\n"), "the devices encrypt their NVS with the same keys")
		if shared != strings.Contains(more, "shared") {
			t.Errorf("%q: warnings %q", more, j.Warnings)
		}
	}
	j, err := Load(laterJobWith(t, "esp32c3", "[hmac]\nkey_id = 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	told := strings.Join(DescriptionLines(j.Description()), "\n")
	for _, want := range []string{"hmac.key_id = 0", `hmac.label = "station-master"`, "burn hmac-key = BLOCK_KEY0 = HMAC key (derived station-master)",
		"burn hmac-key-protect = BLOCK_KEY0 compared with HMAC key (derived station-master); KEY_PURPOSE_0 = 8; RD_DIS bit 0 (BLOCK_KEY0)", "burn key = BLOCK_KEY1 = device key"} {
		if !strings.Contains(told, want) {
			t.Errorf("the description lacks %q:\n%s", want, told)
		}
	}
}

// A build that looks for the key elsewhere, or makes one of its own, is warned of.
func TestHMACOfTheBuild(t *testing.T) {
	for _, v := range []struct{ more, config, want string }{
		{"", "CONFIG_NVS_SEC_KEY_PROTECT_USING_FLASH_ENC=y\n", ""},
		{"", "CONFIG_NVS_SEC_KEY_PROTECT_USING_HMAC=y\nCONFIG_NVS_SEC_HMAC_EFUSE_KEY_ID=2\n", "it burns one of its own at its first start, which nobody has; write [hmac]"},
		{"[hmac]\nkey_id = 2\n", "CONFIG_NVS_SEC_KEY_PROTECT_USING_HMAC=y\nCONFIG_NVS_SEC_HMAC_EFUSE_KEY_ID=2\n", ""},
		{"[hmac]\nkey_id = 3\n", "CONFIG_NVS_SEC_KEY_PROTECT_USING_HMAC=y\nCONFIG_NVS_SEC_HMAC_EFUSE_KEY_ID=2\n", "in block 2 (CONFIG_NVS_SEC_HMAC_EFUSE_KEY_ID), the job burns it into block 3; write key_id = 2 under [hmac]"},
		{"[hmac]\nkey_id = 2\n" + nvsByHMAC, "CONFIG_NVS_SEC_KEY_PROTECT_USING_FLASH_ENC=y\n", "the firmware cannot read what identity.hmac writes"},
		{"", "CONFIG_PRE_ENCRYPTED_OTA_USE_RSA=y\n", ""},
		{"", "CONFIG_PRE_ENCRYPTED_OTA_USE_ECIES=y\n", "and the job has none: it can take no update; write [ota]"},
		{"", "CONFIG_SECURE_OTA_HMAC_KEY=y\nCONFIG_SECURE_OTA_HMAC_KEY_ID=3\n", "it can take no update; write [ota]"},
		{"[ota]\nkey_id = 3\nlabel = \"fleet\"\n", "CONFIG_SECURE_OTA_HMAC_KEY=y\nCONFIG_SECURE_OTA_HMAC_KEY_ID=3\n", ""},
		{"[ota]\nkey_id = 4\nlabel = \"fleet\"\n", "CONFIG_SECURE_OTA_HMAC_KEY=y\nCONFIG_SECURE_OTA_HMAC_KEY_ID=3\n", "in block 3 (CONFIG_SECURE_OTA_HMAC_KEY_ID), the job burns it into block 4; write key_id = 3 under [ota]"},
	} {
		j, err := Load(laterJobWith(t, "esp32c3", v.more))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, line := range parseConfig(v.config).contradicts(j) {
			if strings.Contains(line, "HMAC") {
				got += line
			}
		}
		if !strings.Contains(got, v.want) || v.want == "" && got != "" {
			t.Errorf("%q with %q: got %q, want %q", v.more, v.config, got, v.want)
		}
	}
}
