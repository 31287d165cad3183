package station

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
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/job"
	"station/internal/racetest"
	"station/internal/record"
	"station/internal/secureboot"
	"station/internal/sim"
)

// The later chips, of which each has a small job of its own in fixtures, named after it.

var c3Job = laterJob(chip.ESP32C3)

func laterJob(f *chip.Family) string { return "../../fixtures/chips/" + f.Name + "/job.toml" }

// c3 is a virtual one whose MAC says that it is virtual.
func c3(o sim.Options) sim.Options {
	o.Chip, o.FlashSize = chip.ESP32C3, cmp.Or(o.FlashSize, 1<<20)
	if o.MAC == ([6]byte{}) {
		o.MAC = VirtualMAC(0)
	}
	return o
}

// onC3 is a visit of a C3 in some state.
func onC3(spoil func(*sim.Options)) provocation {
	return func(t *testing.T) flow.Code {
		o := c3(sim.Options{})
		spoil(&o)
		return codeOf(newStation(t, c3Job).visit(newChip(t, o)))
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

// keyBlockOf are the words of a key block, the first being n.
func keyBlockOf(words sim.Words, n int) [8]uint32 { return [8]uint32(words[28+8*n:]) }

// reversed is a key as its block holds it.
func reversed(key []byte) (w [8]uint32) {
	for i := range w {
		w[7-i] = binary.BigEndian.Uint32(key[4*i:])
	}
	return w
}

func laterKey(f *chip.Family, mac chip.MAC) []byte {
	return keyOf(f, "station flash encryption v1", mac, 32)
}

// checkLater says in what a device is not sealed with its key in that block.
func checkLater(s *station, device *sim.Chip, block int) error {
	f := s.job.Chip()
	key := laterKey(f, device.MAC())
	if keyBlockOf(device.Fuses(), block) != reversed(key) {
		return fmt.Errorf("BLOCK_KEY%d holds another key", block)
	}
	want := map[string]uint32{fmt.Sprint("KEY_PURPOSE_", block): 4, "SPI_BOOT_CRYPT_CNT": 7, "DIS_DOWNLOAD_MANUAL_ENCRYPT": 1, "RD_DIS": 1 << block}
	for _, v := range f.Seal.Release {
		if v.Field != "WR_DIS" {
			want[v.Field] = v.Value
		}
	}
	for field, want := range want {
		if got := device.Field(field); got != want {
			return fmt.Errorf("%s is %d, want %d", field, got, want)
		}
	}
	if lock := device.Field("WR_DIS"); lock>>(23+block)&1 == 0 || lock>>(8+block)&1 == 0 || lock>>2&1 == 0 {
		return fmt.Errorf("WR_DIS is %08x", lock)
	}
	if err := signedOnly(s.job, device); err != nil {
		return err
	}
	return flashError(s.job, device, key)
}

// signedOnly says in what a device does not start just what the job's keys signed:
// each digest in a block of its own, readable and frozen; every other one revoked;
// nothing that can be hidden any more; the loader closed.
func signedOnly(j *job.Job, device *sim.Chip) error {
	digests := j.Plan.Keys()[1:]
	for n := range 3 {
		block := slices.IndexFunc([]int{0, 1, 2, 3, 4, 5}, func(b int) bool { return device.Field(fmt.Sprint("KEY_PURPOSE_", b)) == uint32(9+n) })
		revoked := device.Field(fmt.Sprint("SECURE_BOOT_KEY_REVOKE", n))
		switch {
		case len(digests) == 0 && block < 0 && revoked == 0:
		case n >= len(digests) && block < 0 && revoked == 1:
		case n < len(digests) && block >= 0 && revoked == 0 && bytes.Equal(digests[n].Secret.Reveal(), littleEndian(keyBlockOf(device.Fuses(), block))) &&
			device.Field("WR_DIS")>>(23+block)&1 == 1 && device.Field("WR_DIS")>>(8+block)&1 == 1 && device.Field("RD_DIS")>>block&1 == 0:
		default:
			return fmt.Errorf("digest %d is in block %d, revoked %d, WR_DIS %08x", n, block, revoked, device.Field("WR_DIS"))
		}
	}
	for field, want := range map[string]uint32{"SECURE_BOOT_EN": 1, "ENABLE_SECURITY_DOWNLOAD": 1} {
		if got := device.Field(field); got != want && len(digests) > 0 {
			return fmt.Errorf("%s is %d", field, got)
		}
	}
	if device.Field("WR_DIS")&1 == 0 && len(digests) > 0 {
		return fmt.Errorf("RD_DIS can still be written: a digest can be hidden")
	}
	return nil
}

func littleEndian(words [8]uint32) (b []byte) {
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// signedC3 is the C3's job with secure boot: its images signed with some keys of
// the vectors, its fuses for others.
func signedC3(t testing.TB, signers, trusted []string, pairs ...string) string {
	t.Helper()
	table := "[secure_boot]\nversion = 2\nkeys = [\"" + strings.Join(trusted, "\", \"") + "\"]\n\n[boot]\n"
	path := editCopy(t, filepath.Dir(c3Job), "[boot]\n", table, `size = "1MB"`, `size = "4MB"`)
	dir := filepath.Dir(path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, []byte(strings.NewReplacer(pairs...).Replace(string(text))))
	var keys []crypto.Signer
	for _, name := range signers {
		keys = append(keys, bootKeyOf(t, name))
	}
	for _, name := range trusted {
		write(t, filepath.Join(dir, name), thirdKey(t))
		if !strings.HasPrefix(name, "third") {
			write(t, filepath.Join(dir, name), publicOf(t, name))
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
		write(t, filepath.Join(dir, name), signed)
	}
	return path
}

// thirdKey is a public key that nobody has the private half of.
func thirdKey(t testing.TB) []byte {
	t.Helper()
	n := new(big.Int).Add(bootKeyOf(t, "v2a.pem").Public().(*rsa.PublicKey).N, big.NewInt(2))
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// A chip of every family goes through the whole procedure, and is known when it
// comes again; the ledger says of one that is only tabled that it is. A crystal or
// revision that the family has is no hindrance.
func TestSealEveryFamily(t *testing.T) {
	for _, f := range chip.Families[1:] {
		t.Run(f.Name, func(t *testing.T) {
			s := newStation(t, laterJob(f))
			o := ChipFor(s.job)
			o.MAC = VirtualMAC(0)
			device := newChip(t, o)
			wantVerdict(t, s.visit(device), record.Pass, "")
			if err := checkLater(s, device, 0); err != nil {
				t.Error(err)
			}
			before := device.Fuses()
			out := s.visit(device)
			if wantVerdict(t, out, record.Pass, ""); !out.Already || device.Fuses() != before {
				t.Errorf("the second visit: already %t", out.Already)
			}
			d, _, err := s.ledger.Device(device.MAC())
			if k := d.FlashKey(); err != nil || !slices.Equal(k.Blocks, []string{"BLOCK_KEY0"}) || !d.Sealed {
				t.Errorf("the ledger has %+v, sealed %t, %v", k, d.Sealed, err)
			}
			marked := 0
			for e, err := range s.ledger.Entries(0) {
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
		})
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
			s := newStation(t, path)
			device := newChip(t, c3(sim.Options{FlashSize: 4 << 20}))
			wantVerdict(t, s.visit(device), record.Pass, "")
			if err := checkLater(s, device, 0); err != nil {
				t.Error(err)
			}
			if out := s.visit(device); out.Failure == nil || out.Failure.Code != "E-DOWNLOAD-DISABLED" {
				t.Errorf("a closed one, again: %s %v", out.Verdict, out.Failure)
			}
		})
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
			device := newChip(t, o)
			out := newStation(t, path).visit(device)
			if out.Failure == nil || out.Failure.Code != "E-FUSE-CONFLICT" || device.Fuses() != words {
				t.Errorf("got %s %v, burned %t", out.Verdict, out.Failure, device.Fuses() != words)
			}
		})
	}
}

// A key block whose burn was cut off is never written again: the key goes into
// the next free one, and the ledger says why. Blocks in use are passed over.
func TestTornKeyOfAC3(t *testing.T) {
	s := newStation(t, c3Job)
	words := sim.FactoryWords(c3(sim.Options{}))
	sim.SetFieldOf(chip.ESP32C3, &words, "BLOCK_KEY1", 0xabc)
	half := sim.Words{}
	for i := range half {
		half[i] = 0x00ff_00ff
	}
	device := newChip(t, c3(sim.Options{Words: &words, Faults: faults(sim.Fault{Kind: sim.CutBurn, Words: &half})}))
	if out := s.visit(device); out.Verdict != record.Retry {
		t.Fatalf("got %s %v", out.Verdict, out.Failure)
	}
	torn := keyBlockOf(device.Fuses(), 0)
	if torn == [8]uint32{} || torn == reversed(laterKey(chip.ESP32C3, device.MAC())) {
		t.Fatalf("BLOCK_KEY0 is %x", torn)
	}
	device.Heal()
	device.Replug()
	wantVerdict(t, s.visit(device), record.Pass, "")
	if got := keyBlockOf(device.Fuses(), 0); got != torn || device.Field("KEY_PURPOSE_0") != 0 {
		t.Errorf("BLOCK_KEY0 was %x and is %x", torn, got)
	}
	if err := checkLater(s, device, 2); err != nil {
		t.Error(err)
	}
	said := ""
	for e, err := range s.ledger.Entries(0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == record.KeyAssigned {
			said = e.Message
		}
	}
	if !strings.Contains(said, "BLOCK_KEY0 is half burned") || !strings.Contains(said, "BLOCK_KEY2") {
		t.Errorf("the ledger says %q", said)
	}
	out := s.visit(device)
	if wantVerdict(t, out, record.Pass, ""); !out.Already {
		t.Error("it was sealed twice")
	}
}

// The power goes at every command of a C3's way, and inside every burn; put
// back, each goes on and is sealed, with no block programmed twice.
func TestPowerCutsOfC3s(t *testing.T) {
	inMemory(t)
	var m matrix
	t.Run("release", func(t *testing.T) { m.cutC3s(t, "ESP32-C3, release", c3Job, 1) })
	t.Run("secure boot", func(t *testing.T) { // before the first burn it is as the plain one
		m.cutC3s(t, "ESP32-C3, secure boot", signedC3(t, []string{"v2b.pem"}, []string{"v2a.pem", "v2b.pem"}), 10)
	})
	m.publish(t, "c3")
}

// cutC3s cuts every command that writes registers, and of all others one of stride.
func (m *matrix) cutC3s(t *testing.T, product, path string, stride int) {
	j, err := job.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	s, commands := &station{t: t, job: j}, 0
	inLab(t, func(l *lab) {
		trial := func(f ...sim.Fault) (device *sim.Chip, end string, err error) {
			o := c3(sim.Options{MAC: VirtualMAC(int(l.made.Add(1))), FlashSize: int(j.Flash.Size), Faults: f})
			var wrong error
			o.OnBurn = func(before, after sim.Words) {
				if err := orderOfC3(before, after); err != nil {
					wrong = err
				}
			}
			if device, err = sim.New(o); err != nil {
				return nil, "", err
			}
			for visit := range 4 {
				wire, err := device.Open()
				if err != nil {
					return device, "", err
				}
				r := flow.Runner{Job: s.job, Keys: Keys{Token: l.token}, Ledger: l.ledger, Station: "test", Simulated: true}
				out := r.Device(l.ctx, "1", "sim://1", esploader.New(wire, esploader.Options{}))
				closed := out.Failure != nil && (out.Failure.Code == "E-DOWNLOAD-DISABLED" || out.Failure.Code == "E-CLOSED")
				switch {
				case wrong != nil:
					return device, "", wrong
				case out.Verdict == record.Pass && visit == 0:
					return device, "sealed", sealedSomewhere(s, device)
				case out.Verdict == record.Pass:
					return device, "sealed when put back", sealedSomewhere(s, device)
				case closed && device.Field("ENABLE_SECURITY_DOWNLOAD") == 1:
					return device, "QUARANTINE E-CLOSED", sealedSomewhere(s, device)
				case out.Verdict != record.Retry && !closed:
					return device, "", fmt.Errorf("%s %v", out.Verdict, out.Failure)
				}
				device.Heal()
				device.Replug()
			}
			return device, "", fmt.Errorf("it is not sealed after four visits")
		}
		device, _, err := trial()
		if err != nil {
			t.Fatal(err)
		}
		for n := range maps.Values(device.Meter().Commands) {
			commands += n
		}
		burns := device.Meter().FuseBurns
		device.Close()
		check := func(class string, f sim.Fault) {
			ends := m.row(class, product)
			device, end, err := trial(f)
			if err != nil {
				t.Errorf("%s, %s at %d: %v", product, f.Kind, f.At, err)
			}
			device.Close()
			m.mu.Lock()
			defer m.mu.Unlock()
			ends[end]++
		}
		const before, after, inside = "power goes before a command", "power goes after a command, before its reply", "power goes inside a fuse programming"
		for _, class := range []string{before, after, inside} { // in this order
			m.row(class, product)
		}
		step, writes, stepWrites := stride, device.Meter().Commands["WRITE_REG"], 1
		if racetest.Enabled {
			step, stepWrites = raceStride, raceStride/4
		}
		parallel(func(do func(func())) {
			for at := 1; at <= commands; at += step {
				do(func() { check(before, sim.Fault{Kind: sim.CutBefore, At: at}) })
			}
			for at := 1; at <= writes; at += stepWrites { // what a command leaves without a reply differs only where it writes
				do(func() { check(before, sim.Fault{Kind: sim.CutBefore, Op: writeReg, At: at}) })
				do(func() { check(after, sim.Fault{Kind: sim.CutAfter, Op: writeReg, At: at}) })
			}
			for at := 1; at <= burns; at++ {
				if racetest.Enabled && at%4 != 0 {
					continue
				}
				for _, mask := range []uint32{0, 0x1, 0x0f0f0f0f, 0xfffffffe, 0xffffffff} {
					var words sim.Words
					for i := range words {
						words[i] = mask
					}
					do(func() { check(inside, sim.Fault{Kind: sim.CutBurn, At: at, Words: &words}) })
				}
				do(func() { check(inside, sim.Fault{Kind: sim.CutBurn, At: at}) })
			}
		})
	})
	if commands < 100 {
		t.Errorf("only %d commands", commands)
	}
}

// orderOfC3 says what is burned too early: a key block twice, encryption before its
// key is hidden, secure boot before encryption and a digest that is frozen, the end
// of the loader before all of that.
func orderOfC3(before, after sim.Words) error {
	field := func(w sim.Words, name string) uint32 { return sim.FieldOf(chip.ESP32C3, &w, name) }
	fresh := func(name string) bool { return field(before, name) != field(after, name) }
	for n := range 6 {
		if was := keyBlockOf(before, n); was != [8]uint32{} && was != keyBlockOf(after, n) {
			return fmt.Errorf("BLOCK_KEY%d was programmed twice", n)
		}
	}
	frozen := func(purpose uint32) bool {
		for n := range 6 {
			if field(before, fmt.Sprint("KEY_PURPOSE_", n)) == purpose {
				return field(before, "WR_DIS")>>(23+n)&(field(before, "WR_DIS")>>(8+n))&1 == 1
			}
		}
		return false
	}
	switch {
	case fresh("SPI_BOOT_CRYPT_CNT") && (!frozen(4) || field(before, "RD_DIS") == 0):
		return fmt.Errorf("encryption is on before its key is hidden and frozen")
	case fresh("SECURE_BOOT_EN") && (!frozen(9) || field(before, "SPI_BOOT_CRYPT_CNT") != 7):
		return fmt.Errorf("secure boot is on before encryption and a digest that is frozen")
	case fresh("ENABLE_SECURITY_DOWNLOAD") && (field(before, "SECURE_BOOT_EN") == 0 || field(before, "WR_DIS")&1 == 0):
		return fmt.Errorf("the loader is closed before all else is burned")
	}
	return nil
}

// sealedSomewhere finds the block that says it holds the key.
func sealedSomewhere(s *station, device *sim.Chip) error {
	for n := range 5 {
		if device.Field(fmt.Sprint("KEY_PURPOSE_", n)) == 4 {
			return checkLater(s, device, n)
		}
	}
	return fmt.Errorf("no block holds the key")
}

// A real chip of a family that was held against no ROM is touched only where its job
// says so, and that is part of what is approved.
func TestTabledForReal(t *testing.T) {
	f := chip.ESP32C6
	o := sim.Options{Chip: f, FlashSize: 1 << 20, Real: true, MAC: [6]byte{0x60, 0x55, 0xf9, 1, 2, 3}}
	refused := ""
	t.Run("refused", func(t *testing.T) {
		device := newChip(t, o)
		s := newStation(t, laterJob(f))
		refused = s.job.PlanDigest()
		before := device.Fuses()
		out := s.visit(device)
		if out.Failure == nil || out.Failure.Code != "E-CHIP" || !strings.Contains(out.Failure.Error(), "job.toml:5: chip: the ESP32-C6 is tabled") || device.Fuses() != before {
			t.Errorf("got %s %v", out.Verdict, out.Failure)
		}
	})
	t.Run("allowed", func(t *testing.T) {
		s := newStation(t, editCopy(t, filepath.Dir(laterJob(f)), `chip = "esp32c6"`, `chip = { name = "esp32c6", allow_tabled = true }`))
		if s.job.PlanDigest() == refused {
			t.Error("the leave is not part of what is approved")
		}
		wantVerdict(t, s.visit(newChip(t, o)), record.Pass, "")
	})
}
