package flow_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/hsm"
	"station/internal/job"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/station"
)

// entry finds the one entry of that kind in a device's history.
func (s *bench) entry(mac chip.MAC, kind record.Kind) record.Entry {
	s.T.Helper()
	list, err := s.Ledger.History(mac)
	if err != nil {
		s.T.Fatal(err)
	}
	var found []record.Entry
	for _, e := range list {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		s.T.Fatalf("%s has %d entries %s, want one", mac, len(found), kind)
	}
	return found[0]
}

func TestQuotaOfAJob(t *testing.T) {
	s := newBench(t, flowtest.EditCopy(t, flowtest.SmallProductDir, "[key]", "[quota]\ndevices = 2\n\n[key]"))
	for n := range 2 {
		flowtest.WantVerdict(t, s.Visit(flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(n)})), record.Pass, "")
	}
	third := flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(2)})
	factory := third.Fuses()
	flowtest.WantVerdict(t, s.Visit(third), record.Station, "E-QUOTA")
	if third.Fuses() != factory {
		t.Error("a device beyond the quota was burned")
	}
	if d, _, err := s.Ledger.Device(station.VirtualMAC(2)); err != nil || d.FlashKey().ID != "" || d.Numbers != nil {
		t.Errorf("beyond the quota: key %q, numbers %v, %v", d.FlashKey().ID, d.Numbers, err)
	}
	// A device that was counted before is not counted again.
	flowtest.WantVerdict(t, s.Visit(flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(0)})), record.Quarantine, record.Stranger)
	if lot, _, err := s.Ledger.Lot("sim:job:" + s.Job.Name); err != nil || lot.Reserved != 2 || lot.Devices != 2 {
		t.Errorf("lot %+v, %v", lot, err)
	}
}

// A device that a full batch has refused, and that is made in no batch, does not
// count there, and counts for its job.
func TestABatchThatRefusedADevice(t *testing.T) {
	s := newBench(t, flowtest.EditCopy(t, flowtest.SmallProductDir, "[key]", "[quota]\ndevices = 2\n\n[key]"))
	if _, err := s.Ledger.Append(record.Entry{Kind: record.BatchOpened, Batch: "b", Quota: 1, Operator: "anna", Simulated: true}); err != nil {
		t.Fatal(err)
	}
	visit := func(n int, batch string) flow.Outcome {
		wire, err := flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(n)}).Open()
		if err != nil {
			t.Fatal(err)
		}
		r := s.Runner()
		r.Batch = batch
		return r.Device(t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{}))
	}
	flowtest.WantVerdict(t, visit(0, "b"), record.Pass, "")
	for n := range 2 {
		flowtest.WantVerdict(t, visit(1+n, "b"), record.Station, "E-QUOTA")
		flowtest.WantVerdict(t, visit(1+n, ""), record.Pass, "")
	}
	if d := s.deviceOf(1); d.Batch != "" {
		t.Errorf("its batch is %q", d.Batch)
	}
	flowtest.WantVerdict(t, visit(3, "b"), record.Station, "E-QUOTA")
	flowtest.WantVerdict(t, visit(3, ""), record.Station, "E-QUOTA")
	for name, want := range map[string][2]int{"sim:batch:b": {1, 0}, "sim:job:" + s.Job.Name: {2, 1}} {
		if lot, _, err := s.Ledger.Lot(name); err != nil || lot.Devices != want[0] || lot.Passed != want[0] || lot.Reserved != want[0] || lot.Refused != want[1] {
			t.Errorf("%s: %+v, %v, want %v", name, lot, err, want)
		}
	}
}

// The number is taken before the token is asked, and a device keeps it.
func TestNumberComesBeforeTheKey(t *testing.T) {
	s := newBench(t, flowtest.EditCopy(t, flowtest.SmallProductDir, `label = "station-master"`, `label = "nobody"`, "[key]", "[quota]\ndevices = 5\n\n[key]"))
	chip := flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(0)})
	for range 2 {
		flowtest.WantVerdict(t, s.Visit(chip), record.Station, "E-HSM-KEY")
	}
	d, _, err := s.Ledger.Device(station.VirtualMAC(0))
	if err != nil || d.Numbers["sim:job:"+s.Job.Name] != 1 || d.FlashKey().ID != "" {
		t.Errorf("numbers %v, key %q, %v", d.Numbers, d.FlashKey().ID, err)
	}
	if lot, _, _ := s.Ledger.Lot("sim:job:" + s.Job.Name); lot.Reserved != 1 {
		t.Errorf("%d numbers are taken, want 1", lot.Reserved)
	}
}

// A device that was in another batch meanwhile keeps the number that it took first.
func TestADeviceThatComesBackToItsBatchKeepsItsNumber(t *testing.T) {
	s := newBench(t, flowtest.EditCopy(t, flowtest.SmallProductDir, `label = "station-master"`, `label = "nobody"`))
	for _, batch := range []string{"a", "b"} {
		if _, err := s.Ledger.Append(record.Entry{Kind: record.BatchOpened, Batch: batch, Quota: 9, Operator: "anna", Simulated: true}); err != nil {
			t.Fatal(err)
		}
	}
	chip := flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(0)})
	for _, batch := range []string{"a", "b", "a", "b", "a"} {
		wire, err := chip.Open()
		if err != nil {
			t.Fatal(err)
		}
		r := s.Runner()
		r.Batch = batch
		flowtest.WantVerdict(t, r.Device(t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{})), record.Station, "E-HSM-KEY")
	}
	for _, batch := range []string{"a", "b"} {
		if lot, _, err := s.Ledger.Lot("sim:batch:" + batch); err != nil || lot.Reserved != 1 {
			t.Errorf("%d numbers of batch %s are taken, want 1: %v", lot.Reserved, batch, err)
		}
	}
	e := record.Entry{Kind: record.NumberTaken, MAC: station.VirtualMAC(0), Batch: "a", JobHash: s.Job.Digest(), Simulated: true}
	if e, err := s.Ledger.Append(e); err == nil {
		t.Errorf("it takes number %d of a besides", e.Number)
	}
}

// officer makes an offline key pair and puts its public half beside the job.
func officer(t *testing.T, path string) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "officer.pem"), block, 0o644); err != nil {
		t.Fatal(err)
	}
	return key
}

func TestEscrowOpensTheDevice(t *testing.T) {
	path := flowtest.EditCopy(t, flowtest.SmallProductDir, `policy = "derived"`, "policy = \"derived\"\nescrow = \"officer.pem\"")
	key := officer(t, path)
	s := newBench(t, path)
	chip := flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(0)})
	flowtest.WantVerdict(t, s.Visit(chip), record.Pass, "")
	e := s.entry(station.VirtualMAC(0), record.KeyAssigned)
	opened, err := hsm.OpenEscrow(key, e.FlashKey().ID, e.FlashKey().Escrow)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Destroy()
	checkFlash(t, s.Job, chip, opened.Reveal())
	if len(s.Job.Warnings) != 1 {
		t.Errorf("who approves is told %q", s.Job.Warnings)
	}

	// Who may open the devices is a part of what a person approves.
	before := s.Job.PlanDigest()
	officer(t, path)
	other, err := job.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if other.PlanDigest() == before {
		t.Error("another officer's key has the same plan digest")
	}
}

// A batch has its own quota, and takes no device when it is closed.
func TestQuotaOfABatch(t *testing.T) {
	s := newBench(t, flowtest.EditCopy(t, flowtest.SmallProductDir, "[key]", "[quota]\ndevices = 5\n\n[key]"))
	note := func(e record.Entry) {
		t.Helper()
		e.Batch, e.Simulated = "b1", true
		if _, err := s.Ledger.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	visit := func(n int) flow.Outcome {
		t.Helper()
		wire, err := flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(n)}).Open()
		if err != nil {
			t.Fatal(err)
		}
		r := s.Runner()
		r.Batch = "b1"
		return r.Device(t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{}))
	}
	note(record.Entry{Kind: record.BatchOpened, Operator: "anna", Quota: 1})
	flowtest.WantVerdict(t, visit(0), record.Pass, "")
	flowtest.WantVerdict(t, visit(1), record.Station, "E-QUOTA")
	note(record.Entry{Kind: record.BatchClosed, Operator: "anna"})
	flowtest.WantVerdict(t, visit(2), record.Station, "E-BATCH")
	lot, _, err := s.Ledger.Lot(record.BatchLot("b1", true))
	if err != nil || lot.Reserved != 1 || lot.Devices != 1 || lot.Passed != 1 || lot.Refused != 1 {
		t.Errorf("lot %+v, %v", lot, err)
	}
}

// A device's key says what it is for and which block holds it, its images where
// they lie.
func TestEntriesNameBlocksAndPartitions(t *testing.T) {
	s := newBench(t, flowtest.SmallProductDir+"/job.toml")
	flowtest.WantVerdict(t, s.Visit(flowtest.NewChip(t, sim.Options{MAC: station.VirtualMAC(0)})), record.Pass, "")
	e := s.entry(station.VirtualMAC(0), record.KeyAssigned)
	if k := e.FlashKey(); len(e.Keys) != 1 || len(k.Blocks) != 1 || k.Blocks[0] != "BLOCK1" || k.Policy != "derived" {
		t.Errorf("got %+v", e.Keys)
	}
	found := false
	for i, image := range s.entry(station.VirtualMAC(0), record.FlashVerified).Images {
		want := s.Job.Regions[i]
		found = found || image.Slot == "factory"
		if image.Partition != want.Partition || image.Slot != want.Slot {
			t.Errorf("got %+v, want partition %q, slot %q", image, want.Partition, want.Slot)
		}
	}
	if !found {
		t.Error("no image says that it is the factory app")
	}
}
