package flow_test

import (
	"testing"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/hsm"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/station"
)

// words are a chip's factory fuses with fields set.
func words(o sim.Options, set map[string]uint32) *sim.Words {
	w := sim.FactoryWords(o)
	for name, v := range set {
		sim.SetField(&w, name, v)
	}
	return &w
}

// burned are the factory fuses of a later chip of which somebody has burned one more.
func burned(f *chip.Family, field string) *sim.Words {
	w := sim.FactoryWords(sim.Options{Chip: f, MAC: station.VirtualMAC(0)})
	sim.SetFieldOf(f, &w, field, 1)
	return &w
}

// Whatever the family, a fuse with which no device can be made is seen before anything is burned.
func TestForeignFusesOfEveryFamily(t *testing.T) {
	for _, f := range chip.Families {
		for _, fuse := range f.Seal.Foreign {
			t.Run(f.Name+" "+fuse.Field, timeless(func(t *testing.T) {
				s := newBench(t, laterJob(f))
				device := flowtest.NewChip(t, sim.Options{Chip: f, Words: burned(f, fuse.Field), FlashSize: 4 << 20})
				before := device.Fuses()
				flowtest.WantVerdict(t, s.Visit(device), record.Quarantine, "E-FOREIGN-FUSES")
				if device.Fuses() != before {
					t.Error("fuses were burned")
				}
			}))
		}
	}
}

// Devices that do not belong into the job are named and left as they are.
func TestRefused(t *testing.T) {
	release := flowtest.ExampleJob
	locked := flowtest.EditJob(t, `mode = "release"`, "mode = \"release\"\nfuses = { UART_DOWNLOAD_DIS = 1 }")
	for _, c := range []struct {
		name    string
		job     string
		chip    sim.Options
		verdict record.Verdict
		code    flow.Code
	}{
		{"foreign key, readable", release, sim.Options{Words: words(sim.Options{}, map[string]uint32{"BLOCK1": 0xdeadbeef})}, record.Quarantine, "E-FOREIGN-KEY"},
		{"foreign key, hidden", release, sim.Options{Words: words(sim.Options{}, map[string]uint32{"RD_DIS": 1, "WR_DIS": 1 << 7})}, record.Quarantine, "E-FOREIGN-KEY"},
		{"encryption on already", release, sim.Options{Words: words(sim.Options{}, map[string]uint32{"FLASH_CRYPT_CNT": 1})}, record.Quarantine, "E-FOREIGN-FUSES"},
		{"secure boot on already", release, sim.Options{Revision: 3, Words: words(sim.Options{}, map[string]uint32{"ABS_DONE_1": 1})}, record.Quarantine, "E-FOREIGN-FUSES"},
		{"secure boot on already, on a later chip", laterJob(chip.ESP32C3), sim.Options{Chip: chip.ESP32C3, Words: burned(chip.ESP32C3, "SECURE_BOOT_EN")}, record.Quarantine, "E-FOREIGN-FUSES"},
		{"key block frozen", release, sim.Options{Words: words(sim.Options{}, map[string]uint32{"WR_DIS": 1 << 7})}, record.Quarantine, "E-FUSE-CONFLICT"},
		{"counter frozen", release, sim.Options{Words: words(sim.Options{}, map[string]uint32{"WR_DIS": 1 << 2})}, record.Quarantine, "E-FUSE-CONFLICT"},
		{"coding scheme repeat", release, sim.Options{Coding: 2}, record.Quarantine, "E-CODING"},
		{"flash too small", release, sim.Options{FlashSize: 2 << 20}, record.Quarantine, "E-FLASH-SIZE"},
		{"fuse of revision 3 on revision 1", locked, sim.Options{Revision: 1}, record.Quarantine, "E-CHIP-REVISION"},
		{"MAC damaged", release, sim.Options{Faults: []sim.Fault{{Kind: sim.BadMACCRC}}}, record.Quarantine, "E-MAC"},
		{"hears nothing", release, sim.Options{Faults: []sim.Fault{{Kind: sim.Silence, Times: -1}}}, record.Retry, "E-DEAF"},
	} {
		t.Run(c.name, timeless(func(t *testing.T) {
			s := newBench(t, c.job)
			chip := flowtest.NewChip(t, c.chip)
			before := chip.Fuses()
			flowtest.WantVerdict(t, s.Visit(chip), c.verdict, c.code)
			if chip.Fuses() != before {
				t.Error("fuses were burned")
			}
			if m := chip.Meter(); m.PagesProgrammed != 0 || m.SectorsErased != 0 {
				t.Errorf("the flash was written: %+v", m)
			}
			kind := flow.FailureOf(c.code)
			last := s.Events[len(s.Events)-1]
			if last.Code != c.code || last.Message != kind.Sentence || last.Action != kind.Action {
				t.Errorf("last event: %+v", last)
			}
		}))
	}
}

// An empty slot, or a device without power.
func TestSilent(t *testing.T) { timeless(checkSilent)(t) }

func checkSilent(t *testing.T) {
	s := newBench(t, flowtest.ExampleJob)
	chip := flowtest.NewChip(t, sim.Options{})
	chip.PowerOff()
	flowtest.WantVerdict(t, s.Visit(chip), record.Retry, "E-NO-ANSWER")
}

// A chip that boots instead of entering the loader has GPIO0 stuck high.
func TestBootMode(t *testing.T) { timeless(checkBootMode)(t) }

func checkBootMode(t *testing.T) {
	s := newBench(t, flowtest.ExampleJob)
	chip := flowtest.NewChip(t, sim.Options{})
	wire, err := chip.Open()
	if err != nil {
		t.Fatal(err)
	}
	out := s.Runner().Device(t.Context(), "1", "sim://1", esploader.New(gpio0High{wire}, esploader.Options{}))
	flowtest.WantVerdict(t, out, record.Retry, "E-BOOT-MODE")
}

// gpio0High is a fixture whose DTR contact is broken.
type gpio0High struct{ *sim.Port }

func (g gpio0High) SetLines(_, rts bool) error { return g.Port.SetLines(false, rts) }

// Under coding scheme 3/4 a device gets a key of 24 bytes.
func TestCoding34(t *testing.T) {
	s := newBench(t, flowtest.ExampleJob)
	mac := chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 4}
	chip := flowtest.NewChip(t, sim.Options{MAC: mac, Coding: 1})
	flowtest.WantVerdict(t, s.Visit(chip), record.Pass, "")
	key := flowtest.DeviceKey(mac, 24)
	checkFlash(t, s.Job, chip, key)
	if d, _, err := s.Ledger.Device(mac); err != nil || !d.Sealed {
		t.Errorf("ledger: %+v, %v", d, err)
	}
}

func TestCoding34NeedsAShorterKey(t *testing.T) {
	s := newBench(t, flowtest.EditJob(t, `policy = "derived" `, `policy = "shared" `, `label = "station-master"`, `label = "fleet"`))
	if _, err := s.Token.NewShared(t.Context(), "fleet", 32); err != nil {
		t.Fatal(err)
	}
	chip := flowtest.NewChip(t, sim.Options{Coding: 1})
	before := chip.Fuses()
	flowtest.WantVerdict(t, s.Visit(chip), record.Quarantine, "E-CODING")
	if chip.Fuses() != before {
		t.Error("fuses were burned")
	}
}

// Two devices of one fleet share a key.
func TestShared(t *testing.T) {
	s := newBench(t, flowtest.EditJob(t, `policy = "derived" `, `policy = "shared" `, `label = "station-master"`, `label = "fleet"`))
	if _, err := s.Token.NewShared(t.Context(), "fleet", 32); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for n := range 2 {
		flowtest.WantVerdict(t, s.Visit(flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(n)})), record.Pass, "")
		d, _, err := s.Ledger.Device(station.VirtualMAC(n))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.FlashKey().ID)
	}
	if ids[0] != ids[1] {
		t.Errorf("key IDs %v", ids)
	}
}

// A device of policy random keeps the key that was made for it.
func TestRandom(t *testing.T) {
	s := newBench(t, flowtest.EditJob(t, `policy = "derived" `, `policy = "random" `, `label = "station-master"`, `label = "kek"`))
	if _, err := s.Token.Init(t.Context(), hsm.KEK, "kek"); err != nil {
		t.Fatal(err)
	}
	chip := flowtest.NewChip(t, sim.Options{})
	flowtest.WantVerdict(t, s.Visit(chip), record.Pass, "")
	flowtest.WantVerdict(t, s.Visit(chip), record.Pass, "")
}

// The key of a device never changes: another master is noticed.
func TestChangedMaster(t *testing.T) {
	s := newBench(t, flowtest.ExampleJob)
	device := flowtest.NewChip(t, sim.Options{Faults: []sim.Fault{{Kind: sim.Unplug, Op: 0x02}}})
	flowtest.WantVerdict(t, s.Visit(device), record.Retry, "E-PORT-GONE")
	d, _, err := s.Ledger.Device(chipMAC)
	if err != nil || d.FlashKey().ID == "" {
		t.Fatalf("%+v, %v", d, err)
	}
	// Another ledger says that the device has another key.
	s.OpenLedger()
	id, _ := hsm.ParseKeyID(d.FlashKey().ID)
	id.Check = "0011223344556677"
	for _, e := range []record.Entry{
		{Kind: record.DeviceSeen, MAC: chipMAC, Simulated: true},
		{Kind: record.KeyAssigned, MAC: chipMAC, Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: id.String(), Policy: "derived"}}, Simulated: true},
	} {
		if _, err := s.Ledger.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	device.Heal()
	device.Replug()
	flowtest.WantVerdict(t, s.Visit(device), record.Quarantine, "E-KEY-CHANGED")
	if m := device.Meter(); m.FuseBurns != 0 {
		t.Error("fuses were burned")
	}
}

// chipMAC is the MAC of a virtual chip that was given none.
var chipMAC = chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}
