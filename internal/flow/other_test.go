package flow_test

import (
	"strings"
	"testing"

	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/hsm"
	"station/internal/job"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/station"
)

func (s *bench) deviceOf(chip int) record.Device {
	s.T.Helper()
	d, known, err := s.Ledger.Device(station.VirtualMAC(chip))
	if err != nil || !known {
		s.T.Fatalf("known %v, %v", known, err)
	}
	return d
}

// A sealed device passes only under the job that sealed it. Under any other it
// is refused, both jobs are named, and nothing of its record changes.
func TestSealedUnderAnotherJob(t *testing.T) {
	s := newBench(t, flowtest.EditCopy(t, flowtest.SmallProductDir))
	first := s.Job
	chip := flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(0)})
	flowtest.WantVerdict(t, s.Visit(chip), record.Pass, "")
	before, sealed := chip.Fuses(), s.deviceOf(0)
	for name, pairs := range map[string][]string{
		"name":     {`name = "station-example"`, `name = "other"`},
		"revision": {`revision = "1"`, `revision = "2"`},
		"marker":   {`marker = "station-example: ready"`, `marker = "ready"`},
		"timeout":  {`timeout = "10s"`, `timeout = "11s"`},
		"fuses":    {`mode = "release"`, `mode = "development"`},
	} {
		s.Under(t, pairs...)
		if s.Job.Digest() == first.Digest() {
			continue // not a part of what the job makes
		}
		out := s.Visit(chip)
		flowtest.WantVerdict(t, out, record.Quarantine, "E-SEALED-OTHER")
		for _, want := range []string{first.Digest(), s.Job.Digest(), first.Name + " " + first.Revision, s.Job.Name + " " + s.Job.Revision} {
			if !strings.Contains(out.Failure.Error(), want) {
				t.Errorf("%s: %q does not name %s", name, out.Failure, want)
			}
		}
		d := s.deviceOf(0)
		if v, code := d.State(); v != record.Pass || code != "" || d.Job != sealed.Job || d.JobHash != sealed.JobHash || d.Revision != sealed.Revision || d.SetAside {
			t.Errorf("%s: its record became %+v", name, d)
		}
	}
	s.Job = first
	if out := s.Visit(chip); out.Verdict != record.Pass || !out.Already {
		t.Errorf("under its own job: got %+v", out)
	}
	if chip.Fuses() != before {
		t.Error("a fuse was burned")
	}
}

// A device that was begun goes on under another job where nothing binds it: with
// the key that it has, and after the first burn as the same product only.
func TestBegunUnderAnotherJob(t *testing.T) {
	unverified := sim.Options{Faults: []sim.Fault{{Kind: sim.LieMD5, Times: -1}}} // before the first burn
	unmarked := []string{`marker = "station-example: ready"`, `marker = "never printed"`, `timeout = "10s"`, `timeout = "1s"`}
	var half sim.Words // of the key's bits take when the supply is cut
	for i := range half {
		half[i] = 0x55555555
	}
	cut := sim.Options{Faults: []sim.Fault{{Kind: sim.CutBurn, At: 1, Words: &half}}}
	bare := sim.Options{Faults: []sim.Fault{{Kind: sim.CutBurn, At: 2, Words: &sim.Words{}}}} // the key is whole, and not protected
	rename, revise := []string{`name = "station-example"`, `name = "other"`}, []string{`revision = "1"`, `revision = "2"`}
	for _, c := range []struct {
		name    string
		chip    sim.Options
		first   []string
		ends    flow.Code // under the first job
		then    []string
		verdict record.Verdict
		code    flow.Code
	}{
		{"not burned, another product", unverified, nil, "E-FLASH-VERIFY", rename, record.Pass, ""},
		{"not burned, another revision", unverified, nil, "E-FLASH-VERIFY", revise, record.Pass, ""},
		{"not burned, keys of another kind", unverified, nil, "E-FLASH-VERIFY", []string{`policy = "derived"`, `policy = "random"`}, record.Quarantine, record.OtherJob},
		{"burned, another product", sim.Options{}, unmarked, "E-BOOT-MARKER", rename, record.Quarantine, record.OtherJob},
		{"burned, another revision", sim.Options{}, unmarked, "E-BOOT-MARKER", revise, record.Pass, ""},
		{"half a key burned, another revision", cut, nil, "E-NO-ANSWER", revise, record.Pass, ""},
		{"half a key burned, another product", cut, nil, "E-NO-ANSWER", rename, record.Quarantine, record.OtherJob},
		{"key burned and not protected, another revision", bare, nil, "E-NO-ANSWER", revise, record.Pass, ""},
		{"key burned and not protected, another product", bare, nil, "E-NO-ANSWER", rename, record.Quarantine, record.OtherJob},
		{"burned, other fuses", sim.Options{}, unmarked, "E-BOOT-MARKER", append([]string{`mode = "release"`, "mode = \"release\"\nflash_crypt_config = 12\nallow_weak_flash_crypt_config = true"}, revise...), record.Quarantine, record.OtherJob},
	} {
		t.Run(c.name, timeless(func(t *testing.T) {
			s := newBench(t, flowtest.EditCopy(t, flowtest.SmallProductDir, c.first...))
			first := s.Job
			c.chip.MAC = station.VirtualMAC(0)
			chip := flowtest.NewChip(t, c.chip)
			flowtest.WantVerdict(t, s.Visit(chip), record.Retry, c.ends)
			key, before := s.deviceOf(0).FlashKey().ID, chip.Fuses()
			chip.Heal()
			chip.Replug()
			s.Under(t, c.then...)
			flowtest.WantVerdict(t, s.Visit(chip), c.verdict, c.code)
			d := s.deviceOf(0)
			if d.FlashKey().ID != key {
				t.Errorf("its key was %s, is %s", key, d.FlashKey().ID)
			}
			if c.verdict == record.Pass {
				if d.JobHash != s.Job.Digest() || d.SealedHash != s.Job.Digest() {
					t.Errorf("sealed, its record is %+v", d)
				}
				return
			}
			if d.JobHash != first.Digest() || chip.Fuses() != before {
				t.Errorf("refused, its record is %+v, fuses changed: %v", d, chip.Fuses() != before)
			}
		}))
	}
}

// A key that was made without an escrow gets one before anything is burned.
func TestEscrowOnResume(t *testing.T) {
	s := newBench(t, flowtest.EditCopy(t, flowtest.SmallProductDir))
	chip := flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(0), Faults: []sim.Fault{{Kind: sim.LieMD5, Times: -1}}})
	flowtest.WantVerdict(t, s.Visit(chip), record.Retry, "E-FLASH-VERIFY")
	chip.Heal()
	path := flowtest.EditCopy(t, flowtest.SmallProductDir, `policy = "derived"`, "policy = \"derived\"\nescrow = \"officer.pem\"", `revision = "1"`, `revision = "2"`)
	key := officer(t, path)
	var err error
	if s.Job, err = job.Load(path); err != nil {
		t.Fatal(err)
	}
	flowtest.WantVerdict(t, s.Visit(chip), record.Pass, "")
	list, err := s.Ledger.History(station.VirtualMAC(0))
	if err != nil {
		t.Fatal(err)
	}
	burned, escrows := false, 0
	for _, e := range list {
		burned = burned || e.Kind == record.BurnIntended
		if e.FlashKey().Escrow == nil {
			continue
		}
		escrows++
		if burned {
			t.Error("a fuse was burned before the escrow was recorded")
		}
		opened, err := hsm.OpenEscrow(key, e.FlashKey().ID, e.FlashKey().Escrow)
		if err != nil {
			t.Fatal(err)
		}
		opened.Destroy()
	}
	if escrows != 1 {
		t.Errorf("%d escrows", escrows)
	}
}

// The genuine device still passes after a chip with its MAC was there.
func TestStranger(t *testing.T) {
	s := newBench(t, flowtest.EditCopy(t, flowtest.SmallProductDir))
	chip := flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(0)})
	flowtest.WantVerdict(t, s.Visit(chip), record.Pass, "")
	clone := flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(0)})
	factory := clone.Fuses()
	for range 2 {
		flowtest.WantVerdict(t, s.Visit(clone), record.Quarantine, record.Stranger)
	}
	if clone.Fuses() != factory {
		t.Error("the stranger was burned")
	}
	if out := s.Visit(chip); out.Verdict != record.Pass || !out.Already {
		t.Errorf("the genuine one: got %+v", out)
	}
}
