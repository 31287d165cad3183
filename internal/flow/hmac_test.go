package flow_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/firmware"
	"station/internal/flow/flowtest"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/job"
	"station/internal/racetest"
	"station/internal/record"
	"station/internal/secret"
	"station/internal/sim"
	"station/internal/station"
)

// hmacTables give a product a key for HMACs in a block, and an identity in NVS that is
// encrypted with keys which the chip makes of it.
const hmacTables = `[hmac]
key_id = %d

[identity]
token = true
kind = "nvs"
template = "identity.csv"
hmac = true
prints = "identity: {id}"

[boot]
`

const hmacCSV = `key,type,encoding,value
device,namespace,,
id,data,string,{id}
token,data,binary,{token}
`

// hmacJob is the product of a family with these.
func hmacJob(t testing.TB, f *chip.Family, id int, pairs ...string) string {
	t.Helper()
	path := flowtest.EditCopy(t, filepath.Dir(laterJob(f)), "[boot]\n", fmt.Sprintf(hmacTables, id))
	flowtest.Write(t, filepath.Join(filepath.Dir(path), "identity.csv"), []byte(hmacCSV))
	return flowtest.EditCopy(t, filepath.Dir(path), pairs...)
}

// hmacStation is a bench with such a job.
func hmacStation(t testing.TB, f *chip.Family, id int, pairs ...string) *bench {
	t.Helper()
	j, err := job.Load(hmacJob(t, f, id, pairs...))
	if err != nil {
		t.Fatal(err)
	}
	cfg := hsmtest.Known(t, hsmtest.Known(t, hsmtest.Token(t), flowtest.Master, hsmtest.Master), flowtest.IdentityMaster, hsmtest.Master)
	s := &bench{&flowtest.Bench{T: t, KeysOf: tokenKeys, Token: hsmtest.Open(t, cfg), Job: j}}
	s.OpenLedger()
	return s
}

// otaTable gives a product the fleet's key for updates too.
const otaTable = "[ota]\nkey_id = 4\nlabel = \"fleet-ota\"\n\n[boot]\n"

// fleetKey is that key, in every test.
func fleetKey() []byte {
	sum := sha256.Sum256([]byte("fleet-ota"))
	return sum[:]
}

// importFleetKey brings it into the token.
func importFleetKey(t testing.TB, token *hsm.Token) {
	t.Helper()
	key, err := secret.New(fleetKey())
	if err != nil {
		t.Fatal(err)
	}
	defer key.Destroy()
	if _, err := token.Import(t.Context(), "fleet-ota", key); err != nil {
		t.Fatal(err)
	}
}

// plainHMACJob is a C3 with secure boot and a key for HMACs, by which its NVS is
// encrypted, and without flash encryption.
func plainHMACJob(t testing.TB) string {
	t.Helper()
	tables := strings.NewReplacer("[hmac]\n", "[hmac]\nlabel = \"station-master\"\n", "[identity]\n", "[identity]\nlabel = \"station-master\"\n").Replace(fmt.Sprintf(hmacTables, 2))
	path := signedC3(t, []string{"v2a.pem"}, []string{"v2a.pem"}, plainFlash(chip.ESP32C3, "[boot]\n", tables)...)
	flowtest.Write(t, filepath.Join(filepath.Dir(path), "identity.csv"), []byte(hmacCSV))
	return path
}

// A key for HMACs needs no flash encryption: NVS is encrypted by it all the same, and
// nothing of flash encryption is burned.
func TestHMACKeyWithPlainFlash(t *testing.T) {
	s := newBench(t, plainHMACJob(t))
	device := flowtest.NewChip(t, simFor(s.Job, station.VirtualMAC(3)))
	flowtest.WantVerdict(t, s.Visit(device), record.Pass, "")
	if err := sealedSomewhere(s, device); err != nil {
		t.Error(err)
	}
	app := s.Job.Regions[slices.IndexFunc(s.Job.Regions, func(r firmware.Region) bool { return r.Name == "app" })]
	if !bytes.Equal(device.FlashAt(app.Address, len(app.Data)), app.Data) {
		t.Error("the app is not in the flash as it is")
	}
}

// checkBlockForHMACs says in what a block does not hold a key for HMACs, hidden and frozen.
func checkBlockForHMACs(j *job.Job, device *sim.Chip, id int, key []byte) error {
	f := j.Chip()
	b := f.Efuse.Blocks[f.Efuse.Block(fmt.Sprint("BLOCK_KEY", id))]
	held := littleEndian(blockOf(f, device.Fuses(), id))
	purpose, _ := f.Efuse.Field(b.Purpose)
	lock := uint32(1)<<b.WriteDisable | 1<<purpose.WriteDisable
	switch {
	case !bytes.Equal(held, key):
		return fmt.Errorf("%s holds %x, another key", b.Name, held)
	case device.Field(b.Purpose) != 8:
		return fmt.Errorf("%s is %d", b.Purpose, device.Field(b.Purpose))
	case device.Field("RD_DIS")>>b.ReadDisable&1 == 0 || device.Field("WR_DIS")&lock != lock:
		return fmt.Errorf("%s is not protected: RD_DIS %x, WR_DIS %x", b.Name, device.Field("RD_DIS"), device.Field("WR_DIS"))
	}
	return nil
}

// checkHMAC says in what a device has not its own key for HMACs in that block, hidden
// and frozen, or an NVS that the chip can open with it. What the chip makes of the key is
// worked out here, of the fuses alone.
func checkHMAC(j *job.Job, device *sim.Chip, id int) error {
	f := j.Chip()
	key := flowtest.KeyOf(f, "station hmac v1", device.MAC(), 32)
	if err := checkBlockForHMACs(j, device, id, key); err != nil {
		return err
	}
	var keys []byte
	for _, seed := range []string{"5a5abeae", "a5a5dece"} {
		message, _ := hex.DecodeString(strings.Repeat(seed, 8))
		h := hmac.New(sha256.New, key)
		h.Write(message)
		keys = h.Sum(keys)
	}
	nvs := j.Regions[slices.IndexFunc(j.Regions, func(r firmware.Region) bool { return r.Partition == "nvs" })]
	raw := device.FlashAt(nvs.Address, nvs.Size)
	wantID := hex.EncodeToString(flowtest.KeyOf(f, "station device id v1", device.MAC(), 32)[:16])
	token := flowtest.KeyOf(f, "station device token v1", device.MAC(), 32)
	open, err := openNVS(raw, keys)
	if err != nil || !bytes.Contains(open, []byte(wantID)) || !bytes.Contains(open, token) {
		return fmt.Errorf("NVS does not open to ID and token: %v", err)
	}
	if bytes.Contains(raw, []byte(wantID)) || bytes.Contains(raw, token) {
		return fmt.Errorf("NVS is in the clear")
	}
	return nil
}

// A device of each family that computes HMACs gets a key for them, in the block that the
// firmware names, and the keys for flash encryption take others. Its NVS opens with what
// the chip makes of that key, for itself and for its application; the ledger knows key,
// block and ID, and never the key.
func TestHMACKeyOfEveryFamily(t *testing.T) {
	tried := 0
	for _, f := range chip.Families[1:] {
		if _, has := f.Seal.Keys[chip.HMAC]; !has {
			continue
		}
		tried++
		for _, id := range []int{0, 5} {
			if racetest.Enabled && (f != chip.ESP32C3 || id != 0) {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", f.Name, id), func(t *testing.T) { sealsWithHMAC(t, f, id) })
		}
	}
	if tried != 7 {
		t.Errorf("%d families have the key, want 7", tried)
	}
}

func sealsWithHMAC(t *testing.T, f *chip.Family, id int) {
	s := hmacStation(t, f, id)
	device := flowtest.NewChip(t, simFor(s.Job, station.VirtualMAC(3)))
	flowtest.WantVerdict(t, s.Visit(device), record.Pass, "")
	if err := checkHMAC(s.Job, device, id); err != nil {
		t.Error(err)
	}
	flash := fmt.Sprint("BLOCK_KEY", 1-min(id, 1))
	d, _, err := s.Ledger.Device(device.MAC())
	k := d.KeyFor(chip.HMAC)
	if err != nil || !slices.Equal(k.Blocks, []string{fmt.Sprint("BLOCK_KEY", id)}) || !strings.HasPrefix(k.ID, "derived:"+flowtest.Master+":") || !slices.Equal(d.FlashKey().Blocks, []string{flash}) {
		t.Errorf("the ledger has %+v, %v", d.Keys, err)
	}
	if out := s.Visit(device); !out.Already {
		t.Errorf("the second visit: %s %v", out.Verdict, out.Failure)
	}
	key, err := s.Token.DeviceKey(t.Context(), hsm.Request{Chip: f.Name, MAC: d.MAC, Purpose: chip.HMAC, Size: 32, Policy: hsm.Derived, Label: flowtest.Master})
	if err != nil || key.ID != k.ID {
		t.Fatalf("the token gives %s, %v", key.ID, err)
	}
	defer key.Secret.Destroy()
	own := job.Own{MAC: d.MAC, HMACKey: key.Secret}
	if err := station.IdentityAgain(t.Context(), s.Token, d, s.Job, &own); err != nil {
		t.Fatal(err)
	}
	defer own.Values.Destroy()
	regions, err := s.Job.RegionsFor(own)
	if err != nil {
		t.Fatal(err)
	}
	defer regions.Destroy()
	for _, r := range regions.List {
		if r.PerDevice && !bytes.Equal(device.FlashAt(r.Address, r.Size), r.Data) {
			t.Error("NVS is not made again as the flash has it")
		}
	}
	if found := holdsSecret(everyEntry(t, s), flowtest.KeyOf(f, "station hmac v1", device.MAC(), 32)); found != "" {
		t.Errorf("the ledger holds the key as %s", found)
	}
}

// A block that the firmware names cannot be replaced: what is in it before us, says that
// it is for something else, or is half burned is never written, and the last is hidden and SCRAP.
func TestHMACBlockInUse(t *testing.T) { timeless(checkHMACBlockInUse)(t) }

func checkHMACBlockInUse(t *testing.T) {
	const id, burn = 3, 4 // the key, its purpose and its protections come before it
	half := sim.Words{}
	for i := range half {
		half[i] = 0x00ff_00ff
	}
	s := hmacStation(t, chip.ESP32C3, id)
	for n, v := range []struct {
		name        string
		spoil       func(o *sim.Options)
		first, then string // then: when it is put back
	}{
		{"another key", factory(func(w *sim.Words) { sim.SetFieldOf(chip.ESP32C3, w, "BLOCK_KEY3", 7) }), "QUARANTINE E-FOREIGN-KEY", "QUARANTINE E-SET-ASIDE"},
		{"another purpose", factory(func(w *sim.Words) { sim.SetFieldOf(chip.ESP32C3, w, "KEY_PURPOSE_3", 5) }), "QUARANTINE E-FUSE-CONFLICT", "QUARANTINE E-SET-ASIDE"},
		{"frozen", factory(func(w *sim.Words) { sim.SetFieldOf(chip.ESP32C3, w, "WR_DIS", 1<<26) }), "QUARANTINE E-FUSE-CONFLICT", "QUARANTINE E-SET-ASIDE"},
		{"a cut burn", func(o *sim.Options) { o.Faults = faults(sim.Fault{Kind: sim.CutBurn, At: burn, Words: &half}) }, "RETRY E-", "SCRAP E-KEY-BLOCKS"},
		{"cut behind it", func(o *sim.Options) { o.Faults = faults(sim.Fault{Kind: sim.CutBurn, At: burn + 1, Words: &half}) }, "RETRY E-", "PASS"},
	} {
		o := simFor(s.Job, station.VirtualMAC(n))
		v.spoil(&o)
		device := flowtest.NewChip(t, o)
		first := s.Visit(device)
		left := keyBlockOf(device.Fuses(), id)
		device.Heal()
		device.Replug()
		out := s.Visit(device)
		switch {
		case !strings.HasPrefix(how(first), v.first) || how(out) != v.then:
			t.Errorf("%s: got %v, then %v, want %s, then %s", v.name, first.Failure, out.Failure, v.first, v.then)
		case v.then == "PASS":
			if err := checkHMAC(s.Job, device, id); err != nil {
				t.Errorf("%s: %v", v.name, err)
			}
		case keyBlockOf(device.Fuses(), id) != left || device.Field("SPI_BOOT_CRYPT_CNT") != 0:
			t.Errorf("%s: it was written", v.name)
		case out.Verdict == record.Scrap && (left == [8]uint32{} || keptOpen(chip.ESP32C3, device, id) != nil || !strings.Contains(out.Failure.Error(), "looks for its key for hmac in this block alone")):
			t.Errorf("%s: BLOCK_KEY3 is %x: %v", v.name, left, out.Failure)
		}
	}
}

// factory gives a chip other fuses than a blank one's.
func factory(change func(*sim.Words)) func(*sim.Options) {
	return func(o *sim.Options) {
		words := sim.FactoryWords(*o)
		change(&words)
		o.Words = &words
	}
}

// A device that was begun goes on only under a job whose firmware looks for its key where
// it has it.
func TestHMACBlockOfAnotherRevision(t *testing.T) { timeless(checkHMACBlockOfAnotherRevision)(t) }

func checkHMACBlockOfAnotherRevision(t *testing.T) {
	s := hmacStation(t, chip.ESP32C3, 3)
	device := flowtest.NewChip(t, simFor(s.Job, station.VirtualMAC(1)))
	if err := device.Inject(sim.Fault{Kind: sim.CutBurn, At: 1, Words: &sim.Words{}}); err != nil {
		t.Fatal(err)
	}
	if out := s.Visit(device); out.Verdict != record.Retry {
		t.Fatalf("got %s %v", out.Verdict, out.Failure)
	}
	begun := s.Job
	for name, v := range map[string]struct {
		id   int
		want string
	}{"another block": {4, "QUARANTINE E-OTHER-JOB"}, "the block of the flash key": {0, "QUARANTINE E-OTHER-JOB"}} {
		device.Heal()
		device.Replug()
		var err error
		if s.Job, err = job.Load(hmacJob(t, chip.ESP32C3, v.id, `revision = "1"`, `revision = "2"`)); err != nil {
			t.Fatal(err)
		}
		if out := s.Visit(device); how(out) != v.want || !strings.Contains(out.Failure.Error(), "this job's firmware looks for the key for hmac in") {
			t.Errorf("%s: got %s %v", name, how(out), out.Failure)
		}
	}
	s.Job = begun
	device.Heal()
	device.Replug()
	flowtest.WantVerdict(t, s.Visit(device), record.Pass, "")
}
