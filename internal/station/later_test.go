package station

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/job"
	"station/internal/racetest"
	"station/internal/record"
	"station/internal/sim"
)

// The later chips, of which each that can be sealed has a small job of its own
// in fixtures, named after it.

const c3Job = "../../fixtures/c3/job.toml"

// c3 is a virtual one whose MAC says that it is virtual.
func c3(o sim.Options) sim.Options {
	o.Chip, o.FlashSize = chip.ESP32C3, 1<<20
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

func c3Key(mac chip.MAC) []byte {
	return keyOf(chip.ESP32C3, "station flash encryption v1", mac, 32)
}

// checkC3 says in what a C3 is not sealed with its key in that block.
func checkC3(s *station, device *sim.Chip, block int) error {
	key := c3Key(device.MAC())
	words := device.Fuses()
	if keyBlockOf(words, block) != reversed(key) {
		return fmt.Errorf("BLOCK_KEY%d holds another key", block)
	}
	for field, want := range map[string]uint32{fmt.Sprint("KEY_PURPOSE_", block): 4, "SPI_BOOT_CRYPT_CNT": 7, "DIS_DOWNLOAD_MANUAL_ENCRYPT": 1,
		"DIS_DOWNLOAD_ICACHE": 1, "DIS_PAD_JTAG": 1, "DIS_DIRECT_BOOT": 1, "RD_DIS": 1 << block} {
		if got := device.Field(field); got != want {
			return fmt.Errorf("%s is %d, want %d", field, got, want)
		}
	}
	if lock := device.Field("WR_DIS"); lock>>(23+block)&1 == 0 || lock>>(8+block)&1 == 0 || lock>>2&1 == 0 {
		return fmt.Errorf("WR_DIS is %08x", lock)
	}
	return flashError(s.job, device, key)
}

// A C3 goes through the whole procedure, and is known when it comes again.
func TestSealC3(t *testing.T) {
	s := newStation(t, c3Job)
	device := newChip(t, c3(sim.Options{}))
	wantVerdict(t, s.visit(device), record.Pass, "")
	if err := checkC3(s, device, 0); err != nil {
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
	if torn == [8]uint32{} || torn == reversed(c3Key(device.MAC())) {
		t.Fatalf("BLOCK_KEY0 is %x", torn)
	}
	device.Heal()
	device.Replug()
	wantVerdict(t, s.visit(device), record.Pass, "")
	if got := keyBlockOf(device.Fuses(), 0); got != torn || device.Field("KEY_PURPOSE_0") != 0 {
		t.Errorf("BLOCK_KEY0 was %x and is %x", torn, got)
	}
	if err := checkC3(s, device, 2); err != nil {
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
	j, err := job.Load(c3Job)
	if err != nil {
		t.Fatal(err)
	}
	s, commands := &station{t: t, job: j}, 0
	inLab(t, func(l *lab) {
		trial := func(f ...sim.Fault) (*sim.Chip, error) {
			o := c3(sim.Options{MAC: VirtualMAC(int(l.made.Add(1))), Faults: f})
			var twice error
			o.OnBurn = func(before, after sim.Words) {
				for n := range 6 {
					if was := keyBlockOf(before, n); was != [8]uint32{} && was != keyBlockOf(after, n) {
						twice = fmt.Errorf("BLOCK_KEY%d was programmed twice", n)
					}
				}
			}
			device, err := sim.New(o)
			if err != nil {
				return nil, err
			}
			for range 4 {
				wire, err := device.Open()
				if err != nil {
					return device, err
				}
				r := flow.Runner{Job: s.job, Keys: Keys{Token: l.token}, Ledger: l.ledger, Station: "test", Simulated: true}
				out := r.Device(l.ctx, "1", "sim://1", esploader.New(wire, esploader.Options{}))
				switch {
				case twice != nil:
					return device, twice
				case out.Verdict == record.Pass:
					return device, sealedSomewhere(s, device)
				case out.Verdict != record.Retry:
					return device, fmt.Errorf("%s %v", out.Verdict, out.Failure)
				}
				device.Heal()
				device.Replug()
			}
			return device, fmt.Errorf("it is not sealed after four visits")
		}
		device, err := trial()
		if err != nil {
			t.Fatal(err)
		}
		for n := range maps.Values(device.Meter().Commands) {
			commands += n
		}
		burns := device.Meter().FuseBurns
		device.Close()
		check := func(f sim.Fault) {
			device, err := trial(f)
			if err != nil {
				t.Errorf("%s at %d: %v", f.Kind, f.At, err)
			}
			device.Close()
		}
		step := 1
		if racetest.Enabled {
			step = raceStride
		}
		parallel(func(do func(func())) {
			for at := 1; at <= commands; at += step {
				do(func() { check(sim.Fault{Kind: sim.CutBefore, At: at}) })
				do(func() { check(sim.Fault{Kind: sim.CutAfter, Op: writeReg, At: at}) })
			}
			for at := 1; at <= burns; at++ {
				if racetest.Enabled && at%3 != 0 {
					continue
				}
				for _, mask := range []uint32{0, 0x1, 0x0f0f0f0f, 0xfffffffe, 0xffffffff} {
					var words sim.Words
					for i := range words {
						words[i] = mask
					}
					do(func() { check(sim.Fault{Kind: sim.CutBurn, At: at, Words: &words}) })
				}
				do(func() { check(sim.Fault{Kind: sim.CutBurn, At: at}) })
			}
		})
	})
	if commands < 100 {
		t.Errorf("only %d commands", commands)
	}
}

// sealedSomewhere finds the block that says it holds the key.
func sealedSomewhere(s *station, device *sim.Chip) error {
	for n := range 5 {
		if device.Field(fmt.Sprint("KEY_PURPOSE_", n)) == 4 {
			return checkC3(s, device, n)
		}
	}
	return fmt.Errorf("no block holds the key")
}
