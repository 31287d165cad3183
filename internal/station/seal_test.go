package station

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flashcrypt"
	"station/internal/flow"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/job"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/secret"
	"station/internal/sim"
)

const exampleJob = "../../fixtures/example/job.toml"

// station is a bench with a real token and a real ledger.
type station struct {
	t      testing.TB
	job    *job.Job
	token  *hsm.Token
	ledger *ledger.Ledger
	mu     sync.Mutex
	events []flow.Event
}

// master is the label of the example job's key.
const master = "station-master"

func newStation(t testing.TB, jobPath string) *station {
	t.Helper()
	job, err := job.Load(jobPath)
	if err != nil {
		t.Fatal(err)
	}
	cfg := hsmtest.Known(t, hsmtest.Token(t), master, hsmtest.Master)
	s := &station{t: t, job: job, token: hsmtest.Open(t, cfg)}
	s.openLedger()
	return s
}

// openLedger gives the station a new ledger.
func (s *station) openLedger() {
	s.t.Helper()
	book, err := ledger.Open(filepath.Join(s.t.TempDir(), "ledger.db"), ledger.Options{Create: true, Simulated: true, Station: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.ledger = book
	s.t.Cleanup(func() {
		for f := range book.Check(nil) {
			s.t.Errorf("ledger: %v", f)
		}
		if err := book.Close(); err != nil {
			s.t.Error(err)
		}
	})
}

func (s *station) runner() *flow.Runner {
	return &flow.Runner{Job: s.job, Keys: Keys{Token: s.token}, Ledger: s.ledger, Station: "test", Simulated: true, Emit: func(e flow.Event) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.events = append(s.events, e)
	}}
}

// visit puts the chip into the slot once.
func (s *station) visit(chip *sim.Chip) flow.Outcome {
	s.t.Helper()
	wire, err := chip.Open()
	if err != nil {
		s.t.Fatal(err)
	}
	return s.runner().Device(s.t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{}))
}

func newChip(t *testing.T, o sim.Options) *sim.Chip {
	t.Helper()
	o.Real = o.Real || o.State == "" && !realMAC(o).Local()
	chip, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chip.Close() })
	return chip
}

// realMAC is the MAC that the chip will have: one of the factory's makes it a
// real one, as far as a station can see.
func realMAC(o sim.Options) chip.MAC {
	if o.Words == nil {
		w := sim.FactoryWords(o)
		o.Words = &w
	}
	e := &chip.Known(o.Chip).Efuse
	mac, _ := e.Field("MAC")
	lo := mac.Word // word with the low part
	for _, b := range e.Blocks[:mac.Block] {
		lo += b.Words
	}
	m := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, uint16(o.Words[lo+1])), o.Words[lo])
	return chip.MAC(m)
}

func wantVerdict(t *testing.T, out flow.Outcome, verdict record.Verdict, code flow.Code) {
	t.Helper()
	var got flow.Code
	if out.Failure != nil {
		got = out.Failure.Code
	}
	if out.Verdict != verdict || got != code {
		t.Fatalf("got %s %v, want %s %s", out.Verdict, out.Failure, verdict, code)
	}
}

// deviceKey derives what the token must have derived, with Go's own HMAC.
func deviceKey(mac chip.MAC, size int) []byte {
	return derivedKey("station flash encryption v1", mac, size)
}

// derivedKey is the device's key for what the label says.
func derivedKey(label string, mac chip.MAC, size int) []byte {
	return keyOf(chip.ESP32, label, mac, size)
}

// keyOf is that of a device with another chip.
func keyOf(f *chip.Family, label string, mac chip.MAC, size int) []byte {
	var key []byte
	for block := byte(1); len(key) < size; block++ {
		h := hmac.New(sha256.New, hsmtest.Master)
		fmt.Fprintf(h, "\x00\x00\x00%c%s\x00%s%s", block, label, f.Name, mac[:])
		_ = binary.Write(h, binary.BigEndian, uint32(size*8))
		key = h.Sum(key)
	}
	return key[:size]
}

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
	s := newStation(t, exampleJob)
	mac := chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}
	chip := newChip(t, sim.Options{MAC: mac, OnBurn: func(before, after sim.Words) {
		// Asked at the instant when fuses change: the intent is on disk.
		d, known, err := s.ledger.Device(mac)
		if err != nil || !known || len(d.Intended) != len(d.Settled)+1 {
			t.Errorf("fuses change with intents %v, settled %v, %v", d.Intended, d.Settled, err)
		}
	}})
	factory := chip.Fuses()
	wantVerdict(t, s.visit(chip), record.Pass, "")
	checkSealed(t, s.job, chip, deviceKey(mac, 32))
	words := chip.Fuses()
	for i, want := range map[int]uint32{0: 0x07f10088, 5: factory[5] | 0xf0000000, 6: factory[6] | 0x3c4} {
		if words[i] != want {
			t.Errorf("word %d of BLOCK0 is %08x, want %08x", i, words[i], want)
		}
	}
	d, _, err := s.ledger.Device(mac)
	if err != nil || !d.Sealed || !d.Booted || len(d.Images) != len(s.job.Regions) {
		t.Errorf("ledger: %+v, %v", d, err)
	}
	for _, image := range d.Images {
		if sum := md5.Sum(chip.Flash()[image.Address:][:image.Size]); fmt.Sprintf("%x", sum) != image.MD5 {
			t.Errorf("%s: the ledger's MD5 is not the flash's", image.Name)
		}
	}

	// Put back, it passes at once and nothing is written.
	before := chip.Meter()
	out := s.visit(chip)
	wantVerdict(t, out, record.Pass, "")
	if after := chip.Meter().Since(before); !out.Already || after.PagesProgrammed != 0 || after.FuseBurns != 0 {
		t.Errorf("already %t, meter %+v", out.Already, after)
	}

	// The history, which is of the ledger, has the seconds that the tile showed.
	var visits record.Visits
	var shown, told []float64
	for e, err := range s.ledger.Entries(0) {
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range visits.Add(&e) {
			told = append(told, v.Seconds)
		}
	}
	for _, e := range s.events {
		if e.Event == flow.DevicePassed {
			shown = append(shown, e.Seconds)
		}
	}
	if len(shown) != 2 || !slices.Equal(told, shown) {
		t.Errorf("the ledger tells of %v seconds, the screen of %v", told, shown)
	}
}

func TestSealDevelopment(t *testing.T) {
	s := newStation(t, editJob(t, `mode = "release"`, `mode = "development"`))
	chip := newChip(t, sim.Options{Revision: 1})
	factory := chip.Fuses()
	wantVerdict(t, s.visit(chip), record.Pass, "")
	words := chip.Fuses()
	if words[0] != 0x00110088 || words[6] != factory[6]|0x344 {
		t.Errorf("BLOCK0 %08x", words[:7])
	}
}
