package report

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// plant is a site of three benches: device 1 was made at the first and tried at the
// second, device 2 was begun at the first and finished at the second, device 3 is the
// third's alone, device 4 was only seen, twice.
func plant(t *testing.T) []Bench {
	t.Helper()
	var list []Bench
	for n, visits := range [][]visit{
		{{n: 1, slot: "1", batch: "b1"}, {n: 2, slot: "2", batch: "b1", end: "RETRY E-BOOT"}, {n: 4, slot: "1", end: "STATION E-HSM"}},
		{{n: 2, slot: "1", batch: "b1", again: true}, {n: 4, slot: "2", end: "STATION E-HSM"}},
		{{n: 3, slot: "1", batch: "b1"}},
	} {
		x := newLine(t, false)
		x.now = x.now.Add(time.Duration(n) * time.Hour)
		if n == 1 {
			x.now = x.now.Add(time.Minute)
			x.add(record.Entry{Kind: record.DeviceSeen, MAC: mac(1), Job: "lamp", Run: "tried", Slot: "1"},
				record.Entry{Kind: record.Failed, MAC: mac(1), Job: "lamp", Run: "tried", Slot: "1", Verdict: record.Quarantine, Code: "E-CLAIMED"},
				record.Entry{Kind: record.KeyAssigned, MAC: mac(2), Keys: []record.Key{{ID: keyID(2), Policy: "derived", Purpose: "flash-encryption"}}})
		}
		for _, v := range visits {
			x.do(v)
		}
		h := headOf(t, x.l)
		list = append(list, Bench{Name: fmt.Sprint("bench-", n+1), Head: h, Within: func(time.Time, time.Time) (uint64, uint64) { return 0, h.Size }})
	}
	return list
}

// A device stands once in the table of a site, as the bench has it whose device it is;
// what another bench says of it is no verdict.
func TestSiteExport(t *testing.T) {
	benches := plant(t)
	rows := func(f Filter, name string) (list [][]string) {
		t.Helper()
		var out bytes.Buffer
		x := SiteExport{Export: Export{Table: table(t, name), Format: CSV, Filter: f}, Site: "plant-1", Benches: benches}
		n, err := x.Write(&out)
		if err != nil {
			t.Fatal(err)
		}
		if list, err = csv.NewReader(&out).ReadAll(); err != nil || uint64(len(list)) != n+1 {
			t.Fatalf("%d rows, it says %d: %v", len(list)-1, n, err)
		}
		if head := list[0]; head[len(head)-1] != "bench" || head[1] != columnsOf(deviceColumns)[1].Name && name == "devices" {
			t.Errorf("columns %q", head)
		}
		return list[1:]
	}
	var got []string
	for _, r := range rows(Filter{}, "devices") {
		got = append(got, strings.Join([]string{r[1], r[3], r[4], r[len(r)-1]}, " "))
	}
	want := []string{mac(1).String() + " PASS  bench-1", mac(2).String() + " PASS  bench-2", mac(3).String() + " PASS  bench-3", mac(4).String() + " STATION E-HSM bench-2"}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("devices\n%q, want\n%q", got, want)
	}
	if list := rows(Filter{Verdict: record.Quarantine}, "devices"); len(list) != 0 {
		t.Errorf("set aside at a bench that it is not of: %q", list)
	}
	if list := rows(Filter{Verdict: record.Retry}, "devices"); len(list) != 0 {
		t.Errorf("what became of it at another bench: %q", list)
	}
	entries, all := rows(Filter{}, "entries"), uint64(0)
	for _, b := range benches {
		all += b.Size
	}
	if uint64(len(entries)) != all {
		t.Errorf("%d entries of %d", len(entries), all)
	}
	for _, f := range Formats { // the other forms too
		if _, err := (SiteExport{Export: Export{Table: table(t, "devices"), Format: f}, Benches: benches}).Write(io.Discard); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
	if len(table(t, "devices").Columns) != len(deviceColumns) {
		t.Error("the table of a ledger by itself has the bench now")
	}
}

// The page of a site counts what its benches count, and each device once.
func TestSiteReport(t *testing.T) {
	benches := plant(t)
	p, err := Report{Zone: time.UTC}.page(benches)
	if err != nil {
		t.Fatal(err)
	}
	if p.Devices != 4 || p.Stats.Visits != 7 || len(p.Stats.Slots) != 2 || p.Verdicts[0].N != 3 {
		t.Errorf("%d devices, %d visits, %d slots, %d passed", p.Devices, p.Stats.Visits, len(p.Stats.Slots), p.Verdicts[0].N)
	}
	if p.List[0].MAC != mac(1) || p.List[0].Bench != "bench-1" || p.List[1].Bench != "bench-2" {
		t.Errorf("list %+v", p.List[0])
	}
	// Of a batch, and of a time in which only another bench saw it.
	p, err = Report{Zone: time.UTC, Filter: Filter{Batch: "b1"}}.page(benches)
	if err != nil || p.Devices != 3 || p.Verdicts[0].N != 3 {
		t.Errorf("of the batch: %d devices, %+v, %v", p.Devices, p.Verdicts, err)
	}
	p, err = Report{Zone: time.UTC, Filter: Filter{From: begin.Add(time.Hour), To: begin.Add(time.Hour + 62*time.Second)}}.page(benches)
	if err != nil || p.Devices != 1 || p.List[0].Verdict != record.Pass || p.List[0].Bench != "bench-1" {
		t.Errorf("seen elsewhere later: %d devices, %+v, %v", p.Devices, p.List, err)
	}
	var out bytes.Buffer
	if err := (Report{Title: "Day", Made: begin}).WriteSite(&out, benches); err != nil {
		t.Fatal(err)
	}
	for _, b := range benches {
		if !strings.Contains(html.UnescapeString(out.String()), b.Root.String()) {
			t.Errorf("the page does not name the root of %s", b.Name)
		}
	}
}

// The report of a day reads no more of the log than that day, the one before and the
// ends of visits that have begun.
func TestADayReadsItsDay(t *testing.T) {
	x := newLine(t, false)
	var ends []uint64 // of each day in the log
	for day := range 6 {
		x.now = begin.AddDate(0, 0, day)
		for n := range 5 {
			x.do(visit{n: 10*day + n, slot: "1"})
		}
		if day == 3 { // begins before midnight and ends behind it, while another device comes to another slot
			last := record.Entry{MAC: mac(99), Job: "lamp", Run: "late", Slot: "2"}
			seen, failed := last, last
			seen.Kind, failed.Kind, failed.Verdict, failed.Code = record.DeviceSeen, record.Failed, record.Retry, "E-BOOT"
			x.now = begin.AddDate(0, 0, 4).Add(-time.Second)
			x.add(seen)
			x.now = begin.AddDate(0, 0, 4).Add(time.Second)
			x.add(record.Entry{Kind: record.DeviceSeen, MAC: mac(98), Job: "lamp", Run: "other", Slot: "3"}, failed)
		}
		size, _, err := x.l.Head()
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, size)
	}
	var times []time.Time
	for e, err := range x.l.Entries(0) {
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, e.Time)
	}
	times[0] = begin // the ledger itself is made by the machine's clock
	b := Bench{Name: "bench-1", Head: headOf(t, x.l), Within: func(from, to time.Time) (first, end uint64) {
		for first < uint64(len(times)) && times[first].Before(from) {
			first++
		}
		for end < uint64(len(times)) && (to.IsZero() || times[end].Before(to)) {
			end++
		}
		return first, end
	}}
	least, most := uint64(len(times)), uint64(0)
	r := Report{Zone: time.UTC, Filter: Filter{From: begin.AddDate(0, 0, 3), To: begin.AddDate(0, 0, 4)}}
	r.Progress = func(n, _ uint64) { least, most = min(least, n), max(most, n) }
	p, err := r.page([]Bench{b, {Name: "bench-2", Head: headOf(t, newLine(t, false).l), Within: func(time.Time, time.Time) (uint64, uint64) { return 0, 1 }}})
	if err != nil || p.Stats.Visits != 5 || p.Devices != 5 {
		t.Errorf("%d visits of %d devices, %v", p.Stats.Visits, p.Devices, err)
	}
	if most != ends[3] {
		t.Errorf("entries up to %d were read, want up to %d, where the last visit of the day has ended", most, ends[3])
	}
}

// The account of a site counts each device once, and its certificate is what the site
// signed: the sums, and the head of each bench's ledger.
func TestSiteBatch(t *testing.T) {
	benches := plant(t)
	a, err := SiteBalance("plant-1", "b1", benches)
	if err != nil {
		t.Fatal(err)
	}
	moved := []string{mac(2).String() + " from bench-1 to bench-2"}
	if a.Started != 3 || a.Passed != 3 || a.Unfinished != 0 || !slices.Equal(a.Moved, moved) || len(a.Benches) != 3 || a.Closed || !a.Balanced() {
		t.Errorf("account %+v", a)
	}
	if _, err := SiteBalance("plant-1", "b9", benches); !errors.Is(err, ErrNoBatch) {
		t.Errorf("a batch that nobody has: %v", err)
	}
	key, other := newKey(t), newKey(t)
	cert, err := CertifySite(a, key, SiteCertificate{Issued: begin, Operator: "anna"})
	if err != nil {
		t.Fatal(err)
	}
	file, err := cert.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CheckSiteCertificate(file, &key.PublicKey); err != nil {
		t.Error(err)
	}
	if _, err := CheckSiteCertificate(file, &other.PublicKey); !errors.Is(err, ledger.ErrSignature) {
		t.Errorf("somebody else's key: %v", err)
	}
	for _, change := range [][2]string{{`"passed": 3`, `"passed": 4`}, {benches[1].Root.String(), benches[0].Root.String()}, {`"anna"`, `"eve"`}, {benches[0].Ledger.Origin(), "station-ledger/0"}} {
		bad := bytes.Replace(file, []byte(change[0]), []byte(change[1]), 1)
		if _, err := CheckSiteCertificate(bad, &key.PublicKey); err == nil || bytes.Equal(bad, file) {
			t.Errorf("%s is taken", change[1])
		}
	}
}

// Benches to which the site gives numbers have opened one order, not one each.
func TestSharedOrder(t *testing.T) {
	var benches []Bench
	for n, lease := range []record.Lease{{Turn: 1, Numbers: record.Numbers{First: 1, Count: 4}}, {}} {
		x := newLine(t, false)
		x.add(record.Entry{Kind: record.BatchOpened, Batch: "b7", Quota: 8, Job: "lamp", Operator: "anna"})
		if lease.Turn > 0 {
			x.add(record.Entry{Kind: record.NumbersLeased, Batch: "b7", Job: "lamp", Quota: 8, About: record.AboutOf(lease)})
		}
		benches = append(benches, Bench{Name: fmt.Sprint("bench-", n+1), Head: headOf(t, x.l)})
	}
	a, err := SiteBalance("plant-1", "b7", benches)
	if err != nil || a.Ordered != 8 || !slices.Contains(a.Differences, "8 of 8 ordered devices are missing") {
		t.Errorf("account %+v, %v", a, err)
	}
}

// A report of the virtual devices at real benches counts them alone, and says what they are.
func TestSiteReportOfVirtualDevices(t *testing.T) {
	benches := plant(t)
	x := newLine(t, false)
	virtual := chip.MAC{2, 5: 9}
	x.add(record.Entry{Kind: record.BatchOpened, Batch: "b1", Quota: 1, Operator: "anna"})
	for _, kind := range []record.Kind{record.DeviceSeen, record.KeyAssigned, record.Sealed} {
		e := record.Entry{Kind: kind, MAC: virtual, Simulated: true, Batch: "b1", Job: "lamp", Run: "virtual", Slot: "1"}
		if kind == record.KeyAssigned {
			e.Keys = []record.Key{{ID: keyID(9), Policy: "derived", Purpose: "flash-encryption"}}
		}
		if kind == record.Sealed {
			e.Verdict = record.Pass
		}
		if _, err := x.l.Append(e); err != nil { // add would make it a real one
			t.Fatal(err)
		}
	}
	x.add(record.Entry{Kind: record.BatchClosed, Batch: "b1", Operator: "anna"})
	benches = append(benches, Bench{Name: "bench-4", Head: headOf(t, x.l)})
	for _, batch := range []string{"", "b1"} {
		for simulated, devices := range map[bool]int{true: 1, false: map[string]int{"": 4, "b1": 3}[batch]} {
			var out bytes.Buffer
			if err := (Report{Filter: Filter{Simulated: simulated, Batch: batch}}).WriteSite(&out, benches); err != nil {
				t.Fatal(err)
			}
			page := out.String()
			if !strings.Contains(page, fmt.Sprintf(`<b id="devices">%d</b>`, devices)) || strings.Contains(page, virtual.String()) != simulated || strings.Contains(page, mac(3).String()) == simulated ||
				strings.Contains(page, ">SIMULATION<") != simulated {
				t.Errorf("batch %q, simulated %t: another page than of %d devices", batch, simulated, devices)
			}
		}
	}
}
