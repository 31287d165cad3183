package flow_test

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/job"
	"station/internal/racetest"
	"station/internal/record"
	"station/internal/secureboot"
	"station/internal/sim"
	"station/internal/station"
)

// The later chips, of which each has a small job of its own in fixtures, named after it.

var c3Job = laterJob(chip.ESP32C3)

func laterJob(f *chip.Family) string { return "../../fixtures/chips/" + f.Name + "/job.toml" }

// c3 is a virtual one whose MAC says that it is virtual.
func c3(o sim.Options) sim.Options {
	o.Chip, o.FlashSize = chip.ESP32C3, cmp.Or(o.FlashSize, 1<<20)
	if o.MAC == ([6]byte{}) {
		o.MAC = station.VirtualMAC(0)
	}
	return o
}

// onC3 is a visit of a C3 in some state.
func onC3(spoil func(*sim.Options)) provocation {
	return func(t *testing.T) flow.Code {
		o := c3(sim.Options{})
		spoil(&o)
		return flowtest.CodeOf(newBench(t, c3Job).Visit(flowtest.NewChip(t, o)))
	}
}

// usedUp are fuses whose key blocks for flash encryption hold other things.
func usedUp(o sim.Options) *sim.Words {
	words := sim.FactoryWords(o)
	for n := range 5 {
		sim.SetFieldOf(o.Chip, &words, fmt.Sprint("BLOCK_KEY", n), uint32(0x1000+n))
	}
	return &words
}

// keyBlockOf are the words of a key block of a chip that has several.
func keyBlockOf(words sim.Words, n int) [8]uint32 { return blockOf(chip.ESP32C3, words, n) }

// blockOf are the words of key block n.
func blockOf(f *chip.Family, words sim.Words, n int) [8]uint32 {
	at := 0
	for _, b := range f.Efuse.Blocks[:f.Efuse.Block("BLOCK_KEY0")+n] {
		at += b.Words
	}
	return [8]uint32(words[at:])
}

// reversed is a key as its block holds it, or half of it.
func reversed(key []byte) (w [8]uint32) {
	for i := range len(key) / 4 {
		w[len(key)/4-1-i] = binary.BigEndian.Uint32(key[4*i:])
	}
	return w
}

// laterKey is the key of a device, of the length that the job has.
func laterKey(j *job.Job, mac chip.MAC) []byte {
	return flowtest.KeyOf(j.Chip(), "station flash encryption v1", mac, cmp.Or(j.Key.Bits, 256)/8)
}

// checkLater says in what a device is not sealed with its key in these blocks.
func checkLater(s *bench, device *sim.Chip, blocks ...int) error {
	f := s.Job.Chip()
	key := laterKey(s.Job, device.MAC())
	want := map[string]uint32{"RD_DIS": 0}
	for n, part := range flashParts(s.Job) {
		b := f.Efuse.Block(fmt.Sprint("BLOCK_KEY", blocks[n]))
		block, half := f.Efuse.Blocks[b], key[min(32*n, len(key)):][:min(32, len(key))]
		words := reversed(half)
		if beside := digestBeside(s.Job); beside != nil {
			copy(words[4:], beside)
		}
		if blockOf(f, device.Fuses(), blocks[n]) != words {
			return fmt.Errorf("%s holds another key", block.Name)
		}
		locks := uint32(1) << block.WriteDisable
		if purpose, says := f.Efuse.Field(block.Purpose); says {
			want[block.Purpose] = f.Seal.Keys[part].Value
			locks |= 1<<purpose.WriteDisable | 1<<2
		}
		want["RD_DIS"] |= 1 << block.ReadDisable
		if len(half) == 32 && block.ReadHalves {
			want["RD_DIS"], want["XTS_KEY_LENGTH_256"] = 3, 1
		}
		if lock := device.Field("WR_DIS"); lock&locks != locks {
			return fmt.Errorf("WR_DIS is %08x", lock)
		}
	}
	for _, k := range s.Job.Plan.Named() {
		want["RD_DIS"] |= f.Efuse.Blocks[f.Efuse.Block(k.Block)].ReadMask()
	}
	for _, v := range f.Seal.Release {
		switch ofEncryption := v.Field == f.Seal.Count || slices.Contains(f.Seal.Loader, v.Field); {
		case v.Field == "WR_DIS":
		case ofEncryption && !s.Job.Encrypts():
			want[v.Field] = 0
		default:
			want[v.Field] = v.Value
		}
	}
	open, hidden := leftovers(s.Job, device, key)
	if got := device.Field("RD_DIS"); got&open != open {
		return fmt.Errorf("RD_DIS is %#x: part of the key can be read in a block of %#x", got, open)
	}
	want["RD_DIS"] |= device.Field("RD_DIS") & hidden
	for field, want := range want {
		if got := device.Field(field); got != want {
			return fmt.Errorf("%s is %d, want %d", field, got, want)
		}
	}
	if err := signedOnly(s.Job, device); err != nil {
		return err
	}
	return flashError(s.Job, device, key)
}

// leftovers are the bits of RD_DIS of blocks that say nothing of what they hold: those in which bits
// are set, and none but the key's, must be hidden; and those that may be, with blocks of which only the check words are set.
func leftovers(j *job.Job, device *sim.Chip, key []byte) (must, may uint32) {
	for n, b := range keyBlocksOf(j.Chip()) {
		if b.Purpose == "" || device.Field(b.Purpose) != 0 {
			continue
		}
		held := blockOf(j.Chip(), device.Fuses(), n)
		if held == [8]uint32{} {
			may |= b.ReadMask()
		}
		for half := range slices.Chunk(key, 32) {
			own := reversed(half)
			part := held != [8]uint32{}
			for i := range held {
				part = part && held[i]&^own[i] == 0
			}
			if part {
				must |= b.ReadMask()
			}
		}
	}
	return must, may | must
}

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

// switchedOn says in what secure boot is not on as wanted, with all that goes with it.
func switchedOn(j *job.Job, device *sim.Chip, on bool) error {
	for _, field := range []string{"SECURE_BOOT_EN", "ENABLE_SECURITY_DOWNLOAD"} {
		if got := device.Field(field) == 1; got != on {
			return fmt.Errorf("%s is burned: %t", field, got)
		}
	}
	if on && device.Field("WR_DIS")&1 == 0 {
		return fmt.Errorf("RD_DIS can still be written: a digest can be hidden")
	}
	return nil
}

// flashParts are the parts of the key for flash encryption, none of a plain flash.
func flashParts(j *job.Job) []chip.Purpose {
	if !j.Encrypts() {
		return nil
	}
	return j.FlashKeyParts()
}

// digestBeside are the words of the digest in the upper half of the only key block; nil
// for none.
func digestBeside(j *job.Job) (words []uint32) {
	for _, k := range j.Plan.Keys() {
		if k.Beside != nil {
			k = k.Beside
		}
		if k.For() == chip.SecureBootDigest {
			for b := range slices.Chunk(k.Secret.Reveal()[:16], 4) {
				words = append(words, binary.LittleEndian.Uint32(b))
			}
		}
	}
	return words
}

func littleEndian(words [8]uint32) (b []byte) {
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
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

// plainFlash makes a signed job of a family one without flash encryption.
func plainFlash(f *chip.Family, more ...string) []string {
	return append(more, keyBesideDigest(f)+"policy = \"derived\"\nlabel = \"station-master\"\n", "", "mode = \"release\"", "mode = \"release\"\nflash_encryption = false")
}

// thirdKey is a public key that nobody has the private half of.
func thirdKey(t testing.TB) []byte {
	t.Helper()
	n := new(big.Int).Add(flowtest.BootKeyOf(t, "v2a.pem").Public().(*rsa.PublicKey).N, big.NewInt(2))
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// A chip of every family goes through the whole procedure with a key of every length
// that the family has, and is known when it comes again; the ledger says of one that
// is only tabled that it is.
func TestSealEveryFamily(t *testing.T) {
	for _, f := range chip.Families[1:] {
		for _, bits := range slices.Sorted(maps.Keys(f.Seal.FlashKeys)) {
			t.Run(fmt.Sprintf("%s/%d", f.Name, bits), func(t *testing.T) { sealsFamily(t, f, bits) })
		}
	}
}

// withBits is the job of a family with a key of that length.
func withBits(t testing.TB, f *chip.Family, bits int, pairs ...string) string {
	t.Helper()
	return flowtest.EditCopy(t, filepath.Dir(laterJob(f)), append(pairs, "[key]\n", fmt.Sprintf("[key]\nbits = %d\n", bits))...)
}

func sealsFamily(t *testing.T, f *chip.Family, bits int) {
	s := newBench(t, withBits(t, f, bits))
	o := station.ChipFor(s.Job)
	o.MAC, o.Crystal = station.VirtualMAC(0), f.Crystals[0]
	device := flowtest.NewChip(t, o)
	flowtest.WantVerdict(t, s.Visit(device), record.Pass, "")
	var blocks []int
	var names []string
	for n := range s.Job.FlashKeyParts() {
		blocks, names = append(blocks, n), append(names, fmt.Sprint("BLOCK_KEY", n))
	}
	if err := checkLater(s, device, blocks...); err != nil {
		t.Error(err)
	}
	before := device.Fuses()
	out := s.Visit(device)
	if flowtest.WantVerdict(t, out, record.Pass, ""); !out.Already || device.Fuses() != before {
		t.Errorf("the second visit: already %t", out.Already)
	}
	d, _, err := s.Ledger.Device(device.MAC())
	if k := d.FlashKey(); err != nil || !slices.Equal(k.Blocks, names) || cmp.Or(k.Bits, 256) != bits || !d.Sealed {
		t.Errorf("the ledger has %+v, sealed %t, %v", k, d.Sealed, err)
	}
	marked := 0
	for e, err := range s.Ledger.Entries(0) {
		if err != nil {
			t.Fatal(err)
		}
		if (e.Kind == record.DeviceSeen || e.Kind == record.Sealed) && strings.Contains(e.Message, f.Title+" is tabled") {
			marked++
		}
	}
	if (marked > 1) == f.Proved {
		t.Errorf("proved %t, %d entries say that it is tabled", f.Proved, marked)
	}
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

// A real chip of a family that was held against no ROM is touched only where its job
// says so, and that is part of what is approved.
func TestTabledForReal(t *testing.T) {
	f := chip.ESP32C6
	o := sim.Options{Chip: f, FlashSize: 1 << 20, Real: true, MAC: [6]byte{0x60, 0x55, 0xf9, 1, 2, 3}}
	refused := ""
	t.Run("refused", func(t *testing.T) {
		device := flowtest.NewChip(t, o)
		s := newBench(t, laterJob(f))
		refused = s.Job.PlanDigest()
		before := device.Fuses()
		out := s.Visit(device)
		if out.Failure == nil || out.Failure.Code != "E-CHIP" || !strings.Contains(out.Failure.Error(), "job.toml:5: chip: the ESP32-C6 is tabled") || device.Fuses() != before {
			t.Errorf("got %s %v", out.Verdict, out.Failure)
		}
	})
	t.Run("allowed", func(t *testing.T) {
		s := newBench(t, flowtest.EditCopy(t, filepath.Dir(laterJob(f)), `chip = "esp32c6"`, `chip = { name = "esp32c6", allow_tabled = true }`))
		if s.Job.PlanDigest() == refused {
			t.Error("the leave is not part of what is approved")
		}
		flowtest.WantVerdict(t, s.Visit(flowtest.NewChip(t, o)), record.Pass, "")
	})
}
