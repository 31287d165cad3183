package flow_test

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"station/internal/chip"
	"station/internal/flashcrypt"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/job"
	"station/internal/record"
	"station/internal/secret"
	"station/internal/sim"
)

// checkSealed holds flash and fuses against what the classic procedure gives.
func checkSealed(t *testing.T, job *job.Job, chip *sim.Chip, key []byte) {
	t.Helper()
	words := chip.Fuses()
	for i := range 8 {
		// BLOCK1 word 7-i is the big-endian word i of the key file.
		if want := binary.BigEndian.Uint32(key[4*i:]); words[7+7-i] != want {
			t.Errorf("BLOCK1 word %d is %08x, want %08x", 7-i, words[7+7-i], want)
		}
	}
	checkFlash(t, job, chip, key)
}

func checkFlash(t *testing.T, job *job.Job, chip *sim.Chip, key []byte) {
	t.Helper()
	if err := flashError(job, chip, key); err != nil {
		t.Error(err)
	}
}

// flashError decrypts the flash with a key that the station never had in hand,
// and says in what it is not the job's.
func flashError(j *job.Job, chip *sim.Chip, key []byte, boot ...byte) error {
	k, err := secret.New(bytes.Clone(key))
	if err != nil {
		return err
	}
	defer k.Destroy()
	cipher, err := flashcrypt.For(j.Chip().Cipher, k, 15)
	if err != nil {
		return err
	}
	defer cipher.Destroy()
	var bootKey *secret.Bytes
	if len(boot) > 0 {
		if bootKey, err = secret.New(boot); err != nil {
			return err
		}
		defer bootKey.Destroy()
	}
	regions, err := j.RegionsFor(job.Own{MAC: chip.MAC(), BootKey: bootKey}) // identities are looked at elsewhere
	if err != nil {
		return err
	}
	for _, r := range regions.List {
		got := chip.FlashAt(r.Address, int(r.Size))
		if r.Encrypted != j.Encrypts() && r.Address <= 0x1000 {
			return fmt.Errorf("%s: encrypted %t in a job that encrypts %t", r.Name, r.Encrypted, j.Encrypts())
		}
		if r.Encrypted {
			if bytes.Equal(got, r.Data) {
				return fmt.Errorf("%s is in the flash unencrypted", r.Name)
			}
			if err := cipher.Decrypt(got, got, r.Address); err != nil {
				return err
			}
		}
		if !bytes.Equal(got, r.Data) {
			return fmt.Errorf("%s: the flash does not decrypt to the image", r.Name)
		}
	}
	return nil
}

func TestSealRelease(t *testing.T) {
	s := newBench(t, flowtest.ExampleJob)
	mac := chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}
	chip := flowtest.NewChip(t, sim.Options{MAC: mac, OnBurn: func(before, after sim.Words) {
		// Asked at the instant when fuses change: the intent is on disk.
		d, known, err := s.Ledger.Device(mac)
		if err != nil || !known || len(d.Intended) != len(d.Settled)+1 {
			t.Errorf("fuses change with intents %v, settled %v, %v", d.Intended, d.Settled, err)
		}
	}})
	factory := chip.Fuses()
	flowtest.WantVerdict(t, s.Visit(chip), record.Pass, "")
	checkSealed(t, s.Job, chip, flowtest.DeviceKey(mac, 32))
	words := chip.Fuses()
	for i, want := range map[int]uint32{0: 0x07f10088, 5: factory[5] | 0xf0000000, 6: factory[6] | 0x3c4} {
		if words[i] != want {
			t.Errorf("word %d of BLOCK0 is %08x, want %08x", i, words[i], want)
		}
	}
	d, _, err := s.Ledger.Device(mac)
	if err != nil || !d.Sealed || !d.Booted || len(d.Images) != len(s.Job.Regions) {
		t.Errorf("ledger: %+v, %v", d, err)
	}
	for _, image := range d.Images {
		if sum := md5.Sum(chip.Flash()[image.Address:][:image.Size]); fmt.Sprintf("%x", sum) != image.MD5 {
			t.Errorf("%s: the ledger's MD5 is not the flash's", image.Name)
		}
	}

	// Put back, it passes at once and nothing is written.
	before := chip.Meter()
	out := s.Visit(chip)
	flowtest.WantVerdict(t, out, record.Pass, "")
	if after := chip.Meter().Since(before); !out.Already || after.PagesProgrammed != 0 || after.FuseBurns != 0 {
		t.Errorf("already %t, meter %+v", out.Already, after)
	}

	// The history, which is of the ledger, has the seconds that the tile showed.
	var visits record.Visits
	var shown, told []float64
	for e, err := range s.Ledger.Entries(0) {
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range visits.Add(&e) {
			told = append(told, v.Seconds)
		}
	}
	for _, e := range s.Events {
		if e.Event == flow.DevicePassed {
			shown = append(shown, e.Seconds)
		}
	}
	if len(shown) != 2 || !slices.Equal(told, shown) {
		t.Errorf("the ledger tells of %v seconds, the screen of %v", told, shown)
	}
}

func TestSealDevelopment(t *testing.T) {
	s := newBench(t, flowtest.EditJob(t, `mode = "release"`, `mode = "development"`))
	chip := flowtest.NewChip(t, sim.Options{Revision: 1})
	factory := chip.Fuses()
	flowtest.WantVerdict(t, s.Visit(chip), record.Pass, "")
	words := chip.Fuses()
	if words[0] != 0x00110088 || words[6] != factory[6]|0x344 {
		t.Errorf("BLOCK0 %08x", words[:7])
	}
}
