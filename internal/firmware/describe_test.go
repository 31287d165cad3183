package firmware

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	damaged := fixture(t, "example/build/ota_0.bin")
	damaged[5000]++
	for _, v := range []struct {
		name string
		file []byte
		kind string
		says string // in JSON
	}{
		{"app", fixture(t, "example/build/ota_0.bin"), "app", `"project":"station-example"`},
		{"bootloader", fixture(t, "example/build/bootloader/bootloader.bin"), "bootloader", `"idf":"v5.4"`},
		{"image", small(t), "image", `"load":1073676312`},
		{"table", fixture(t, "partitions/two_ota.bin"), "partition table", `"subtype":"nvs_keys"`},
		{"otadata", OTAData{{Seq: 3, State: OTAValid}}.Bytes(), "otadata", `{"seq":3,"state":"valid"}`},
		{"two sectors", make([]byte, OTADataSize), "unknown", `"size":8192`},
		{"text", []byte("hello"), "unknown", `"sha256":"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"`},
		{"nothing", nil, "unknown", `"size":0`},
		{"damaged", damaged, "app", `"faults":["the checksum is`},
		{"CSV", fixture(t, "cases/csv-bom-row/partitions.csv"), "partition table (CSV)", `"name":"ota_0"`},
		{"OTA image", append([]byte{0xcf, 0xb6, 0x88, 0x07}, make([]byte, 508)...), "OTA image", `"size":512`},
		{"slot", append(fixture(t, "example/build/ota_0.bin"), bytes.Repeat([]byte{0xff}, 100)...), "app", `"behind":"100 bytes of FF"`},
		{"signed V1", append(fixture(t, "example/build/ota_0.bin"), make([]byte, 68)...), "app", `signature of secure boot V1`},
		{"cut table", fixture(t, "partitions/two_ota.bin")[:64], "partition table", `no end marker`},
	} {
		i := Describe(v.name, v.file)
		text, err := json.Marshal(i)
		if err != nil || i.Kind != v.kind || !strings.Contains(string(text), v.says) {
			t.Errorf("%s: got %s, %v", v.name, text, err)
		}
		if bad := v.name == "damaged" || v.name == "cut table"; (len(i.Faults) > 0) != bad {
			t.Errorf("%s: got faults %q", v.name, i.Faults)
		}
	}
}
