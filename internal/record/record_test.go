package record

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
)

var mac = chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}

func fold(entries ...Entry) Device {
	var d Device
	for i, e := range entries {
		e.Index, e.MAC = uint64(i+1), mac
		d.Apply(e)
	}
	return d
}

func TestDeviceFold(t *testing.T) {
	fuses := Fuses{{Name: "BLOCK1", State: "hidden"}}
	d := fold(
		Entry{Kind: DeviceSeen, Job: "avior", JobHash: "sha256:1", Batch: "b1", Serial: "s1"},
		Entry{Kind: KeyAssigned, Keys: []Key{{Purpose: chip.FlashEncryption, ID: "k1", Policy: "random", Wrapped: []byte{1}}}},
		Entry{Kind: BurnIntended, Stage: "key"},
		Entry{Kind: BurnIntended, Stage: "key"},
		Entry{Kind: BurnSettled, Stage: "key", Fuses: fuses},
		Entry{Kind: BootVerified},
		Entry{Kind: Sealed},
	)
	want := Device{MAC: mac, First: 1, Last: 7, Job: "avior", JobHash: "sha256:1", Batch: "b1", Visited: "batch:b1", Serial: "s1",
		Keys: []Key{{Purpose: chip.FlashEncryption, ID: "k1", Policy: "random", Wrapped: []byte{1}}}, Fuses: fuses, Runs: 1, Booted: true, Sealed: true,
		Intended: []string{"key"}, Settled: []string{"key"}, Verdict: Pass}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("got  %+v\nwant %+v", d, want)
	}
}

// A device is of the chip that was seen when it was given keys or an identity: those
// are derived by its name. Entries of old name none, and are of ESP32s.
func TestChipOfADevice(t *testing.T) {
	seen := func(name string) Entry { return Entry{Kind: DeviceSeen, Identity: &chip.Identity{Chip: name}} }
	key := Entry{Kind: KeyAssigned, Keys: []Key{{Purpose: chip.FlashEncryption, ID: "k1"}}}
	identity := Entry{Kind: IdentityMade, About: NamesIdentity(Identity{ID: "00"})}
	for _, v := range []struct {
		want    string
		entries []Entry
	}{
		{"", []Entry{key}},
		{"esp32", []Entry{seen("")}},
		{"esp32c3", []Entry{seen("esp32c6"), seen("esp32c3")}},
		{"esp32c3", []Entry{seen("esp32c3"), key, seen("esp32c6")}},
		{"esp32c3", []Entry{seen("esp32c3"), identity, seen("esp32c6"), seen("")}},
		{"esp32", []Entry{seen(""), key, seen("esp32c3")}},
		{"esp99", []Entry{seen("esp99"), key}},
	} {
		d := fold(v.entries...)
		family, err := d.Family()
		if d.Chip != v.want || (err == nil) != (v.want != "esp99") || err == nil && family != chip.Known(chip.ByName(v.want)) {
			t.Errorf("got %q, %v, want %q", d.Chip, err, v.want)
		}
	}
}

// A device that has no identity is revoked too, and stays so when it gets one; that makes it
// of no chip.
func TestRevokedWithoutIdentity(t *testing.T) {
	seen := func(name string) Entry { return Entry{Kind: DeviceSeen, Identity: &chip.Identity{Chip: name}} }
	revoked := Entry{Kind: IdentityRevoked, Time: time.Unix(7, 0), About: NamesIdentity(Identity{})}
	made := Entry{Kind: IdentityMade, Time: time.Unix(8, 0), About: NamesIdentity(Identity{ID: "00"})}
	if d := fold(seen("esp32")); !d.Revoked().IsZero() {
		t.Errorf("revoked by nobody: %v", d.Revoked())
	}
	for want, entries := range map[string][]Entry{
		"esp32c3":  {seen("esp32"), revoked, seen("esp32c3")},
		"esp32c3 ": {seen("esp32"), revoked, seen("esp32c3"), made, seen("esp32c6")},
	} {
		d := fold(entries...)
		if !d.Revoked().Equal(revoked.Time) || d.Chip != strings.TrimSpace(want) || d.Identity.Known() != strings.HasSuffix(want, " ") {
			t.Errorf("%d entries: %s, revoked %v, %+v", len(entries), d.Chip, d.Revoked(), d.Identity)
		}
	}
}

func TestSetAsideUntilReleased(t *testing.T) {
	scrap := Entry{Kind: Failed, Verdict: Scrap, Code: "E-FUSE"}
	later := Entry{Kind: Failed, Verdict: Station, Code: "E-DISK"}
	d := fold(scrap, later)
	if !d.SetAside || d.SetAsideBy != "E-FUSE" || d.SetAsideAs != Scrap || d.Verdict != Station {
		t.Errorf("got %+v", d)
	}
	if d = fold(scrap, later, Entry{Kind: Released}); d.SetAside || d.SetAsideBy != "" || d.SetAsideAs != "" {
		t.Errorf("released: got %+v", d)
	}
	if d = fold(scrap, Entry{Kind: Admitted, Decision: DecisionQuarantine}); d.SetAsideBy != "E-FUSE" {
		t.Errorf("turned away: got %+v", d)
	}
	if d = fold(scrap, Entry{Kind: Admitted, Decision: "resume"}); d.SetAside || d.SetAsideBy != "" {
		t.Errorf("admitted again: got %+v", d)
	}
	if d = fold(Entry{Kind: Failed, Verdict: Retry, Code: "E-SYNC"}); d.SetAside {
		t.Error("RETRY set a device aside")
	}
}

func TestLotCounts(t *testing.T) {
	key := Entry{Kind: KeyAssigned, Keys: FlashKey("k")}
	devices := []Device{
		fold(Entry{Kind: DeviceSeen}),
		fold(key, Entry{Kind: Sealed}),
		fold(key, Entry{Kind: Sealed}, Entry{Kind: Failed, Verdict: Quarantine}),
		fold(key, Entry{Kind: Failed, Verdict: Scrap}, Entry{Kind: Failed, Verdict: Station}),
	}
	var l Lot
	for _, d := range devices {
		l.Count(d, 1)
	}
	if want := (Lot{Refused: 1, Devices: 3, Passed: 1, Quarantined: 1, Scrapped: 1}); l != want {
		t.Errorf("got %+v, want %+v", l, want)
	}
	for _, d := range devices {
		l.Count(d, -1)
	}
	if l != (Lot{}) {
		t.Errorf("counted out: got %+v", l)
	}
}

func TestLotQuota(t *testing.T) {
	now := time.Now()
	var l Lot
	l.Apply(Entry{Kind: BatchOpened, Time: now, Quota: 10, Job: "avior"})
	l.Apply(Entry{Kind: NumberTaken, Number: 3})
	l.Apply(Entry{Kind: BatchClosed, Time: now})
	if want := (Lot{Quota: 10, Opened: now, Closed: now, Job: "avior", Reserved: 3}); l != want {
		t.Errorf("got %+v, want %+v", l, want)
	}
	for _, c := range []struct{ lot, entry, want int }{{0, 0, 0}, {10, 0, 10}, {0, 5, 5}, {10, 5, 5}, {5, 10, 5}} {
		if got := (Lot{Quota: c.lot}).Limit(Entry{Quota: c.entry}); got != c.want {
			t.Errorf("lot %d, entry %d: got %d, want %d", c.lot, c.entry, got, c.want)
		}
	}
}

func TestLotNames(t *testing.T) {
	for _, c := range []struct {
		e    Entry
		want string
	}{{Entry{}, ""}, {Entry{Job: "j"}, "job:j"}, {Entry{Job: "j", Batch: "b"}, "batch:b"}} {
		if got := c.e.Lot(); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.e, got, c.want)
		}
	}
}

// A field without omitempty or omitzero would change the bytes of every entry
// that does not use it.
func TestAbsentFieldsAreAbsent(t *testing.T) {
	b, err := json.Marshal(Entry{Version: 1, Kind: Sealed})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"v":1,"index":0,"time":"0001-01-01T00:00:00Z","kind":"device.sealed"}`; string(b) != want {
		t.Errorf("got %s, want %s", b, want)
	}
}

// A visit under another job changes nothing of what a device is.
func TestVisitsOnlySee(t *testing.T) {
	a := func(k Kind) Entry {
		return Entry{Kind: k, Job: "a", Revision: "1", JobHash: "sha256:a", Batch: "b1", Keys: FlashKey("k")}
	}
	b := func(k Kind) Entry {
		return Entry{Kind: k, Job: "b", JobHash: "sha256:b", Batch: "b2", Verdict: Retry, Code: "E-X"}
	}
	seen := []Kind{DeviceSeen, Admitted, BootVerified, Failed, Released, LabelPrinted, KeyRecovered, SerialBound, "device.weighed"}
	made := []Kind{NumberTaken, KeyAssigned, FlashVerified, BurnIntended, BurnSettled, Sealed}
	for _, first := range made {
		for _, k := range seen {
			d := fold(a(KeyAssigned), a(first), b(k))
			if d.Job != "a" || d.Revision != "1" || d.JobHash != "sha256:a" || d.Batch != "b1" || d.FlashKey().ID != "k" {
				t.Errorf("%s after %s: got %+v", k, first, d)
			}
		}
		if d := fold(a(KeyAssigned), b(first)); d.JobHash != "sha256:b" || d.Batch != "b2" {
			t.Errorf("%s again: got %+v", first, d)
		}
	}
	d := fold(a(KeyAssigned), a(Sealed), b(FlashVerified))
	if d.SealedHash != "sha256:a" || d.SealedJob != "a 1" || d.JobHash != "sha256:b" {
		t.Errorf("written again: got %+v", d)
	}
	for code := range onlyVisits {
		d := fold(a(KeyAssigned), a(Sealed), Entry{Kind: Failed, Verdict: Quarantine, Code: code})
		if v, c := d.State(); v != Pass || c != "" || d.SetAside {
			t.Errorf("%s: got %s %s", code, v, c)
		}
	}
	// What was never a device beyond doubt is in no batch, and is what was said of it.
	doubtful := Entry{Kind: Failed, Job: "a", JobHash: "sha256:a", Batch: "b1", Verdict: Quarantine, Code: Doubtful}
	d = fold(doubtful, doubtful)
	if v, c := d.State(); v != Quarantine || c != Doubtful || d.SetAside || d.Batch != "" || d.JobHash != "" || d.InLot() != "" {
		t.Errorf("a doubtful chip: got %s %s, %+v", v, c, d)
	}
	if v, _ := fold(doubtful, b(DeviceSeen)).State(); v != Begun {
		t.Errorf("beyond doubt later: got %s", v)
	}
}

// What version 1 did not have is damage in its entries, though Entry has it.
func TestVersion1HasNoLaterFields(t *testing.T) {
	of := func(v any) map[string]bool {
		names := map[string]bool{}
		for i := range reflect.TypeOf(v).NumField() {
			name, _, _ := strings.Cut(reflect.TypeOf(v).Field(i).Tag.Get("json"), ",")
			names[name] = true
		}
		return names
	}
	old, later := of(entry1{}), 0
	for name := range of(Entry{}) {
		if old[name] {
			continue
		}
		later++
		raw := []byte(`{"v":1,"index":0,"time":"2026-11-20T08:00:00Z","kind":"device.sealed","` + name + `":`)
		for _, value := range []string{`"x"`, `1`, `true`, `["x"]`, `[{}]`, `{}`} {
			line := append(raw[:len(raw):len(raw)], value+"}"...)
			if e, err := Decode(line); err == nil && Canonical(&e, line) {
				t.Errorf("%s was taken for an entry of version 1", line)
			}
		}
	}
	if later == 0 {
		t.Error("version 2 has no field of its own")
	}
}

// A file's digest came with version 3: in an entry of version 2 it is damage.
func TestVersion2TellsNoFile(t *testing.T) {
	for version, good := range map[int]bool{2: false, 3: true} {
		raw := mustMarshal(t, Entry{Version: version, Kind: FlashVerified, Images: []Image{{Name: "app", File: "sha256:f", Plain: "sha256:p"}}})
		short, canonical, err := Read(raw)
		if _, scanned := scan(raw); err != nil || canonical != good || scanned != good {
			t.Errorf("%s: canonical %v, scanned %v, %v", raw, canonical, scanned, err)
		}
		if long, canonical, err := readLong(raw); err != nil || canonical != good || !reflect.DeepEqual(long, short) {
			t.Errorf("%s, the long way: canonical %v, %v", raw, canonical, err)
		}
	}
}

// An image is found by its file and by what was made of it, and by nothing where nothing is asked.
func TestImageIs(t *testing.T) {
	i := Image{File: "sha256:f", Plain: "sha256:p", Flash: "sha256:e"}
	for digest, want := range map[string]bool{i.File: true, i.Plain: true, i.Flash: true, "sha256:0": false} {
		if i.Is(digest) != want {
			t.Errorf("%s: want %v", digest, want)
		}
	}
	if (Image{Plain: "sha256:p"}).Is("") {
		t.Error("no digest is that of an image without a file")
	}
}

// An image's secure version came with version 3: before, nothing is known of it, and one
// that is told is damage. Zero is told too.
func TestVersion2TellsNoSecureVersion(t *testing.T) {
	zero := uint32(0)
	e := Entry{Version: Version, Kind: FlashVerified, Images: []Image{{Name: "app", Slot: "ota_0", SecureVersion: &zero}}}
	told := mustMarshal(t, e)
	if !bytes.Contains(told, []byte(`,"secureVersion":0}`)) {
		t.Errorf("zero is not told: %s", told)
	}
	e.Version = 2
	late := mustMarshal(t, e)
	e.Images[0].SecureVersion = nil
	before := mustMarshal(t, e)
	for _, c := range []struct {
		raw  []byte
		good bool
	}{{told, true}, {late, false}, {before, true}} {
		short, canonical, err := Read(c.raw)
		if err != nil || canonical != c.good {
			t.Errorf("%s: canonical %v, %v", c.raw, canonical, err)
		}
		if long, canonical, err := readLong(c.raw); err != nil || canonical != c.good || !reflect.DeepEqual(long, short) {
			t.Errorf("%s, the long way: canonical %v, %v", c.raw, canonical, err)
		}
		if _, ok := scan(c.raw); ok != c.good {
			t.Errorf("%s: scanned %v", c.raw, ok)
		}
	}
}
