package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"station/internal/ledger"
	"station/internal/record"
)

// recorded is a line with a device of every kind.
func recorded(t testing.TB, simulated bool) *line {
	t.Helper()
	x := newLine(t, simulated)
	x.add(record.Entry{Kind: record.BatchOpened, Batch: "b1", Quota: 10, Job: "lamp", JobHash: sha(4)})
	x.do(visit{n: 1, slot: "1", batch: "b1"})
	x.do(visit{n: 2, slot: "2", batch: "b1", end: "RETRY E-BOOT-MARKER"})
	x.do(visit{n: 3, slot: "1", batch: "b1", end: "SCRAP E-FUSE-WRONG"})
	x.do(visit{n: 4, slot: "2", batch: "b1", end: "QUARANTINE E-BOOT-SELFKEY"})
	x.do(visit{n: 2, slot: "2", batch: "b1", again: true})
	x.do(visit{n: 5, slot: "2", batch: "b1", end: "STATION E-HSM"})
	x.do(visit{n: 6, slot: "1", end: "pulled"})
	x.now = x.now.Add(24 * time.Hour)
	x.do(visit{n: 7, slot: "1", batch: "b2"})
	x.do(visit{n: 8, slot: "1", batch: "b2", end: "RETRY E-BOOT-MARKER"})
	return x
}

func export(t *testing.T, x Export, h *Head) ([]byte, *ExportProof) {
	t.Helper()
	var b bytes.Buffer
	p, err := x.Write(&b, h)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), p
}

// records reads a CSV with its header as maps.
func records(t *testing.T, file []byte) (list []map[string]string) {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows[1:] {
		m := map[string]string{}
		for i, name := range rows[0] {
			m[name] = r[i]
		}
		list = append(list, m)
	}
	return list
}

func TestDevicesTable(t *testing.T) {
	x := recorded(t, false)
	file, p := export(t, Export{Table: table(t, "devices"), Format: CSV}, headOf(t, x.l))
	got := map[string]map[string]string{}
	var order []string
	for _, r := range records(t, file) {
		got[r["mac"]] = r
		order = append(order, r["mac"])
	}
	if len(got) != 8 || p.Rows != 8 || !slices.IsSorted(order) {
		t.Fatalf("got %d devices, %d rows, in the order %v", len(got), p.Rows, order)
	}
	for n, want := range []string{1: "PASS ", 2: "PASS ", 3: "SCRAP E-FUSE-WRONG", 4: "QUARANTINE E-BOOT-SELFKEY",
		5: "STATION E-HSM", 6: "BEGUN ", 7: "PASS ", 8: "RETRY E-BOOT-MARKER"} {
		if r := got[mac(n).String()]; n > 0 && r["verdict"]+" "+r["code"] != want {
			t.Errorf("device %d is %s %s, want %s", n, r["verdict"], r["code"], want)
		}
	}
	r := got[mac(2).String()]
	for name, want := range map[string]string{
		"simulation": "", "keyId": keyID(2), "policy": "derived", "job": "lamp", "jobDigest": sha(4), "batch": "b1", "number": "2",
		"firstSeen": "2026-11-20T08:00:22.000Z", "sealedAt": "2026-11-20T08:01:43.000Z", "visits": "2", "station": "bench-1", "slot": "2", "operator": "anna",
		"software": "station v1", "block0": strings.Join(locked.Block0, " "), "block1": "hidden", "block2": "empty",
		"images": fmt.Sprintf("bootloader@0x1000 plain %s flash %s; sys@0x310000 plain %s; app@0x10000 version 1.0.0 plain %s flash %s", sha(1), sha(1002), sha(2), sha(3), sha(2002)),
	} {
		if r[name] != want {
			t.Errorf("%s: got %q, want %q", name, r[name], want)
		}
	}
	if r := got[mac(6).String()]; r["sealedAt"] != "" || r["keyId"] != "" || r["number"] != "" {
		t.Errorf("a device that was pulled: %v", r)
	}
}

// The table of entries is held against the entries themselves.
func TestEntriesTable(t *testing.T) {
	x := recorded(t, false)
	x.add(record.Entry{Kind: record.Released, MAC: mac(4), Operator: "=bob", Message: "wrong \"job\", line 1\nline 2 <é>"})
	file, _ := export(t, Export{Table: table(t, "entries"), Format: CSV}, headOf(t, x.l))
	rows := records(t, file)
	n := 0
	for e, err := range x.l.Entries(0) {
		if err != nil {
			t.Fatal(err)
		}
		r := rows[n]
		n++
		for name, want := range map[string]string{"index": fmt.Sprint(e.Index), "time": e.Time.UTC().Format("2006-01-02T15:04:05.000Z"),
			"kind": string(e.Kind), "keyId": e.KeyID, "step": e.Step, "stage": e.Stage, "verdict": string(e.Verdict), "code": e.Code,
			"message": e.Message, "run": e.Run, "token": e.Token, "station": e.Station, "decision": e.Decision} {
			if r[name] != want {
				t.Errorf("entry %d: %s: got %q, want %q", e.Index, name, r[name], want)
			}
		}
		if e.Kind == record.BurnIntended && e.Stage == "count" && (r["burns"] != "FLASH_CRYPT_CNT 0x0->0x7f" || r["block0"] != strings.Join(blank.Block0, " ")) {
			t.Errorf("entry %d: burns %q, block0 %q", e.Index, r["burns"], r["block0"])
		}
		if e.Boot != nil && e.Kind == record.BootVerified && (r["bootSeconds"] != "0.8" || r["bootMarker"] != e.Boot.Marker) {
			t.Errorf("entry %d: boot %q %q", e.Index, r["bootSeconds"], r["bootMarker"])
		}
	}
	if n != len(rows) {
		t.Errorf("%d rows for %d entries", len(rows), n)
	}
	// A spreadsheet must not take a person's name for a formula.
	if got := rows[len(rows)-1]["operator"]; got != "'=bob" {
		t.Errorf("the operator is %q", got)
	}
}

// All forms hold the same cells, and none of them a wrapped key.
func TestFormsAgree(t *testing.T) {
	x := recorded(t, false)
	for _, tb := range Tables {
		var all [][]map[string]string
		for _, f := range Formats {
			file, _ := export(t, Export{Table: tb, Format: f}, headOf(t, x.l))
			switch f {
			case CSV:
				all = append(all, records(t, file))
			case JSONL:
				all = append(all, jsonRecords(t, tb, file))
			case XLSX:
				all = append(all, xlsxRecords(t, tb, file))
			}
			for _, secret := range []string{"wrapped", "escrow", "d3JhcHBlZC", "ZXNjcm93LW"} {
				if f != XLSX && bytes.Contains(file, []byte(secret)) {
					t.Errorf("%s as %s holds %q", tb.Name, f, secret)
				}
			}
		}
		for i, want := range all[0] {
			for _, other := range all[1:] {
				for name, cell := range want {
					if i >= len(other) || other[i][name] != cell {
						t.Fatalf("%s, row %d, %s: got %q, want %q", tb.Name, i, name, other[i][name], cell)
					}
				}
			}
		}
	}
}

func jsonRecords(t *testing.T, tb Table, file []byte) (list []map[string]string) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(file))
	dec.UseNumber()
	for dec.More() {
		var object map[string]any
		if err := dec.Decode(&object); err != nil {
			t.Fatal(err)
		}
		m := map[string]string{}
		for _, c := range tb.Columns {
			v, there := object[c.Name]
			if _, number := v.(json.Number); !there || c.Type == Number && v != nil && !number {
				t.Fatalf("%s is %v", c.Name, v)
			}
			if m[c.Name] = ""; v != nil {
				m[c.Name] = fmt.Sprint(v)
			}
		}
		list = append(list, m)
	}
	return list
}

func xlsxRecords(t *testing.T, tb Table, file []byte) (list []map[string]string) {
	t.Helper()
	f, err := excelize.OpenReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, sheet := range f.GetSheetList()[1:] {
		rows, err := f.GetRows(sheet)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows[1:] {
			m := map[string]string{}
			for i, c := range tb.Columns {
				if m[c.Name] = ""; i < len(r) {
					m[c.Name] = r[i]
				}
			}
			list = append(list, m)
		}
	}
	return list
}

func TestASheetThatIsFullGoesOnOnTheNext(t *testing.T) {
	defer func(n int) { sheetRows = n }(sheetRows)
	sheetRows = 4
	x := recorded(t, false)
	file, _ := export(t, Export{Table: table(t, "devices"), Format: XLSX}, headOf(t, x.l))
	f, err := excelize.OpenReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := f.GetSheetList(); !slices.Equal(got, []string{"About", "devices", "devices 2", "devices 3"}) {
		t.Errorf("got sheets %v", got)
	}
	if rows := xlsxRecords(t, table(t, "devices"), file); len(rows) != 8 {
		t.Errorf("got %d devices on them, want 8", len(rows))
	}
}

func TestFilters(t *testing.T) {
	x := recorded(t, false)
	macs := func(n ...int) (list []string) {
		for _, n := range n {
			list = append(list, mac(n).String())
		}
		slices.Sort(list)
		return list
	}
	keys, err := ParseKeys("derived:station-master")
	if err != nil {
		t.Fatal(err)
	}
	some, err := ParseKeys(keyID(2) + ".." + keyID(4))
	if err != nil {
		t.Fatal(err)
	}
	one, err := ParseMACs(strings.ToUpper(mac(3).String()))
	if err != nil {
		t.Fatal(err)
	}
	var day Filter
	if err := day.SetTimes("2026-11-21", "2026-11-21", time.UTC); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		f    Filter
		want []string
	}{
		{Filter{Batch: "b1"}, macs(1, 2, 3, 4, 5)},
		{Filter{Job: "lamp"}, macs(1, 2, 3, 4, 5, 6, 7, 8)},
		{Filter{Job: "other"}, nil},
		{Filter{Verdict: record.Pass}, macs(1, 2, 7)},
		{Filter{Verdict: Begun}, macs(6)},
		{Filter{MAC: one}, macs(3)},
		{Filter{Key: keys}, macs(1, 2, 3, 4, 7, 8)},
		{Filter{Key: some}, macs(2, 3, 4)},
		{day, macs(7, 8)},
		{Filter{To: begin.Add(30 * time.Second)}, macs(1, 2)},
		// Device 2 has been there before and after, not between.
		{Filter{From: begin.Add(45 * time.Second), To: begin.Add(50 * time.Second)}, macs(3)},
		{Filter{Batch: "b1", Verdict: record.Pass}, macs(1, 2)},
	} {
		file, _ := export(t, Export{Table: table(t, "devices"), Format: CSV, Filter: c.f}, headOf(t, x.l))
		var got []string
		for _, r := range records(t, file) {
			got = append(got, r["mac"])
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.f, got, c.want)
		}
	}
	// Of entries, the time and the verdict are their own.
	file, _ := export(t, Export{Table: table(t, "entries"), Format: CSV, Filter: Filter{From: day.From, Verdict: record.Retry}}, headOf(t, x.l))
	if rows := records(t, file); len(rows) != 1 || rows[0]["mac"] != mac(8).String() {
		t.Errorf("got %v", rows)
	}
}

func TestRangesThatAreNone(t *testing.T) {
	for _, s := range []string{"", "24:0a", "24:0a:c4:00:00:02..24:0a:c4:00:00:01", "x..y"} {
		if _, err := ParseMACs(s); err == nil {
			t.Errorf("MACs %q: no error", s)
		}
	}
	for _, s := range []string{"", "nokey", keyID(2) + ".." + keyID(1)} {
		if _, err := ParseKeys(s); err == nil {
			t.Errorf("keys %q: no error", s)
		}
	}
	var f Filter
	for _, s := range [][2]string{{"yesterday", ""}, {"", "2026-13-01"}, {"2026-11-21", "2026-11-20"}} {
		if err := f.SetTimes(s[0], s[1], time.UTC); err == nil {
			t.Errorf("times %v: no error", s)
		}
	}
}

// A day with a change of the clock is as long as it is.
func TestADayIsNotAlwaysTwentyFourHours(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	var f Filter
	if err := f.SetTimes("2026-10-25", "2026-10-25", berlin); err != nil || f.To.Sub(f.From) != 25*time.Hour {
		t.Errorf("got %v, %v", f.To.Sub(f.From), err)
	}
}

// An export tells of the ledger as it was, also when it is made later.
func TestExportAsOfThen(t *testing.T) {
	x := recorded(t, false)
	then := headOf(t, x.l)
	want := map[string][]byte{}
	for _, tb := range Tables {
		want[tb.Name], _ = export(t, Export{Table: tb, Format: CSV}, then)
	}
	x.do(visit{n: 8, slot: "1", batch: "b2", again: true}) // passes now
	x.do(visit{n: 9, slot: "1", batch: "b2"})
	x.do(visit{n: 1, slot: "3", batch: "b3", again: true, end: "QUARANTINE E-LEDGER-DISAGREES"})
	x.add(record.Entry{Kind: record.LabelPrinted, MAC: mac(7)}, record.Entry{Kind: record.Released, MAC: mac(3)})
	for _, tb := range Tables {
		if got, _ := export(t, Export{Table: tb, Format: CSV}, then); !bytes.Equal(got, want[tb.Name]) {
			t.Errorf("%s: got\n%s\nwant\n%s", tb.Name, got, want[tb.Name])
		}
	}
	now, _ := export(t, Export{Table: table(t, "devices"), Format: CSV}, headOf(t, x.l))
	if bytes.Equal(now, want["devices"]) || len(records(t, now)) != 9 {
		t.Error("the newer devices are not there")
	}
}

func TestSimulationIsInEveryRow(t *testing.T) {
	x := recorded(t, true)
	for _, tb := range Tables {
		for _, f := range Formats {
			file, p := export(t, Export{Table: tb, Format: f}, headOf(t, x.l))
			var rows []map[string]string
			switch f {
			case CSV:
				rows = records(t, file)
			case JSONL:
				rows = jsonRecords(t, tb, file)
			case XLSX:
				rows = xlsxRecords(t, tb, file)
			}
			for i, r := range rows {
				if r["simulation"] != "SIMULATION" {
					t.Errorf("%s as %s, row %d: %v", tb.Name, f, i, r)
				}
			}
			if err := p.Sign(newKey(t)); !errors.Is(err, ErrSimulated) || !p.Simulated {
				t.Errorf("sign: got %v", err)
			}
		}
	}
	if _, err := HeadOf(x.l, newKey(t)); !errors.Is(err, ErrSimulated) {
		t.Errorf("a signed head: got %v", err)
	}
}

func TestProofOfAnExport(t *testing.T) {
	x := recorded(t, false)
	key := newKey(t)
	head, err := HeadOf(x.l, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, tb := range Tables {
		for _, f := range Formats {
			file, p := export(t, Export{File: "x", Table: tb, Format: f, Filter: Filter{Batch: "b1"}, Made: begin}, head)
			if err := p.Sign(key); err != nil {
				t.Fatal(err)
			}
			x.do(visit{n: 100 + len(file), slot: "1"}) // the log grows meanwhile
			data, err := p.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			q, err := ParseExportProof(data)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(q.CheckFile(bytes.NewReader(file)), q.CheckSigned(&key.PublicKey), q.CheckLedger(x.l)); err != nil {
				t.Errorf("%s as %s: %v", tb.Name, f, err)
			}
			if err := q.CheckSigned(&newKey(t).PublicKey); !errors.Is(err, ledger.ErrSignature) {
				t.Errorf("another key: got %v", err)
			}
			file[len(file)/2] ^= 1
			if err := q.CheckFile(bytes.NewReader(file)); !errors.Is(err, ErrProof) {
				t.Errorf("a changed file: got %v", err)
			}
		}
	}
}

// Whatever is changed in a proof, it is found.
func TestEveryFieldOfAProofIsSigned(t *testing.T) {
	x := recorded(t, false)
	key := newKey(t)
	head, err := HeadOf(x.l, key)
	if err != nil {
		t.Fatal(err)
	}
	_, p := export(t, Export{File: "x.csv", Table: Tables[0], Format: CSV, Filter: Filter{Batch: "b1", From: begin}, Made: begin, Software: "v1"}, head)
	if err := p.Sign(key); err != nil {
		t.Fatal(err)
	}
	data, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	for name, value := range fields {
		changed := "1" + string(value) // of a number
		if value[0] == '"' {
			changed = `"1` + string(value[1:])
		} else if value[0] == '{' {
			changed = strings.Replace(string(value), "b1", "b2", 1)
		}
		forged := bytes.Replace(data, append([]byte(`"`+name+`": `), indentedLike(t, data, name)...), []byte(`"`+name+`": `+changed), 1)
		if bytes.Equal(forged, data) {
			t.Fatalf("%s was not changed", name)
		}
		q, err := ParseExportProof(forged)
		if err == nil {
			err = q.CheckSigned(&key.PublicKey)
		}
		if err == nil {
			t.Errorf("%s may be changed", name)
		}
	}
	if _, err := ParseExportProof(bytes.Replace(data, []byte("{"), []byte(`{"more":1,`), 1)); err == nil {
		t.Error("a field that nobody signed is accepted")
	}
}

// indentedLike is the value of a field as it stands in the file.
func indentedLike(t *testing.T, data []byte, name string) []byte {
	t.Helper()
	_, rest, ok := bytes.Cut(data, []byte(`"`+name+`": `))
	if !ok {
		t.Fatalf("no field %s", name)
	}
	var raw json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(rest)).Decode(&raw); err != nil {
		t.Fatal(err)
	}
	return raw
}

// An export of one ledger is not one of another, nor of a shorter one.
func TestProofAgainstAnotherLedger(t *testing.T) {
	x, other := recorded(t, false), recorded(t, false)
	_, p := export(t, Export{Table: Tables[0], Format: CSV}, headOf(t, x.l))
	if err := p.CheckLedger(other.l); !errors.Is(err, ErrProof) {
		t.Errorf("another ledger: got %v", err)
	}
	if err := p.CheckSigned(&newKey(t).PublicKey); !errors.Is(err, ErrUnsigned) {
		t.Errorf("not signed: got %v", err)
	}
	for what, forge := range map[string]func(q *ExportProof){
		"longer":     func(q *ExportProof) { q.Size += 100 },
		"root":       func(q *ExportProof) { q.Root[0] ^= 1 },
		"rows":       func(q *ExportProof) { q.Rows++ },
		"cells":      func(q *ExportProof) { q.Cells = strings.Repeat("0", 64) },
		"filter":     func(q *ExportProof) { q.Filter.Batch = "b1" },
		"simulation": func(q *ExportProof) { q.Simulated = true },
		"table":      func(q *ExportProof) { q.Table = "nothing" },
		"columns":    func(q *ExportProof) { q.Columns++ },
	} {
		q := *p
		forge(&q)
		if err := q.CheckLedger(x.l); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if err := p.CheckLedger(x.l); err != nil {
		t.Error(err)
	}
}

// The root is hashed anew from the entries, at every size of the tree.
func TestRootAt(t *testing.T) {
	x := newLine(t, false)
	for range 40 {
		x.add(record.Entry{Kind: "remark", Message: "one more"})
		size, want, err := x.l.Head()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := rootAt(x.l, size); err != nil || got != want {
			t.Errorf("%d entries: got %v, %v, want %v", size, got, err, want)
		}
	}
	for _, size := range []uint64{0, 1000} {
		if _, err := rootAt(x.l, size); err == nil {
			t.Errorf("%d entries: no error", size)
		}
	}
}

var update = flag.Bool("update", false, "write the generated part of docs/export.md")

// Columns keep their place for ever; docs/export.md tells their meaning.
func TestColumnsDocument(t *testing.T) {
	const path, mark = "../../docs/export.md", " -update -->\n"
	var b strings.Builder
	fmt.Fprintf(&b, "\n# Columns, version %d\n\nNames and meanings are kept for ever; new columns are added at the end. An absent cell is empty.\n", ColumnsVersion)
	for _, tb := range Tables {
		fmt.Fprintf(&b, "\n## Table `%s`\n\n%s\n\n| # | column | type | meaning |\n|---|---|---|---|\n", tb.Name, tb.About)
		for i, c := range tb.Columns {
			fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", i+1, c.Name, c.Type, c.About)
		}
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, have, ok := strings.Cut(string(doc), mark)
	if !ok {
		t.Fatalf("%s has no generated part", path)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+mark+b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != b.String() {
		t.Errorf("%s is not what the code says; go test ./internal/report -run Columns -update", path)
	}
}

// What a reader may rely on: these columns, in this order.
func TestColumnsStay(t *testing.T) {
	for name, want := range map[string]string{
		"devices": "simulation mac serial verdict code keyId policy job jobDigest batch number firstSeen lastEntry visits sealedAt station slot operator software images block0 block1 block2 first last",
		"entries": "simulation index time kind mac serial station slot operator software job revision jobDigest batch quota number run step stage decision keyId policy token planDigest burns block0 block1 block2 images bootDigest bootMarker bootSeconds verdict code message seconds clockBack",
	} {
		var got []string
		for _, c := range table(t, name).Columns {
			got = append(got, c.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
