package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/record"
)

// clock ticks a second with every look at it.
func clock() func() time.Time {
	now := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}

var bench = Options{Create: true, Station: "bench-3", Software: "station v1", Now: time.Now}

// start opens a ledger in a folder of its own; at the end of the test every
// ledger must be whole.
func start(t testing.TB, o Options) *Ledger {
	t.Helper()
	return reopen(t, filepath.Join(t.TempDir(), "ledger.db"), o)
}

func reopen(t testing.TB, path string, o Options) *Ledger {
	t.Helper()
	l, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mustBeWhole(t, path)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func mustBeWhole(t testing.TB, path string) {
	t.Helper()
	for fault := range Check(path, nil) {
		t.Errorf("check: %v", fault)
	}
}

func add(t testing.TB, l *Ledger, list ...record.Entry) []record.Entry {
	t.Helper()
	var stored []record.Entry
	for _, e := range list {
		e, err := l.Append(e)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, e)
	}
	return stored
}

func mac(n int) (m chip.MAC) {
	copy(m[:], []byte{0x24, 0x0a, 0xc4})
	binary.BigEndian.PutUint32(m[2:], uint32(n)*2654435761)
	return m
}

func key(n int) string { return fmt.Sprintf("derived:avior:%016x", n) }

// run is what one device leaves in the log, from seen to sealed.
func run(n int) []record.Entry {
	words := strings.Split("00000000 c4010203 0038240a 0000a200 00000136 00000000 00000004 00000000", " ")
	fuses := record.Fuses{{Name: "BLOCK0", Words: words[:7]}, {Name: "BLOCK1", State: "empty"}, {Name: "BLOCK2", State: "empty"}, {Name: "BLOCK3", Words: words}}
	var images []record.Image
	for i, name := range []string{"bootloader", "partition-table", "otadata", "factory", "ota_0"} {
		images = append(images, record.Image{Name: name, Address: uint32(i+1) << 12, Size: 327680, Encrypted: true,
			Plain: "sha256:" + strings.Repeat("cd", 32), Flash: fmt.Sprintf("sha256:%064x", n), MD5: strings.Repeat("01", 16), Version: "v2.3.1"})
	}
	digest := "sha256:" + strings.Repeat("99", 32)
	list := []record.Entry{
		{Kind: record.DeviceSeen, Fuses: fuses, Identity: &chip.Identity{MAC: mac(n), Revision: 300, Package: "ESP32-D0WD-V3", Crystal: 40, FlashID: 0x1640c8, FlashSize: 4 << 20}},
		{Kind: record.Admitted, Decision: "fresh", Message: "blank chip, <not> in the ledger"},
		{Kind: record.KeyAssigned, Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: key(n), Policy: "derived"}}},
		{Kind: record.FlashVerified, Images: images},
	}
	for _, stage := range []string{"key", "crypt", "lock"} {
		list = append(list,
			record.Entry{Kind: record.BurnIntended, Stage: stage, Plan: digest, Burns: []record.FuseChange{
				{Field: "FLASH_CRYPT_CNT", Old: "0", New: "127"}, {Field: "FLASH_CRYPT_CONFIG", Old: "0", New: "15"}, {Field: "JTAG_DISABLE", Old: "0", New: "1"}}},
			record.Entry{Kind: record.BurnSettled, Stage: stage, Fuses: fuses})
	}
	list = append(list,
		record.Entry{Kind: record.BootVerified, Boot: &record.Boot{Digest: digest, Marker: "I (312) app: ready", Seconds: 1.25}},
		record.Entry{Kind: record.Sealed, Verdict: record.Pass, Seconds: 31.5})
	for i := range list {
		e := &list[i]
		e.MAC, e.Job, e.Revision, e.JobHash, e.Batch = mac(n), "avior", "4", digest, "2026-W47"
		e.Slot, e.Run, e.Operator, e.Serial = "3", fmt.Sprintf("%016x", n), "op-17", fmt.Sprintf("AV-%06d", n)
	}
	return list
}

func TestAppendAndRead(t *testing.T) {
	o := bench
	o.Now = clock()
	l := start(t, o)
	stored := add(t, l, append(run(1), run(2)...)...)
	first := stored[0]
	if first.Version != record.Version || first.Index != 1 || first.Prev != 0 || first.Station != "bench-3" || first.Software != "station v1" || first.Time.Location() != time.UTC {
		t.Errorf("stamped: got %+v", first)
	}
	if stored[13].Prev != 13 || stored[12].Prev != 0 {
		t.Errorf("chain: got %d, %d", stored[12].Prev, stored[13].Prev)
	}
	var all []record.Entry
	for e, err := range l.Entries(0) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	if len(all) != 25 || all[0].Kind != record.LedgerCreated || all[0].Origin != l.Origin() {
		t.Fatalf("%d entries, first %+v", len(all), all[0])
	}
	if got, want := fmt.Sprintf("%+v", shown(all[1:])), fmt.Sprintf("%+v", shown(stored)); got != want {
		t.Errorf("read back:\ngot  %s\nwant %s", got, want)
	}
	history, err := l.History(mac(2))
	if err != nil || len(history) != 12 || history[0].Index != 13 || history[11].Kind != record.Sealed {
		t.Errorf("history: %d, %v", len(history), err)
	}
	if none, err := l.History(mac(9)); err != nil || none != nil {
		t.Errorf("history of a stranger: %v, %v", none, err)
	}
}

// shown drops pointers, which print as addresses.
func shown(list []record.Entry) []record.Entry {
	list = slices.Clone(list)
	for i := range list {
		list[i].Fuses, list[i].Identity, list[i].Boot = nil, nil, nil
	}
	return list
}

func TestDevice(t *testing.T) {
	l := start(t, bench)
	add(t, l, run(1)...)
	d, found, err := l.Device(mac(1))
	if err != nil || !found {
		t.Fatal(found, err)
	}
	if d.FlashKey().ID != key(1) || !d.Sealed || d.Verdict != record.Pass || d.First != 1 || d.Last != 12 || len(d.Images) != 5 ||
		d.Images[0].Flash != run(1)[3].Images[0].Flash || d.Fuses == nil || !slices.Equal(d.Settled, []string{"key", "crypt", "lock"}) {
		t.Errorf("got %+v", d)
	}
	if _, found, err := l.Device(mac(2)); found || err != nil {
		t.Errorf("stranger: %v, %v", found, err)
	}
	owner, bound, err := l.KeyOwner(key(1))
	if owner != mac(1) || !bound || err != nil {
		t.Errorf("owner: %v, %v, %v", owner, bound, err)
	}
	if _, bound, err := l.KeyOwner(key(2)); bound || err != nil {
		t.Errorf("owner of nothing: %v, %v", bound, err)
	}
	if _, bound, err := l.KeyOwner(""); bound || err != nil {
		t.Errorf("owner of no key: %v, %v", bound, err)
	}
}

func TestDevicesAndLots(t *testing.T) {
	l := start(t, bench)
	var list []record.Entry
	for i := range 600 {
		list = append(list, run(i)[:4]...)
	}
	if _, err := l.AppendAll(list); err != nil {
		t.Fatal(err)
	}
	var before chip.MAC
	n := 0
	for d, err := range l.Devices() {
		if err != nil || slices.Compare(before[:], d.MAC[:]) >= 0 || len(d.Images) != 5 {
			t.Fatalf("device %s after %s with %d images: %v", d.MAC, before, len(d.Images), err)
		}
		before = d.MAC
		n++
	}
	if n != 600 {
		t.Errorf("got %d devices", n)
	}
	for lot, err := range l.Lots() {
		if want := (record.Lot{Name: "batch:2026-W47", First: 1, Devices: 600}); err != nil || lot != want {
			t.Errorf("got %+v, %v, want %+v", lot, err, want)
		}
	}
}

func TestRealAndSimulatedNeverMix(t *testing.T) {
	virtual := bench
	virtual.Simulated = true
	real, sim := start(t, bench), start(t, virtual)
	e := run(1)[0]
	if _, err := sim.Append(e); !errors.Is(err, record.ErrMixed) {
		t.Errorf("real entry, simulated ledger: got %v", err)
	}
	e.Simulated = true
	if _, err := real.Append(e); !errors.Is(err, record.ErrMixed) {
		t.Errorf("simulated entry, real ledger: got %v", err)
	}
	add(t, sim, e)
	if real.Simulated() || !sim.Simulated() {
		t.Error("the ledgers do not know what they are")
	}
	if err := real.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(real.Path(), virtual); !errors.Is(err, record.ErrMixed) {
		t.Errorf("opened for the other kind: got %v", err)
	}
	virtual.ReadOnly = true
	if l, err := Open(real.Path(), virtual); err != nil {
		t.Errorf("for reading: %v", err)
	} else if l.Simulated() {
		t.Error("a reader turned it simulated")
	} else {
		l.Close()
	}
}

func TestClockThatRunsBackwards(t *testing.T) {
	o := bench
	now := time.Now() // Create stamps the first entry with it
	o.Now = func() time.Time { return now }
	l := start(t, o)
	for _, c := range []struct{ step, want time.Duration }{
		{time.Minute, 0}, {0, 0}, {-90 * time.Second, 90 * time.Second}, {time.Second, 0}, {-250 * time.Millisecond, 250 * time.Millisecond},
	} {
		now = now.Add(c.step)
		e := add(t, l, record.Entry{Kind: record.KeyImported})[0]
		if e.ClockBack != c.want.Seconds() || !e.Time.Equal(now.Truncate(time.Millisecond)) {
			t.Errorf("step %v: got back %v at %v, want %v", c.step, e.ClockBack, e.Time, c.want)
		}
	}
	// Also across a restart.
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-time.Hour)
	if e := add(t, reopen(t, l.Path(), o), record.Entry{Kind: record.KeyImported})[0]; e.ClockBack != 3600 {
		t.Errorf("after a restart: got %v", e.ClockBack)
	}
}

func TestQuota(t *testing.T) {
	l := start(t, bench)
	device := func(n, quota int, batch string) record.Entry {
		return record.Entry{MAC: mac(n), Job: "avior", Batch: batch, Quota: quota}
	}
	for _, c := range []struct {
		e    record.Entry
		want int
		err  error
	}{
		{device(1, 2, ""), 1, nil},
		{device(1, 2, ""), 1, nil}, // put back
		{device(2, 2, ""), 2, nil},
		{device(3, 2, ""), 0, record.ErrQuota},
		{device(1, 2, ""), 1, nil},               // still has its number
		{device(3, 3, ""), 3, nil},               // the job was enlarged
		{device(1, 0, "b1"), 0, record.ErrBatch}, // nobody opened it
		{record.Entry{MAC: mac(1), Job: "avior", Batch: "b1", Undeclared: true}, 1, nil},
		{record.Entry{MAC: mac(2), Job: "avior", Batch: "../b1", Undeclared: true}, 0, record.ErrBatch},
	} {
		got, err := l.Reserve(c.e)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%+v: got %d, %v, want %d, %v", c.e, got, err, c.want, c.err)
		}
	}
	if lot, found, err := l.Lot("job:avior"); lot.Reserved != 3 || !found || err != nil {
		t.Errorf("got %+v, %v, %v", lot, found, err)
	}
}

func TestBatch(t *testing.T) {
	l := start(t, bench)
	open := record.Entry{Kind: record.BatchOpened, Operator: "anna", Batch: "b1", Quota: 1}
	closed := record.Entry{Kind: record.BatchClosed, Operator: "anna", Batch: "b1"}
	try := func(e record.Entry, want error) {
		t.Helper()
		if _, err := l.Append(e); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", e.Kind, err, want)
		}
	}
	try(closed, record.ErrBatch)
	try(open, nil)
	try(open, record.ErrBatch)
	for n, want := range map[int]error{1: nil} {
		if _, err := l.Reserve(record.Entry{MAC: mac(n), Batch: "b1"}); !errors.Is(err, want) {
			t.Errorf("device %d: %v", n, err)
		}
	}
	if _, err := l.Reserve(record.Entry{MAC: mac(2), Batch: "b1", Quota: 100}); !errors.Is(err, record.ErrQuota) {
		t.Errorf("the job's quota is larger: got %v", err)
	}
	if _, err := l.Reserve(record.Entry{MAC: mac(2), Batch: "b1"}); err == nil || !strings.HasSuffix(err.Error(), `batch:b1 may have 1 devices, and 1 of its numbers belong to devices that have moved `+
		`to another batch or have no key; "station batch amend b1 --quota N" makes room`) {
		t.Errorf("its one number has no key: got %v", err)
	}
	if _, err := l.Reserve(record.Entry{MAC: mac(2), Batch: "b1", Quota: 1}); err == nil || strings.Contains(err.Error(), "amend") {
		t.Errorf("the job has no more room either: got %v", err)
	}
	amend := record.Entry{Kind: record.BatchAmended, Operator: "anna", Batch: "b1", Quota: 2, Message: "one more was ordered"}
	try(amend, nil)
	if n, err := l.Reserve(record.Entry{MAC: mac(2), Batch: "b1"}); n != 2 || err != nil {
		t.Errorf("amended: got %d, %v", n, err)
	}
	add(t, l, record.Entry{Kind: record.KeyAssigned, MAC: mac(1), Batch: "b1", Keys: record.FlashKey("k1")}, record.Entry{Kind: record.Sealed, MAC: mac(1), Batch: "b1"},
		record.Entry{Kind: record.KeyAssigned, MAC: mac(2), Batch: "b1", Keys: record.FlashKey("k2")}, record.Entry{Kind: record.Sealed, MAC: mac(2), Batch: "b1"})
	amend.Quota = 1
	try(amend, record.ErrQuota) // two are made
	try(closed, nil)
	try(closed, record.ErrBatch)
	try(open, record.ErrBatch)
	try(amend, record.ErrBatch)
	if _, err := l.Reserve(record.Entry{MAC: mac(1), Batch: "b1"}); !errors.Is(err, record.ErrBatch) {
		t.Errorf("closed, with a number: got %v", err)
	}
	frozen, _, _ := l.Lot("batch:b1")
	add(t, l, record.Entry{Kind: record.Failed, MAC: mac(1), Batch: "b1", Verdict: record.Quarantine, Code: "E-X"},
		record.Entry{Kind: record.DeviceSeen, MAC: mac(9), Batch: "b1"})
	if now, _, _ := l.Lot("batch:b1"); now != frozen || now.Passed != 2 {
		t.Errorf("closed %+v, later %+v", frozen, now)
	}
	if _, err := l.Reserve(record.Entry{MAC: mac(3), Batch: "b1"}); !errors.Is(err, record.ErrBatch) {
		t.Errorf("closed: got %v", err)
	}
	if lot, _, _ := l.Lot("batch:b1"); lot.Opened.IsZero() || lot.Closed.IsZero() || lot.Reserved != 2 || lot.Quota != 2 {
		t.Errorf("got %+v", lot)
	}
}

// A batch that was opened for a job takes no number for another one, nor for the
// same one after its files have changed.
func TestBatchOfOneJob(t *testing.T) {
	l := start(t, bench)
	add(t, l, record.Entry{Kind: record.BatchOpened, Operator: "anna", Batch: "lamps", Job: "lamp", JobHash: "sha256:1"}, record.Entry{Kind: record.BatchOpened, Operator: "anna", Batch: "any"})
	for i, c := range []struct {
		batch, job, digest string
		err                error
	}{
		{"lamps", "lamp", "sha256:1", nil},
		{"lamps", "bell", "sha256:2", record.ErrBatch},
		{"lamps", "lamp", "sha256:3", record.ErrBatch},
		{"any", "bell", "sha256:2", nil},
		{"never opened", "bell", "sha256:2", record.ErrBatch},
	} {
		_, err := l.Reserve(record.Entry{MAC: mac(i), Batch: c.batch, Job: c.job, JobHash: c.digest})
		if !errors.Is(err, c.err) {
			t.Errorf("%s, %s of %s: got %v, want %v", c.batch, c.job, c.digest, err, c.err)
		}
	}
	if lot, _, err := l.Lot("batch:lamps"); lot.Reserved != 1 || err != nil {
		t.Errorf("got %+v, %v, want one number taken", lot, err)
	}
}

func TestAppendAllIsAllOrNone(t *testing.T) {
	l := start(t, bench)
	bad := append(run(1), record.Entry{Kind: record.KeyAssigned, MAC: mac(2), Keys: record.FlashKey(key(1))})
	if _, err := l.AppendAll(bad); !errors.Is(err, record.ErrKeyTaken) {
		t.Errorf("got %v", err)
	}
	if size, _, _ := l.Head(); size != 1 {
		t.Errorf("got %d entries", size)
	}
	if _, found, _ := l.Device(mac(1)); found {
		t.Error("a device of the refused transaction is known")
	}
	add(t, l, run(1)...) // nothing of it is remembered either
}

// Text that is not UTF-8 reads the same from the projections as from the log.
func TestTextThatIsNotText(t *testing.T) {
	l := start(t, bench)
	e := add(t, l, record.Entry{Kind: record.KeyAssigned, MAC: mac(1), Keys: record.FlashKey("k\xff"), Job: "j\xfe", Serial: "s\xc3\x28"})[0]
	if e.FlashKey().ID != "k\ufffd" {
		t.Errorf("got %q", e.FlashKey().ID)
	}
	if owner, _, err := l.KeyOwner(e.FlashKey().ID); owner != mac(1) || err != nil {
		t.Errorf("got %v, %v", owner, err)
	}
}

func TestReadOnly(t *testing.T) {
	l := start(t, bench)
	add(t, l, run(1)...)
	r := reopen(t, l.Path(), Options{ReadOnly: true})
	if _, err := r.Append(run(2)[0]); !errors.Is(err, ErrReadOnly) {
		t.Errorf("got %v", err)
	}
	if err := r.Rebuild(); !errors.Is(err, ErrReadOnly) {
		t.Errorf("got %v", err)
	}
	add(t, l, run(2)...)
	if d, found, err := r.Device(mac(2)); !found || !d.Sealed || err != nil {
		t.Errorf("a reader sees what was written after it came: %v, %v", found, err)
	}
}

func TestClosed(t *testing.T) {
	l := start(t, bench)
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(run(1)[0]); !errors.Is(err, ErrClosed) {
		t.Errorf("append: got %v", err)
	}
	if _, _, err := l.Device(mac(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("device: got %v", err)
	}
}

func TestAbsent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.db")
	for _, o := range []Options{{}, {ReadOnly: true}, {ReadOnly: true, Create: true}} {
		if _, err := Open(path, o); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v: got %v", o, err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was made")
	}
}

// Who did it, and why, stands in the ledger, whoever writes it.
func TestWhoAndWhyAreNeverBlank(t *testing.T) {
	l := start(t, bench)
	for _, e := range []record.Entry{
		{Kind: record.BatchOpened, Batch: "b1"}, {Kind: record.BatchOpened, Batch: "b1", Operator: " \t"},
		{Kind: record.Released, MAC: mac(1), Operator: "anna"}, {Kind: record.Released, MAC: mac(1), Message: "why"},
		{Kind: record.Released, MAC: mac(1), Operator: "anna", Message: " \n"},
		{Kind: record.KeyRecovered, MAC: mac(1), Operator: "anna"}, {Kind: record.BatchAmended, Batch: "b1", Operator: "anna", Quota: 4},
		{Kind: record.PlanApproved, Plan: "sha256:1", Operator: " "},
	} {
		if _, err := l.Append(e); err == nil || !strings.Contains(err.Error(), "is missing") {
			t.Errorf("%s by %q because %q: got %v", e.Kind, e.Operator, e.Message, err)
		}
		if _, err := guestEntry(e); e.Kind != record.PlanApproved && (err == nil || !strings.Contains(err.Error(), "is missing")) {
			t.Errorf("at the door: %s by %q because %q: got %v", e.Kind, e.Operator, e.Message, err)
		}
	}
	for _, kind := range []record.Kind{record.LabelPrinted, record.KeyImported, record.KeyRemoved, record.BatchClosed} {
		if _, err := guestEntry(record.Entry{Kind: kind, Operator: "  "}); err == nil {
			t.Errorf("%s by nobody comes through the door", kind)
		}
	}
}
