package flow_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/job"
	"station/internal/racetest"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/station"
)

// keptOpen finds a key block of a device that was given up which can be read or written still:
// one of those that were torn, or any with bits in it that is not for a digest.
func keptOpen(f *chip.Family, device *sim.Chip, torn ...int) error {
	for n, b := range keyBlocksOf(f) {
		held := blockOf(f, device.Fuses(), n) != [8]uint32{} && (b.Purpose == "" || device.Field(b.Purpose) < 9)
		locked := device.Field("RD_DIS")&b.ReadMask() == b.ReadMask() && device.Field("WR_DIS")>>b.WriteDisable&1 == 1
		if (slices.Contains(torn, n) || held && torn == nil) && !locked {
			return fmt.Errorf("%s can be read or written: RD_DIS is %#x, WR_DIS %#x", b.Name, device.Field("RD_DIS"), device.Field("WR_DIS"))
		}
	}
	return nil
}

// A device that is given up is hidden before it is scrap, whatever is cut off of that, and stays so when it
// is released: of its only block, and of a key that its firmware looks for in one block alone.
func TestGivenUp(t *testing.T) {
	half, all := sim.Words{}, sim.Words{}
	for i := range half {
		half[i], all[i] = 0x00ff_00ff, 0xffff_ffff
	}
	inLab(t, func(l *lab) {
		for name, v := range map[string]struct {
			path string
			at   int // the burn that is cut
			torn int // its block
		}{"ESP32-C2": {withBits(t, chip.ESP32C2, 128), 1, 0}, "a key for HMACs": {hmacJob(t, chip.ESP32C3, 2), 4, 2}} {
			for cut, words := range map[string]sim.Words{"none of it": {}, "half of it": half, "all of it": all} {
				if err := l.givesUp(v.path, v.at, v.torn, half, words); err != nil {
					t.Errorf("%s, %s: %v", name, cut, err)
				}
			}
		}
	})
}

// givesUp cuts a key's burn, and then that which hides what it has left.
func (l *lab) givesUp(path string, at, torn int, first, second sim.Words) error {
	j, err := job.Load(path)
	if err != nil {
		return err
	}
	o := station.ChipFor(j)
	o.MAC, o.Faults = station.VirtualMAC(int(l.made.Add(1))), faults(sim.Fault{Kind: sim.CutBurn, At: at, Words: &first})
	device, err := sim.New(o)
	if err != nil {
		return err
	}
	defer device.Close()
	for visit, want := range []string{"RETRY", "RETRY", "SCRAP E-KEY-BLOCKS", "SCRAP E-KEY-BLOCKS"} {
		burns := device.Meter().FuseBurns
		out, err := l.laterVisit(j, device)
		if err != nil || !strings.HasPrefix(how(out), want) {
			return fmt.Errorf("visit %d: %s %v, %v", visit+1, out.Verdict, out.Failure, err)
		}
		if visit == 3 && device.Meter().FuseBurns != burns {
			return errors.New("it was burned once more")
		}
		if out.Verdict == record.Scrap {
			if _, err := l.ledger.Append(record.Entry{Kind: record.Released, MAC: device.MAC(), Operator: "eve", Message: "again", Simulated: true}); err != nil {
				return err
			}
			if err := errors.Join(keptOpen(j.Chip(), device, torn), l.announced(device.MAC(), efuse.StageGiveUp)); err != nil {
				return err
			}
		}
		device.Heal()
		device.Replug()
		if visit == 0 {
			if err := device.Inject(sim.Fault{Kind: sim.CutBurn, At: 1, Words: &second}); err != nil {
				return err
			}
		}
	}
	return nil
}

// announced looks in the ledger for a stage that was begun before it was read back.
func (l *lab) announced(mac chip.MAC, stage string) error {
	history, err := l.ledger.History(mac)
	var kinds []record.Kind
	for _, e := range history {
		if e.Stage == stage {
			kinds = append(kinds, e.Kind)
		}
	}
	if len(kinds) < 2 || kinds[0] != record.BurnIntended || kinds[len(kinds)-1] != record.BurnSettled {
		return fmt.Errorf("the ledger has %v of stage %s, %v", kinds, stage, err)
	}
	return nil
}

// A key block whose burn was cut off is never written again: what went into it goes
// into the next free one, and the ledger says why. Blocks in use are passed over, and
// the last one where it can hold no such key.
func TestTornKeys(t *testing.T) {
	half := sim.Words{}
	for i := range half {
		half[i] = 0x00ff_00ff
	}
	inLab(t, func(l *lab) {
		for name, v := range map[string]struct {
			f        *chip.Family
			bits, at int
			used     []int // blocks that hold something else
			torn     int   // block
			blocks   []int // of the key in the end; nil: none is left
		}{
			"C3":                       {chip.ESP32C3, 256, 1, []int{1}, 0, []int{2}},
			"the first half":           {chip.ESP32S3, 512, 1, []int{1}, 0, []int{3, 2}},
			"the second half":          {chip.ESP32S3, 512, 4, []int{1}, 2, []int{0, 3}},
			"no block is left":         {chip.ESP32C3, 256, 1, []int{0, 1, 2, 3}, 4, nil},
			"none for the second half": {chip.ESP32S3, 512, 4, []int{1, 2, 3}, 4, nil},
			"all can hold it":          {chip.ESP32S2, 512, 4, []int{1, 2, 3}, 4, []int{0, 5}},
		} {
			if err := l.tearsKey(withBits(t, v.f, v.bits), v.at, v.used, v.torn, v.blocks, half); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// tearsKey cuts the burn number at of a device, and puts it back.
func (l *lab) tearsKey(path string, at int, used []int, torn int, blocks []int, half sim.Words) error {
	j, err := job.Load(path)
	if err != nil {
		return err
	}
	o := station.ChipFor(j)
	o.MAC = station.VirtualMAC(int(l.made.Add(1)))
	words := sim.FactoryWords(o)
	for _, n := range used {
		sim.SetFieldOf(o.Chip, &words, fmt.Sprint("BLOCK_KEY", n), 0xabc)
	}
	o.Words, o.Faults = &words, faults(sim.Fault{Kind: sim.CutBurn, At: at, Words: &half})
	device, err := sim.New(o)
	if err != nil {
		return err
	}
	defer device.Close()
	out, err := l.laterVisit(j, device)
	if err != nil || out.Verdict != record.Retry {
		return fmt.Errorf("the cut visit: %s %v, %v", out.Verdict, out.Failure, err)
	}
	left := keyBlockOf(device.Fuses(), torn)
	if left == [8]uint32{} {
		return fmt.Errorf("BLOCK_KEY%d is empty", torn)
	}
	device.Heal()
	device.Replug()
	out, err = l.laterVisit(j, device)
	if got := keyBlockOf(device.Fuses(), torn); err != nil || got != left || device.Field(fmt.Sprint("KEY_PURPOSE_", torn)) != 0 {
		return fmt.Errorf("BLOCK_KEY%d was %x and is %x, %v", torn, left, got, err)
	}
	if blocks == nil {
		if out.Failure == nil || out.Failure.Code != "E-KEY-BLOCKS" || out.Verdict != record.Scrap {
			return fmt.Errorf("got %s %v", out.Verdict, out.Failure)
		}
		return keptOpen(j.Chip(), device, torn)
	}
	if out.Verdict != record.Pass {
		return fmt.Errorf("got %s %v", out.Verdict, out.Failure)
	}
	return errors.Join(checkLater(&bench{&flowtest.Bench{KeysOf: tokenKeys, Job: j}}, device, blocks...), l.saysWhy(device.MAC(), torn, blocks))
}

// The power goes a second time, in each burn that follows: also in that which hides what the first
// cut has left. The device goes on, and nothing of the key can be read in the end.
func TestSecondCutOfATornKey(t *testing.T) {
	j, err := job.Load(c3Job)
	if err != nil {
		t.Fatal(err)
	}
	half, all := sim.Words{}, sim.Words{}
	for i := range half {
		half[i], all[i] = 0x00ff_00ff, 0xffff_ffff
	}
	inLab(t, func(l *lab) {
		for at := 1; at <= 4; at++ {
			for name, words := range map[string]sim.Words{"half of it": half, "all of it": all} {
				if err := l.cutsTwice(j, at, half, words); err != nil {
					t.Errorf("%s of burn %d after the first cut: %v", name, at, err)
				}
			}
		}
	})
}

// cutsTwice cuts the first burn of a device, and burn number at of those that follow.
func (l *lab) cutsTwice(j *job.Job, at int, first, second sim.Words) error {
	o := station.ChipFor(j)
	o.MAC, o.Faults = station.VirtualMAC(int(l.made.Add(1))), faults(sim.Fault{Kind: sim.CutBurn, At: 1, Words: &first})
	device, err := sim.New(o)
	if err != nil {
		return err
	}
	defer device.Close()
	for visit := range 3 {
		out, err := l.laterVisit(j, device)
		if want := []record.Verdict{record.Retry, record.Retry, record.Pass}[visit]; err != nil || out.Verdict != want {
			return fmt.Errorf("visit %d: %s %v, %v", visit+1, out.Verdict, out.Failure, err)
		}
		device.Heal()
		device.Replug()
		if visit == 0 {
			if err := device.Inject(sim.Fault{Kind: sim.CutBurn, At: at, Words: &second}); err != nil {
				return err
			}
		}
	}
	return sealedSomewhere(&bench{&flowtest.Bench{KeysOf: tokenKeys, Job: j}}, device)
}

// laterVisit is one visit of a device in the lab.
func (l *lab) laterVisit(j *job.Job, device *sim.Chip) (flow.Outcome, error) {
	wire, err := device.Open()
	if err != nil {
		return flow.Outcome{}, err
	}
	r := flow.Runner{Job: j, Keys: station.Keys{Token: l.token}, Ledger: l.ledger, Station: "test", Simulated: true}
	return r.Device(l.ctx, "1", "sim://1", esploader.New(wire, esploader.Options{})), nil
}

// saysWhy looks for the block that was left, and the one that was taken, in the ledger.
func (l *lab) saysWhy(mac chip.MAC, torn int, blocks []int) error {
	history, err := l.ledger.History(mac)
	said := ""
	for _, e := range history {
		if e.Kind == record.KeyAssigned {
			said = e.Message
		}
	}
	if !strings.Contains(said, fmt.Sprintf("BLOCK_KEY%d is half burned", torn)) {
		return fmt.Errorf("the ledger says %q, %v", said, err)
	}
	for n, block := range blocks {
		if d, _, err := l.ledger.Device(mac); err != nil || d.FlashKey().Blocks[n] != fmt.Sprint("BLOCK_KEY", block) {
			return fmt.Errorf("the ledger has the key in %q, %v", d.FlashKey().Blocks, err)
		}
	}
	return nil
}

// laterProducts are those whose power is cut, with the stride of the commands that write
// no registers: before the first burn most are as the first.
func laterProducts(t *testing.T) []laterProduct {
	p256, p384 := []string{bootKeyFiles[chip.P256]}, []string{bootKeyFiles[chip.P384]}
	return []laterProduct{
		{"ESP32-C3, release", c3Job, 1},
		{"ESP32-C3, secure boot", signedC3(t, []string{"v2b.pem"}, []string{"v2a.pem", "v2b.pem"}), 10},
		{"ESP32-C2, 256 bits", withBits(t, chip.ESP32C2, 256), 60},
		{"ESP32-C2, 128 bits", withBits(t, chip.ESP32C2, 128), 60},
		{"ESP32-C2, secure boot", signedJob(t, chip.ESP32C2, p256, p256), 1},
		{"ESP32-C2, secure boot alone", signedJob(t, chip.ESP32C2, p256, p256, plainFlash(chip.ESP32C2)...), 60},
		{"ESP32-C6, secure boot with P-256", signedJob(t, chip.ESP32C6, p256, p256), 1},
		{"ESP32-C5, secure boot with P-384", signedJob(t, chip.ESP32C5, p384, p384), 20},
		{"ESP32-C3, key for HMACs", hmacJob(t, chip.ESP32C3, 2), 20},
		{"ESP32-C3, keys for HMACs and updates", hmacJob(t, chip.ESP32C3, 2, "[boot]\n", otaTable), 20},
		{"ESP32-C3, key for HMACs, plain flash", plainHMACJob(t), 20},
		{"ESP32-S3, XTS-AES-256", withBits(t, chip.ESP32S3, 512), 20},
	}
}

type laterProduct struct {
	name, path string
	stride     int
}

// The power goes at every command of a later chip's way, and inside every burn; put
// back, each goes on and is sealed, with no block programmed twice.
func TestPowerCutsOfLaterChips(t *testing.T) {
	inMemory(t)
	var m matrix
	var sample racetest.Sample
	for _, p := range laterProducts(t) {
		if sample.Out(4) {
			continue
		}
		t.Run(p.name, func(t *testing.T) { m.cutLater(t, p.name, p.path, p.stride) })
	}
	m.publish(t, "c3")
}

// cutLater cuts every command that writes registers, and of all others one of stride.
func (m *matrix) cutLater(t *testing.T, product, path string, stride int) {
	j, err := job.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	s, commands := &bench{&flowtest.Bench{T: t, KeysOf: tokenKeys, Job: j}}, 0
	inLab(t, func(l *lab) {
		trial := func(f ...sim.Fault) (device *sim.Chip, end string, err error) {
			o := station.ChipFor(j)
			o.MAC, o.Faults = station.VirtualMAC(int(l.made.Add(1))), f
			var wrong error
			o.OnBurn = func(before, after sim.Words) {
				if err := orderOfLater(j, before, after); err != nil {
					wrong = err
				}
			}
			if device, err = sim.New(o); err != nil {
				return nil, "", err
			}
			for visit := range 4 {
				out, err := l.laterVisit(j, device)
				if err != nil {
					return device, "", err
				}
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
				case out.Verdict == record.Scrap && out.Failure.Code == "E-KEY-BLOCKS" && (len(keyBlocksOf(j.Chip())) == 1 || tornHMAC(j, device)) && device.Field(j.Chip().Seal.Count) == 0:
					if j.Keys() == nil { // a digest is no secret
						return device, "SCRAP E-KEY-BLOCKS", nil
					}
					return device, "SCRAP E-KEY-BLOCKS", keptOpen(j.Chip(), device) // the only block that can have the key is half burned
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
			step, stepWrites = 2*raceStride, raceStride/2
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
				if racetest.Enabled && at%8 != 4 {
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

// orderOfLater says what is burned too early: a key block twice, encryption before its
// key is hidden and frozen, secure boot before encryption and a digest that is frozen,
// the end of the loader before all of that.
func orderOfLater(j *job.Job, before, after sim.Words) error {
	f := j.Chip()
	field := func(w sim.Words, name string) uint32 { return sim.FieldOf(f, &w, name) }
	fresh := func(name string) bool { return field(before, name) != field(after, name) }
	blocks := keyBlocksOf(f)
	for n, b := range blocks {
		if was := blockOf(f, before, n); was != [8]uint32{} && was != blockOf(f, after, n) {
			return fmt.Errorf("%s was programmed twice", b.Name)
		}
	}
	ready := func(p chip.Purpose) bool { // the block says what it is for, is frozen, and hidden if it is a key
		use := f.Seal.Keys[p]
		return slices.ContainsFunc(blocks, func(b chip.Block) bool {
			locks, hides := uint32(1)<<b.WriteDisable, cmp.Or(use.Hides, b.ReadMask())
			if purpose, says := f.Efuse.Field(b.Purpose); says {
				locks |= 1 << purpose.WriteDisable
				if field(before, b.Purpose) != use.Value {
					return false
				}
			}
			for _, v := range use.With {
				if field(before, v.Field) != v.Value {
					return false
				}
			}
			return field(before, "WR_DIS")&locks == locks && (!use.Hidden || field(before, "RD_DIS")&hides == hides)
		})
	}
	parts := slices.Clone(flashParts(j))
	for _, k := range j.Plan.Named() {
		parts = append(parts, k.For())
	}
	keyed := !slices.ContainsFunc(parts, func(p chip.Purpose) bool { return !ready(p) })
	switch {
	case fresh("SPI_BOOT_CRYPT_CNT") && !keyed:
		return fmt.Errorf("encryption is on before its key is hidden and frozen")
	case fresh("SECURE_BOOT_EN") && (!ready(f.Seal.SecureBoot[2].Purpose) || j.Encrypts() && field(before, "SPI_BOOT_CRYPT_CNT") != 7):
		return fmt.Errorf("secure boot is on before encryption and a digest that is frozen")
	case fresh("ENABLE_SECURITY_DOWNLOAD") && (field(before, "SECURE_BOOT_EN") == 0 || field(before, "WR_DIS")&1 == 0):
		return fmt.Errorf("the loader is closed before all else is burned")
	}
	return nil
}

// tornHMAC reports a key for HMACs whose burn was cut off: it says that it is for nothing.
func tornHMAC(j *job.Job, device *sim.Chip) bool {
	torn := func(id int, key []byte) bool {
		got := littleEndian(blockOf(j.Chip(), device.Fuses(), id))
		return !bytes.Equal(got, key) && device.Field(fmt.Sprint("KEY_PURPOSE_", id)) == 0
	}
	return j.HMAC != nil && torn(*j.HMAC.KeyID, flowtest.KeyOf(j.Chip(), "station hmac v1", device.MAC(), 32)) ||
		j.OTA != nil && torn(*j.OTA.KeyID, fleetKey())
}

// keyBlocksOf are the blocks of a chip that may hold keys, the first being BLOCK_KEY0.
func keyBlocksOf(f *chip.Family) []chip.Block {
	return slices.DeleteFunc(slices.Clone(f.Efuse.Blocks), func(b chip.Block) bool { return !strings.HasPrefix(b.Name, "BLOCK_KEY") })
}

// sealedSomewhere finds the blocks that say they hold the key, or the one that must.
func sealedSomewhere(s *bench, device *sim.Chip) error {
	var blocks []int
	for _, p := range flashParts(s.Job) {
		for n, b := range keyBlocksOf(s.Job.Chip()) {
			if b.Purpose == "" || device.Field(b.Purpose) == s.Job.Chip().Seal.Keys[p].Value {
				blocks = append(blocks, n)
			}
		}
	}
	if len(blocks) != len(flashParts(s.Job)) {
		return fmt.Errorf("blocks %d hold the key", blocks)
	}
	if s.Job.HMAC != nil {
		if err := checkHMAC(s.Job, device, *s.Job.HMAC.KeyID); err != nil {
			return err
		}
	}
	if s.Job.OTA != nil {
		if err := checkBlockForHMACs(s.Job, device, *s.Job.OTA.KeyID, fleetKey()); err != nil {
			return err
		}
	}
	return checkLater(s, device, blocks...)
}
