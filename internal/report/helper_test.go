package report

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// begin is when the line of these tests starts to work.
var begin = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

// line writes a ledger as a line would, with a clock of its own.
type line struct {
	t    testing.TB
	l    *ledger.Ledger
	now  time.Time
	when []time.Time // of the entries that are being written; then now
	sim  bool
	runs int

	numbered map[string]bool // device and batch
}

func (x *line) clock() time.Time {
	if len(x.when) == 0 {
		return x.now
	}
	t := x.when[0]
	x.when = x.when[1:]
	return t
}

func newLine(t testing.TB, simulated bool) *line {
	t.Helper()
	x := &line{t: t, now: begin, sim: simulated, numbered: map[string]bool{}}
	var err error
	x.l, err = ledger.Open(filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Create: true, Station: "bench-1",
		Software: "station v1", Simulated: simulated, Now: x.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for f := range x.l.Check(nil) {
			t.Errorf("ledger: %v", f)
		}
		if err := x.l.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

func (x *line) add(list ...record.Entry) {
	x.t.Helper()
	for i := range list {
		list[i].Simulated = x.sim
	}
	if _, err := x.l.AppendAll(list); err != nil {
		x.t.Fatal(err)
	}
}

// mac is that of the n-th device; their order is not that of n.
func mac(n int) (m chip.MAC) {
	copy(m[:], []byte{0x24, 0x0a, 0xc4})
	binary.BigEndian.PutUint32(m[2:], uint32(n)*2654435761)
	return m
}

func keyID(n int) string { return fmt.Sprintf("derived:station-master:%016x", n) }

// fuses are those of a blank device, and as the procedure leaves them.
var (
	blank  = fuses("00000000 c4010203 0038240a 0000a200 00000136 00000000 00000004", "empty")
	locked = fuses("07f10088 c4010203 0038240a 0000a200 00000136 f0000000 000003c4", "hidden")
)

func fuses(block0, block1 string) record.Fuses {
	return record.Fuses{{Name: "BLOCK0", Words: strings.Fields(block0)}, {Name: "BLOCK1", State: block1}, {Name: "BLOCK2", State: "empty"},
		{Name: "BLOCK3", Words: strings.Fields(strings.Repeat("00000000 ", 8))}}
}

func sha(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// visit is one device in a slot.
type visit struct {
	n     int // device
	slot  string
	batch string
	end   string // "" passes; "pulled" never ends; otherwise VERDICT E-CODE
	boot  time.Duration
	again bool // the device has its key already
}

// do lets a device visit a slot: 1 s to admit, 2 s for the key, 10 s for the
// flash, 3 s for each of two burns, then its start.
func (x *line) do(v visit) {
	x.t.Helper()
	x.runs++
	run := fmt.Sprintf("%016x", x.runs)
	var list []record.Entry
	defer func() { x.add(list...) }()
	put := func(after time.Duration, e record.Entry) {
		x.now = x.now.Add(after)
		x.when = append(x.when, x.now)
		e.MAC, e.Slot, e.Run, e.Batch, e.Operator = mac(v.n), v.slot, run, v.batch, "anna"
		e.Job, e.Revision, e.JobHash = "lamp", "4", sha(4)
		list = append(list, e)
	}
	put(time.Second, record.Entry{Kind: record.DeviceSeen, Step: "connect", Fuses: blank,
		Identity: &chip.Identity{MAC: mac(v.n), Revision: 300, Crystal: 40, FlashSize: 4 << 20}})
	decision := "fresh"
	if v.again {
		decision = "resume"
	}
	put(time.Second, record.Entry{Kind: record.Admitted, Step: "admit", Decision: decision})
	verdict, code, failed := strings.Cut(v.end, " ")
	if v.end == "pulled" {
		return
	}
	if number := fmt.Sprint(v.n, v.batch); v.batch != "" && !x.numbered[number] {
		x.numbered[number] = true
		put(0, record.Entry{Kind: record.NumberTaken, Step: "key", Undeclared: true})
	}
	if !v.again {
		if code == "E-HSM" {
			put(time.Second, record.Entry{Kind: record.Failed, Step: "key", Verdict: record.Verdict(verdict), Code: record.Code(code), Message: "hsm: away", Seconds: 3})
			return
		}
		put(2*time.Second, record.Entry{Kind: record.KeyAssigned, Step: "key", Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: keyID(v.n), Policy: "derived",
			Wrapped: []byte("wrapped-" + keyID(v.n)), Escrow: []byte("escrow-" + keyID(v.n))}}, Token: "pkcs11:token=line-1;serial=1234"})
	}
	put(10*time.Second, record.Entry{Kind: record.FlashVerified, Step: "flash", Keys: record.FlashKey(keyID(v.n)), Images: []record.Image{
		{Name: "bootloader", Address: 0x1000, Size: 20480, Encrypted: true, Plain: sha(1), Flash: sha(1000 + v.n), MD5: strings.Repeat("0", 32)},
		{Name: "sys", Address: 0x310000, Size: 4096, Plain: sha(2), Flash: sha(2), MD5: strings.Repeat("1", 32)},
		{Name: "app", Address: 0x10000, Size: 65536, Encrypted: true, Plain: sha(3), Flash: sha(2000 + v.n), MD5: strings.Repeat("2", 32), Version: "1.0.0"}}})
	for _, stage := range []string{"key", "count"} {
		step := map[string]string{"key": "burn-key", "count": "burn-crypt"}[stage]
		changes := []record.FuseChange{{Field: "FLASH_CRYPT_CNT", Old: "0x0", New: "0x7f"}}
		if stage == "key" {
			changes = []record.FuseChange{{Field: "BLOCK1", Old: "empty", New: "device key " + keyID(v.n)[len(keyID(v.n))-16:]}}
		}
		put(time.Second, record.Entry{Kind: record.BurnIntended, Step: step, Stage: stage, Fuses: blank, Burns: changes})
		put(2*time.Second, record.Entry{Kind: record.BurnSettled, Step: step, Stage: stage, Fuses: locked, Burns: changes, Seconds: 2})
	}
	if failed {
		put(time.Second, record.Entry{Kind: record.Failed, Step: "boot", Verdict: record.Verdict(verdict), Code: record.Code(code), Message: "it failed", Seconds: 20})
		return
	}
	put(max(v.boot, time.Second), record.Entry{Kind: record.BootVerified, Step: "boot", Boot: &record.Boot{Digest: sha(9), Marker: "I (312) lamp: ready", Seconds: 0.8}})
	put(0, record.Entry{Kind: record.Sealed, Step: "seal", Keys: record.FlashKey(keyID(v.n)), Verdict: record.Pass, Fuses: locked})
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func headOf(t testing.TB, l *ledger.Ledger) *Head {
	t.Helper()
	h, err := HeadOf(l, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func table(t testing.TB, name string) Table {
	t.Helper()
	found, err := FindTable(name)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
