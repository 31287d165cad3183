package job

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"station/internal/firmware"
	"station/internal/identity"
)

// fullJob is a job that says something in every field.
func fullJob(t *testing.T) *Job {
	t.Helper()
	dir := exampleDir(t)
	path := filepath.Join(dir, "job.toml")
	edit(t, path, `label = "station-master"`, "label = \"station-master\"\nescrow = \"officer.pem\"",
		`mode = "release"`, "mode = \"release\"\nflash_crypt_config = 15\nfuses = { UART_DOWNLOAD_DIS = 1 }",
		`timeout = "10s"`, "timeout = \"10s\"\n[serial]\npattern = \"SN[0-9]{4}\"\n[quota]\ndevices = 500\n[line]\nretests = 3\ntarget = 80\n[device]\nreset = \"manual\"")
	writeOfficer(t, filepath.Join(dir, "officer.pem"))
	writeIdentity(t, path)
	job, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// untold are the fields of a job, and of what is made from it, that change
// nothing by themselves: by their path in Go.
var untold = map[string]string{
	"Path":                  "where the file lies",
	"Warnings":              "made from what is told",
	"Plan.Chip":             "the chip is told, its tables are the program's",
	"Plan.Needs":            "made from the stages before",
	"Plan.Key.Check":        "of one device",
	"Plan.Key.Secret":       "of one device",
	"Plan.Key.Compared":     "of one device",
	"Plan.Compare.Check":    "of one device",
	"Plan.Compare.Secret":   "of one device",
	"Plan.Compare.Compared": "of one device",
	"Regions.SHA256":        "of Data, which is told",
	"Regions.FileSHA256":    "of what Data is made of",
	"Regions.Partition":     "the address is told",
	"Regions.Slot":          "in the partition table, which is told",
	"Regions.Project":       "in Data",
	"Regions.SecureVersion": "in Data",
	"Regions.MinRevision":   "in Data",
	"Regions.MaxRevision":   "in Data",
	"cryptConfig":           "told as what is burned",
	"chipLine":              "where the file names the chip",
	"described":             "the description itself", "digest": "of the description", "planDigest": "of the description",
	"Regions.PerDevice": "follows from secure_boot.version and identity.partition",
	"Identity.Template": "elsewhere", "Identity.template": "looked at below", "Identity.Certificate.CA": "elsewhere", "Identity.Certificate.ca": "looked at below",
	"SecureBoot.Keys": "elsewhere", "SecureBoot.Escrow": "elsewhere", "SecureBoot.token": "how keys that a URI names are read", "SecureBoot.public": "told by its name", "SecureBoot.keys": "told as what is burned", "SecureBoot.names": "looked at below", "SecureBoot.kind": "in the names",
	"FlasherArgs": "elsewhere", "PartitionTable": "elsewhere", "Images": "elsewhere", "Key.Escrow": "elsewhere",
	"Security.Fuses": "elsewhere", "Line.Target": "elsewhere",
}

// Every field of a job, whatever is added one day, is a part of what a person
// approves, or stands above with the reason why not.
func TestEveryFieldOfAJobIsApproved(t *testing.T) {
	job := fullJob(t)
	digest := func() string { return digestOf("", job.describe()) }
	before, changed := digest(), 0
	mutate(reflect.ValueOf(job).Elem(), "", func(path string, restore func()) {
		if changed++; digest() == before {
			t.Errorf("%s can be changed without anybody's approval", path)
		}
		restore()
		if digest() != before {
			t.Fatalf("%s was not restored", path)
		}
	})
	if changed < 30 {
		t.Errorf("only %d fields were changed", changed)
	}
	job.SecureBoot.names = []string{"another key"}
	if digest() == before {
		t.Error("another key for secure boot has the same digest")
	}
	job.SecureBoot.names = nil
	ca := job.Identity.Certificate.ca
	job.Identity.Certificate.ca = writeCA(t, filepath.Join(t.TempDir(), "ca.pem"))
	if digest() == before {
		t.Error("another CA has the same digest")
	}
	job.Identity.Certificate.ca = ca
	template, err := identity.ParseTemplate("t.csv", []byte("key,type,encoding,value\nx,namespace,,\nid,data,string,{mac}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	job.Identity.template = template
	if digest() == before {
		t.Error("another template has the same digest")
	}
	job.Identity.template = nil
	other := *job.Key.escrowKey
	other.E += 2
	job.Key.escrowKey = &other
	if digest() == before {
		t.Error("another officer's key has the same digest")
	}
	was := digest()
	job.SecureBoot.escrowKey = &other
	if digest() == was {
		t.Error("another officer for the keys of secure boot has the same digest")
	}
}

// mutate changes every leaf of v, one after the other, and lets try look.
func mutate(v reflect.Value, path string, try func(path string, restore func())) {
	if _, skip := untold[path]; skip || path == "Key.escrowKey" {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			mutate(v.Field(i), strings.TrimPrefix(path+"."+v.Type().Field(i).Name, "."), try)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := v.Bytes()
			b[len(b)/2] ^= 1
			try(path, func() { b[len(b)/2] ^= 1 })
			return
		}
		for i := range v.Len() {
			mutate(v.Index(i), path, try)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			mutate(v.Elem(), path, try)
		}
	default:
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		switch {
		case v.CanInt():
			v.SetInt(v.Int() + 1)
		case v.CanUint():
			v.SetUint(v.Uint() ^ 1)
		case v.Kind() == reflect.String:
			v.SetString(v.String() + "x")
		case v.Kind() == reflect.Bool:
			v.SetBool(!v.Bool())
		default:
			panic(fmt.Sprintf("%s: nobody knows how to change a %s", path, v.Type()))
		}
		try(path, func() { v.Set(old) })
	}
}

// Devices that were sealed by the first version of this program are known by
// the digest that it gave their job.
func TestDigestOfTheFirstVersion(t *testing.T) {
	job, err := Load("../../fixtures/example/job.toml")
	if err != nil {
		t.Fatal(err)
	}
	if want := "sha256:1f9f9fa91834ccf1c7bf0163387916ea9baaaeab26989b1897e48933c8986a96"; job.Digest() != want {
		t.Errorf("got %s, want %s", job.Digest(), want)
	}
}

// What only says how devices are made makes no other devices.
func TestDigestOfDevices(t *testing.T) {
	job := fullJob(t)
	before := job.hash()
	for _, s := range []Setting{{"quota.devices", "501"}, {"line.retests", "4"}, {"boot.timeout", "20s"}, {"serial.pattern", `"X"`}, {"flash.baud", "9600"}} {
		i := slices.IndexFunc(job.described, func(d Setting) bool { return d.Name == s.Name })
		if i < 0 {
			t.Fatalf("no %s in %v", s.Name, job.described)
		}
		old := job.described[i]
		job.described[i] = s
		if job.hash() != before {
			t.Errorf("%s makes other devices", s.Name)
		}
		job.described[i] = old
	}
	job.described = append(job.described, Setting{"identity.kind", `"token"`}) // of a version to come
	if job.hash() == before {
		t.Error("a setting that nobody knows makes the same devices")
	}
}

func TestDifferencesInWords(t *testing.T) {
	job := fullJob(t)
	before := DescriptionLines(job.Description())
	if d := job.Differences(before); d != nil {
		t.Errorf("the same: %q", d)
	}
	job.Boot.Marker, job.Serial, job.Flash.Baud = "go = on", nil, 0
	job.Boot.Timeout = 0
	job.Regions[0].Data[100] ^= 1
	job.described = job.describe()
	got := strings.Join(job.Differences(before), "\n")
	for _, want := range []string{
		`boot.marker was "station-example: ready", is "go = on"`,
		`serial.pattern was "SN[0-9]{4}", is gone`,
		"boot.timeout was 10s, is gone",
		`image at 0x00001000 was "bootloader", `,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// writeIdentity gives a job an identity that says something in every field.
func writeIdentity(t *testing.T, path string) {
	t.Helper()
	dir := filepath.Dir(path)
	csv, err := os.ReadFile(filepath.Join(dir, "partitions.csv"))
	if err != nil {
		t.Fatal(err)
	}
	csv = bytes.Replace(csv, []byte("rules,data,spiffs,,704K,"), []byte("rules,data,spiffs,,640K,\nesp_secure_cert,0x3F,,,8K,encrypted"), 1)
	table, err := firmware.ParseCSV("partitions.csv", csv, firmware.TableOptions{FlashSize: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"partitions.csv": csv, "build/partition_table/partition-table.bin": table.Binary()} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	writeCA(t, filepath.Join(dir, "ca.pem"))
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(text, `
[identity]
prf = "aes-cmac"
token = true
prints = "id {id}"

[identity.certificate]
ca = "ca.pem"
days = 10
dns = ["{id}.plant.example"]
uri = ["urn:dev:mac:{mac}"]

[[identity.certificate.extension]]
oid = "1.3.6.1.4.1.99999.1"
value = "{batch}"
critical = true
`...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// writeCA writes the certificate of a CA.
func writeCA(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := identity.SelfSigned("CN=Plant CA", 0, time.Now(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// writeOfficer writes the public half of an offline key.
func writeOfficer(t *testing.T, path string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, minEscrowBits)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
}
