package flow_test

import (
	"bytes"
	"crypto"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/flow/flowtest"
	"station/internal/job"
	"station/internal/racetest"
	"station/internal/record"
	"station/internal/secureboot"
	"station/internal/sim"
	"station/internal/station"
)

// signedOnly says in what a device does not start just what the job's keys signed:
// each digest in a block of its own, readable and frozen; every other one revoked;
// nothing that can be hidden any more; the loader closed.
func signedOnly(j *job.Job, device *sim.Chip) error {
	if len(keyBlocksOf(j.Chip())) == 1 { // it has no purposes, and its block was looked at
		if words := blockOf(j.Chip(), device.Fuses(), 0); !j.Encrypts() && !slices.Equal(words[:], append(make([]uint32, 4), digestBeside(j)...)) {
			return fmt.Errorf("the block is %08x", words)
		}
		return switchedOn(j, device, digestBeside(j) != nil)
	}
	digests := slices.DeleteFunc(j.Plan.Keys(), func(k *efuse.Key) bool { return !strings.HasPrefix(string(k.For()), "secure-boot-digest") })
	for n := range 3 {
		block := slices.IndexFunc([]int{0, 1, 2, 3, 4, 5}, func(b int) bool { return device.Field(fmt.Sprint("KEY_PURPOSE_", b)) == uint32(9+n) })
		revoked := device.Field(fmt.Sprint("SECURE_BOOT_KEY_REVOKE", n))
		switch {
		case len(digests) == 0 && block < 0 && revoked == 0:
		case n >= len(digests) && block < 0 && revoked == 1:
		case n < len(digests) && block >= 0 && revoked == 0 && bytes.Equal(digests[n].Secret.Reveal(), littleEndian(blockOf(j.Chip(), device.Fuses(), block))) &&
			device.Field("WR_DIS")>>(23+block)&1 == 1 && device.Field("WR_DIS")>>(8+block)&1 == 1 && device.Field("RD_DIS")>>block&1 == 0:
		default:
			return fmt.Errorf("digest %d is in block %d, revoked %d, WR_DIS %08x", n, block, revoked, device.Field("WR_DIS"))
		}
	}
	return switchedOn(j, device, len(digests) > 0)
}

func signedC3(t testing.TB, signers, trusted []string, pairs ...string) string {
	t.Helper()
	return signedJob(t, chip.ESP32C3, signers, trusted, pairs...)
}

// signedJob is the job of a family with secure boot: its images signed with some keys
// of the vectors, its fuses for others.
func signedJob(t testing.TB, f *chip.Family, signers, trusted []string, pairs ...string) string {
	t.Helper()
	table := "[secure_boot]\nversion = 2\nkeys = [\"" + strings.Join(trusted, "\", \"") + "\"]\n\n[boot]\n"
	path := flowtest.EditCopy(t, filepath.Dir(laterJob(f)), "[boot]\n", table, `size = "1MB"`, `size = "4MB"`, "[key]\n", keyBesideDigest(f))
	dir := filepath.Dir(path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flowtest.Write(t, path, []byte(strings.NewReplacer(pairs...).Replace(string(text))))
	var keys []crypto.Signer
	for _, name := range signers {
		keys = append(keys, flowtest.BootKeyOf(t, name))
	}
	for _, name := range trusted {
		flowtest.Write(t, filepath.Join(dir, name), thirdKey(t))
		if !strings.HasPrefix(name, "third") {
			flowtest.Write(t, filepath.Join(dir, name), flowtest.PublicOf(t, name))
		}
	}
	for _, name := range []string{"bootloader.bin", "app.bin"} {
		plain, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := secureboot.Sign(plain, keys...)
		if err != nil {
			t.Fatal(err)
		}
		flowtest.Write(t, filepath.Join(dir, name), signed)
	}
	return path
}

// keyBesideDigest is the head of [key] in a job with secure boot: on a chip with one key
// block the digest leaves half of that for the key.
func keyBesideDigest(f *chip.Family) string {
	if len(keyBlocksOf(f)) == 1 {
		return "[key]\nbits = 128\n"
	}
	return "[key]\n"
}

// A C3 trusts up to three keys, of which one has signed; the places of the others
// are closed. What it does not trust it does not start, and the station does not
// write.
func TestSecureBootOfAC3(t *testing.T) {
	for _, v := range []struct {
		name             string
		signers, trusted []string
		edit             []string
		wrong            string
	}{
		{name: "one key", signers: []string{"v2a.pem"}, trusted: []string{"v2a.pem"}},
		{name: "three keys, the second signs", signers: []string{"v2b.pem"}, trusted: []string{"v2a.pem", "v2b.pem", "third.pem"}},
		{name: "two signatures, the second is trusted", signers: []string{"v2a.pem", "v2b.pem"}, trusted: []string{"v2b.pem"}},
		{name: "a key that is not trusted", signers: []string{"v2a.pem"}, trusted: []string{"v2b.pem", "third.pem"}, wrong: "none of the job's 2 keys does better"},
		{name: "no key", signers: []string{"v2a.pem"}, edit: []string{`keys = [""]`, "keys = []"}, wrong: "0 keys; the ESP32-C3 trusts up to 3"},
		{name: "four keys", signers: []string{"v2a.pem"}, trusted: []string{"v2a.pem", "v2b.pem", "third.pem", "third2.pem"}, wrong: "4 keys; the ESP32-C3 trusts up to 3"},
		{name: "a key twice", signers: []string{"v2a.pem"}, trusted: []string{"v2a.pem", "v2a.pem"}, wrong: "the same key twice"},
		{name: "version 1", signers: []string{"v2a.pem"}, trusted: []string{"v2a.pem"}, edit: []string{"version = 2", "version = 1"}, wrong: "1: the ESP32-C3 has version 2"},
		{name: "by hand", signers: []string{"v2a.pem"}, trusted: []string{"v2a.pem"}, edit: []string{`mode = "release"`, "mode = \"release\"\nfuses = { SECURE_BOOT_EN = 1 }"}, wrong: "switches secure boot on, which [secure_boot] does"},
		{name: "its own key revoked", signers: []string{"v2a.pem"}, trusted: []string{"v2a.pem"}, edit: []string{`mode = "release"`, "mode = \"release\"\nfuses = { SECURE_BOOT_KEY_REVOKE0 = 1 }"}, wrong: "SECURE_BOOT_KEY_REVOKE0 takes back the trust in a key of the job"},
	} {
		t.Run(v.name, func(t *testing.T) {
			path := signedC3(t, v.signers, v.trusted, v.edit...)
			if v.wrong != "" {
				if _, err := job.Load(path); err == nil || !strings.Contains(err.Error(), v.wrong) || !strings.Contains(err.Error(), "job.toml:") {
					t.Errorf("got %v, want %q", err, v.wrong)
				}
				return
			}
			s := newBench(t, path)
			device := flowtest.NewChip(t, c3(sim.Options{FlashSize: 4 << 20}))
			flowtest.WantVerdict(t, s.Visit(device), record.Pass, "")
			if err := checkLater(s, device, 0); err != nil {
				t.Error(err)
			}
			if out := s.Visit(device); out.Failure == nil || out.Failure.Code != "E-DOWNLOAD-DISABLED" {
				t.Errorf("a closed one, again: %s %v", out.Verdict, out.Failure)
			}
		})
	}
}

// bootKeyFiles are keys of the vectors, one of each kind.
var bootKeyFiles = map[chip.SigningKey]string{chip.RSA3072: "v2a.pem", chip.P256: "v2e256.pem", chip.P384: "v2e384.pem"}

// Every family takes each kind of key that it has for secure boot, and no other, through
// the whole procedure: the digest in its fuses, the start by the ROM and by the bootloader.
func TestSecureBootOfEveryFamily(t *testing.T) {
	var sample racetest.Sample
	for _, f := range chip.Families[1:] {
		for _, kind := range slices.Sorted(maps.Keys(bootKeyFiles)) {
			t.Run(f.Name+"/"+string(kind), func(t *testing.T) {
				if !slices.Contains(f.Seal.SecureBoot[2].Keys, kind) {
					refusesKind(t, f, kind)
				} else if !sample.Out(8) {
					startsSigned(t, f, kind)
				}
			})
		}
	}
}

// refusesKind wants a job with a key of a kind that the chip does not take refused.
func refusesKind(t *testing.T, f *chip.Family, kind chip.SigningKey) {
	key := bootKeyFiles[kind]
	path := flowtest.EditCopy(t, filepath.Dir(laterJob(f)), "[boot]\n", "[secure_boot]\nversion = 2\nkeys = [\""+key+"\"]\n\n[boot]\n")
	flowtest.Write(t, filepath.Join(filepath.Dir(path), key), flowtest.PublicOf(t, key))
	want := fmt.Sprintf("the %s takes no %s key; it takes %s", f.Title, kind, f.SignedBy())
	if _, err := job.Load(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "job.toml:") {
		t.Errorf("got %v, want %q", err, want)
	}
}

// startsSigned wants a device sealed whose images such a key signed.
func startsSigned(t *testing.T, f *chip.Family, kind chip.SigningKey) {
	key := []string{bootKeyFiles[kind]}
	s := newBench(t, signedJob(t, f, key, key))
	o := station.ChipFor(s.Job)
	o.MAC, o.Crystal = station.VirtualMAC(0), f.Crystals[0]
	device := flowtest.NewChip(t, o)
	flowtest.WantVerdict(t, s.Visit(device), record.Pass, "")
	if err := checkLater(s, device, 0); err != nil {
		t.Error(err)
	}
	for _, with := range f.Seal.SecureBoot[2].With {
		for _, v := range with {
			if got, want := device.Field(v.Field), f.Seal.SecureBoot[2].With[kind] != nil; (got == v.Value) != want {
				t.Errorf("%s is %d, wanted with this key: %t", v.Field, got, want)
			}
		}
	}
}

// A chip that somebody has made trust a key of his own, or trust one of ours no
// more, is not sealed.
func TestStrangeTrustOfAC3(t *testing.T) {
	path := signedC3(t, []string{"v2a.pem"}, []string{"v2a.pem"})
	for name, change := range map[string]func(w *sim.Words){
		"a digest 0 of his own": func(w *sim.Words) {
			sim.SetFieldOf(chip.ESP32C3, w, "BLOCK_KEY5", 7)
			sim.SetFieldOf(chip.ESP32C3, w, "KEY_PURPOSE_5", 9)
		},
		"a digest 2 of his own": func(w *sim.Words) {
			sim.SetFieldOf(chip.ESP32C3, w, "BLOCK_KEY5", 7)
			sim.SetFieldOf(chip.ESP32C3, w, "KEY_PURPOSE_5", 11)
		},
		"ours revoked": func(w *sim.Words) { sim.SetFieldOf(chip.ESP32C3, w, "SECURE_BOOT_KEY_REVOKE0", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			o := c3(sim.Options{FlashSize: 4 << 20})
			words := sim.FactoryWords(o)
			change(&words)
			o.Words = &words
			device := flowtest.NewChip(t, o)
			out := newBench(t, path).Visit(device)
			if out.Failure == nil || out.Failure.Code != "E-FUSE-CONFLICT" || device.Fuses() != words {
				t.Errorf("got %s %v, burned %t", out.Verdict, out.Failure, device.Fuses() != words)
			}
		})
	}
}
