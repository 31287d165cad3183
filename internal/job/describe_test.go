package job

import (
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
	"Regions.Partition":     "the address is told",
	"Regions.Slot":          "in the partition table, which is told",
	"Regions.Project":       "in Data",
	"Regions.MinRevision":   "in Data",
	"Regions.MaxRevision":   "in Data",
	"cryptConfig":           "told as what is burned",
	"described":             "the description itself", "digest": "of the description", "planDigest": "of the description",
	"Regions.PerDevice": "follows from secure_boot.version",
	"SecureBoot.Keys":   "elsewhere", "SecureBoot.public": "told by its name", "SecureBoot.digest": "told as what is burned", "SecureBoot.names": "looked at below",
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
	other := *job.Key.escrowKey
	other.E += 2
	job.Key.escrowKey = &other
	if digest() == before {
		t.Error("another officer's key has the same digest")
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
