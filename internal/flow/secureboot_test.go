package flow_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/flow/flowtest"
	"station/internal/job"
	"station/internal/racetest"
	"station/internal/sim"
)

// The power of a device with secure boot goes at commands of a whole run and
// inside every fuse programming; of one with an identity too, at more of them.
// Put back, it is sealed with the keys and the identity first assigned, and it
// never starts what is not signed.
func TestSecureBootCuts(t *testing.T) {
	all := products(t)
	var m matrix
	var cases racetest.Sample
	m.fill(t, func(l *lab, try tryFunc) {
		for _, name := range []string{"secure boot 2 and identity", "secure boot 1 and identity", "secure boot 2, release", "secure boot 1, release", "secure boot 1, coding 3/4", "secure boot 2, development",
			"secure boot 2 alone, release", "secure boot 1 alone, release", "secure boot 2 alone, development"} {
			if cases.Out(3) {
				continue
			}
			stride, torn := 60, 6 // the burns are what is new here, the commands are as in TestPowerCuts
			if all[name].job.Identity != nil {
				stride = 1
			}
			if racetest.Enabled {
				stride, torn = 1800, 180
			}
			p := all[name]
			ref, err := l.undisturbed(p)
			if err != nil {
				t.Error(err)
				continue
			}
			cut := func(class string, f sim.Fault) { try(class, p, func() *trial { return l.cut(p, f) }) }
			n := len(ref.sent)
			for k := 1; k <= n; k += stride {
				cut("power goes before a command", sim.Fault{Kind: sim.CutBefore, At: k})
			}
			for k := 1; k <= n; k += stride {
				if ref.sent[k-1].writes() {
					cut("power goes after a command, before its reply", sim.Fault{Kind: sim.CutAfter, At: k})
				}
			}
			for at, fresh := range ref.burns {
				for i, words := range subsets(fresh, at) {
					if i%torn == 0 {
						cut("power goes inside a fuse programming", sim.Fault{Kind: sim.CutBurn, At: 1 + at, Words: &words})
					}
				}
			}
		}
	})
	m.publish(t, "secure-boot")
}

// alone makes a job with secure boot one without flash encryption.
var alone = []string{"[key]\npolicy = \"derived\"\nlabel = \"station-master\"\n", "", "mode = \"release\"", "mode = \"release\"\nflash_encryption = false"}

// What the chip would refuse is refused before a port is opened: by the name of
// the image, against the very key.
func TestSecureBootJobs(t *testing.T) {
	for _, v := range []struct {
		name    string
		version int
		change  func(t *testing.T, dir string)
		edit    []string
		want    []string
	}{
		{"good 1", 1, nil, nil, nil},
		{"good 2", 2, nil, nil, nil},
		{"app unsigned", 2, replace("app.bin", "app.bin"), nil, []string{"app: no version 2 signature"}},
		{"two apps", 2, secondApp("app.v2a.bin"), secondSlot, nil},
		{"second app unsigned", 2, secondApp("app.bin"), secondSlot, []string{"second: no version 2 signature"}},
		{"app of another key, second signature right", 2, nil, []string{`file = "app.bin"`, `file = "both.bin"`}, []string{"both: signed with the wanted key in block 2, and the ESP32 reads the first block alone"}},
		{"both unsigned", 2, func(t *testing.T, dir string) {
			replace("app.bin", "app.bin")(t, dir)
			replace("bootloader.bin", "bootloader.bin")(t, dir)
		}, nil, []string{"bootloader: no version 2 signature", "app: no version 2 signature"}},
		{"digest of another key", 2, nil, []string{`keys = ["key.pub.pem"]`, `keys = ["other.pub.pem"]`}, []string{"bootloader: signed with another key", "app: signed with another key"}},
		{"key of the other version", 2, nil, []string{"version = 2", "version = 1"}, []string{"the key is for version 2 of secure boot, the job says version 1"}},
		{"no keys", 2, nil, []string{`keys = ["key.pub.pem"]`, ``}, []string{"0 keys; the ESP32 trusts one"}},
		{"two keys", 2, nil, []string{`keys = ["key.pub.pem"]`, `keys = ["key.pub.pem", "other.pub.pem"]`}, []string{"2 keys; the ESP32 trusts one"}},
		{"no version", 2, nil, []string{"version = 2\n", ""}, []string{"is missing; write version = 2"}},
		{"no such version", 2, nil, []string{"version = 2", "version = 3"}, []string{"3: the ESP32 has versions 1"}},
		{"a policy for version 2", 2, nil, []string{"version = 2", "version = 2\nlabel = \"x\""}, []string{"are for version 1"}},
		{"header changed", 2, nil, []string{"baud = 921600", "baud = 921600\nmode = \"dio\""}, []string{"changes the header of a bootloader that is signed"}},
		{"flash of another size", 2, nil, []string{`size = "4MB"`, `size = "2MB"`}, []string{"is 2MB, and the header of bootloader says 4MB"}},
		{"key not built in", 1, replace("bootloader.bin", "bootloader.bin"), nil, []string{"the public key of the job is not built into this bootloader"}},
		{"app of version 2", 1, replace("app.bin", "app.v2a.bin"), nil, []string{"app: no version 1 signature"}},
		{"table unsigned", 1, func(t *testing.T, dir string) {
			b, err := os.ReadFile(filepath.Join(dir, "table.bin"))
			if err != nil {
				t.Fatal(err)
			}
			flowtest.Write(t, filepath.Join(dir, "table.bin"), b[:0xc00])
		}, nil, []string{"table: no version 1 signature"}},
		{"a table that the job makes", 1, nil, []string{"\n[[image]]\nfile = \"table.bin\"\naddress = 0x8000\n", ""}, []string{"partition-table: no version 1 signature", "it is made of partitions.csv: sign the build's partition-table.bin", "address = 0x8000"}},
		{"something at 0", 1, nil, []string{"[key]", "[[image]]\nfile = \"tiny.bin\"\nname = \"mine\"\naddress = 0\nencrypt = true\n\n[key]"}, []string{"mine is at 0x0, where the digest of the bootloader goes"}},
		{"the flash key", 1, nil, []string{`policy = "derived"`, `policy = "shared"`}, []string{"one key has one purpose"}},
		{"alone", 2, nil, alone, nil},
		{"alone, with a key for the flash", 2, nil, []string{`mode = "release"`, "mode = \"release\"\nflash_encryption = false"}, []string{"key: names a key for flash encryption, which is off"}},
		{"alone, without secure boot", 2, nil, append([]string{"[secure_boot]\nversion = 2\nkeys = [\"key.pub.pem\"]\n", ""}, alone...), []string{"security.flash_encryption: is off, and there is no [secure_boot]"}},
		{"alone, and a fuse of encryption", 2, nil, append([]string{"[flash]\n", "[security.fuses]\nFLASH_CRYPT_CNT = 127\n\n[flash]\n"}, alone...), []string{"FLASH_CRYPT_CNT is a fuse of flash encryption, which this job leaves off"}},
		{"alone, without a label", 1, nil, alone, []string{"secure_boot.label: is missing"}},
		{"alone, and an image to encrypt", 2, nil, append([]string{"partition = \"sys\"\n", "partition = \"sys\"\nencrypt = true\n"}, alone...), []string{"the chip will not have flash encryption"}},
		{"the fuse by hand", 2, nil, []string{`mode = "release"`, "mode = \"release\"\nfuses = { ABS_DONE_1 = 1 }"}, []string{"switches secure boot on, which [secure_boot] does"}},
	} {
		t.Run(v.name, func(t *testing.T) {
			path := flowtest.BootJobFile(t, v.version)
			dir := filepath.Dir(path)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(v.edit); i += 2 {
				if !bytes.Contains(text, []byte(v.edit[i])) {
					t.Fatalf("the job holds no %q", v.edit[i])
				}
				text = bytes.Replace(text, []byte(v.edit[i]), []byte(v.edit[i+1]), 1)
			}
			flowtest.Write(t, path, text)
			flowtest.Write(t, filepath.Join(dir, "tiny.bin"), []byte("sixteen bytes..."))
			twice := flowtest.BootFile(t, "app.v2ab.bin")
			swapped := append(bytes.Clone(twice[8192+1216:8192+2*1216]), twice[8192:8192+1216]...)
			copy(twice[8192:], swapped)
			flowtest.Write(t, filepath.Join(dir, "both.bin"), twice)
			flowtest.Write(t, filepath.Join(dir, "other.pub.pem"), flowtest.PublicOf(t, "v2b.pem"))
			if v.change != nil {
				v.change(t, dir)
			}
			_, err = job.Load(path)
			if (err == nil) != (v.want == nil) {
				t.Fatalf("got %v", err)
			}
			for _, want := range v.want {
				if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "job.toml:") {
					t.Errorf("got %v, want %q", err, want)
				}
			}
		})
	}
}

// secondSlot gives a job an app in an OTA slot.
var secondSlot = []string{"[key]", "[[image]]\nfile = \"second.bin\"\npartition = \"ota_0\"\n\n[key]"}

func secondApp(from string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		replace("second.bin", from)(t, dir)
		path := filepath.Join(dir, "partitions.csv")
		csv, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		flowtest.Write(t, path, append(csv, "ota_0, app, ota_0, 0x100000, 0x80000\n"...))
	}
}

// replace puts a file of espsecure's in the place of a job's.
func replace(name, by string) func(*testing.T, string) {
	return func(t *testing.T, dir string) { flowtest.Write(t, filepath.Join(dir, name), flowtest.BootFile(t, by)) }
}

// The digest of a device is its own, the same each time, and the chip's own.
func TestDigestOfADevice(t *testing.T) {
	j := bootJob(t, 1)
	one, two, again := regionAt0(t, j, 1, 1), regionAt0(t, j, 2, 2), regionAt0(t, j, 1, 1)
	if !bytes.Equal(one, again) || bytes.Equal(one, two) || bytes.Equal(regionAt0(t, j, 1, 2)[128:], one[128:]) || sha256.Sum256(one) == sha256.Sum256(j.Regions[0].Data) {
		t.Error("the digest is not that of device and key")
	}
}
