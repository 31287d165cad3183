package flow_test

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/job"
	"station/internal/record"
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
