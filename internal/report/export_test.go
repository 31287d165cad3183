package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"station/internal/record"
)

// recorded is a line with a device of every kind.
func recorded(t testing.TB, simulated bool) *line {
	t.Helper()
	x := newLine(t, simulated)
	x.add(record.Entry{Kind: record.BatchOpened, Operator: "anna", Batch: "b1", Quota: 10, Job: "lamp", JobHash: sha(4)})
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

// What was approved, for whom, and numbers of a batch that nobody opened stand
// in columns of their own.
func TestApprovalsAndUndeclaredNumbersInExports(t *testing.T) {
	x := newLine(t, false)
	x.add(record.Entry{Kind: record.PlanApproved, Plan: sha(9), Operator: "eve", LineOperator: "anna", Described: []string{"name lamp", "marker ready"}})
	x.do(visit{n: 1, slot: "1", batch: "nobody's"})
	file, proof := export(t, Export{Table: table(t, "entries"), Format: CSV}, headOf(t, x.l))
	var approvals, undeclared int
	for _, row := range records(t, file) {
		if row["kind"] == string(record.PlanApproved) && row["described"] == "name lamp; marker ready" && row["lineOperator"] == "anna" {
			approvals++
		}
		if row["kind"] == string(record.NumberTaken) && row["undeclared"] == "UNDECLARED" {
			undeclared++
		}
	}
	if approvals != 1 || undeclared != 1 || proof.Columns != ColumnsVersion {
		t.Errorf("%d approvals, %d undeclared, columns %d\n%s", approvals, undeclared, proof.Columns, file)
	}
	// An export of the first columns is checked as ever.
	proof.Columns = 1
	if err := proof.CheckLedger(x.l); !errors.Is(err, ErrProof) {
		t.Errorf("other columns: %v", err)
	}
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
		"software": "station v1", "block0": locked.Block("BLOCK0").String(), "block1": "hidden", "block2": "empty",
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
			"kind": string(e.Kind), "keyId": e.KeyIDs(), "step": e.Step, "stage": e.Stage, "verdict": string(e.Verdict), "code": string(e.Code),
			"message": e.Message, "run": e.Run, "token": e.Token, "station": e.Station, "decision": e.Decision} {
			if r[name] != want {
				t.Errorf("entry %d: %s: got %q, want %q", e.Index, name, r[name], want)
			}
		}
		if e.Kind == record.BurnIntended && e.Stage == "count" && (r["burns"] != "FLASH_CRYPT_CNT 0x0->0x7f" || r["block0"] != blank.Block("BLOCK0").String()) {
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
		rows, err := f.GetRows(sheet, excelize.Options{RawCellValue: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows[1:] {
			m := map[string]string{}
			for i, c := range tb.Columns {
				if m[c.Name] = ""; i < len(r) {
					m[c.Name] = r[i]
				}
				if c.Type == Time && m[c.Name] != "" {
					m[c.Name] = dateCell(t, m[c.Name])
				}
			}
			list = append(list, m)
		}
	}
	return list
}

// dateCell is the time that a cell shows, which must be a true date: a number of days.
func dateCell(t *testing.T, raw string) string {
	t.Helper()
	days, err := strconv.ParseFloat(raw, 64)
	if err != nil {
		t.Fatalf("%q is no date: %v", raw, err)
	}
	at := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC).Add(time.Duration(days * float64(24*time.Hour)))
	return at.Round(time.Millisecond).Format("2006-01-02T15:04:05.000Z")
}

// A workbook can be worked with as it is: dates that sort and show their time, a
// header that stays, a filter over all rows, and columns as wide as their cells.
func TestWorkbook(t *testing.T) {
	x := recorded(t, false)
	tb := table(t, "devices")
	file, _ := export(t, Export{Table: tb, Format: XLSX}, headOf(t, x.l))
	f, err := excelize.OpenReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := map[string]string{}
	for i, c := range tb.Columns {
		at[c.Name], _ = excelize.ColumnNumberToName(i + 1)
	}
	panes, err := f.GetPanes(tb.Name)
	var shown string
	for row := 2; row <= 9 && shown == "" && err == nil; row++ {
		shown, err = f.GetCellValue(tb.Name, at["sealedAt"]+strconv.Itoa(row))
	}
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^2026-11-2\d \d\d:\d\d:\d\d\.\d{3}$`).MatchString(shown) {
		t.Errorf("a date shows as %q", shown)
	}
	if !panes.Freeze || panes.YSplit != 1 {
		t.Errorf("panes %+v", panes)
	}
	var filter string
	for _, n := range f.GetDefinedName() {
		if n.Name == "_xlnm._FilterDatabase" {
			filter = n.RefersTo
		}
	}
	last, _ := excelize.ColumnNumberToName(len(tb.Columns))
	if want := "'devices'!$A$1:$" + last + "$9"; filter != want {
		t.Errorf("the filter is over %q, want %q", filter, want)
	}
	for name, least := range map[string]float64{"mac": 18, "sealedAt": 24, "keyId": 46, "number": 10} {
		if w, err := f.GetColWidth(tb.Name, at[name]); err != nil || w < least {
			t.Errorf("column %s is %v wide, %v", name, w, err)
		}
	}
}

// With a mark in front, a CSV says that it is UTF-8; its rows are the same, and its proof
// speaks of the file as it is.
func TestByteOrderMark(t *testing.T) {
	x := recorded(t, false)
	h := headOf(t, x.l)
	without, p1 := export(t, Export{Table: table(t, "devices"), Format: CSV}, h)
	with, p2 := export(t, Export{Table: table(t, "devices"), Format: CSV, BOM: true}, h)
	if !bytes.Equal(with, append([]byte{0xef, 0xbb, 0xbf}, without...)) {
		t.Errorf("it begins with %q", with[:8])
	}
	if p1.Cells != p2.Cells || p1.SHA256 == p2.SHA256 {
		t.Errorf("proofs %+v, %+v", p1, p2)
	}
}

func TestASheetThatIsFullGoesOnOnTheNext(t *testing.T) {
	defer func(n int) { sheetRows = n }(sheetRows)
	sheetRows = 4
	x := recorded(t, false)
	made := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	file, _ := export(t, Export{Table: table(t, "devices"), Format: XLSX, Made: made}, headOf(t, x.l))
	f, err := excelize.OpenReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if p, err := f.GetDocProps(); err != nil || p.Creator != "station" || p.Created != "2026-11-20T08:00:00Z" || p.Modified != p.Created {
		t.Errorf("the workbook says %+v of itself (%v)", p, err)
	}
	if got := f.GetSheetList(); !slices.Equal(got, []string{"About", "devices", "devices 2", "devices 3"}) {
		t.Errorf("got sheets %v", got)
	}
	if rows := xlsxRecords(t, table(t, "devices"), file); len(rows) != 8 {
		t.Errorf("got %d devices on them, want 8", len(rows))
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
	x.add(record.Entry{Kind: record.LabelPrinted, MAC: mac(7)}, record.Entry{Kind: record.Released, Operator: "anna", Message: "it was looked at", MAC: mac(3)})
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

// A CSV has the bytes that encoding/csv would write, whatever is in its cells.
func TestCSVIsThatOfTheLibrary(t *testing.T) {
	cells := []string{"", " ", "a b", " a", "\u00a0a", "a,b", `a"b`, `"`, "a\nb", "a\r\nb", "\r", `\.`, `a\.`, "é", "\xff", "\u2028", ";", "\t"}
	var got, want bytes.Buffer
	enc, err := newCSV(&got, Table{Columns: make([]Column, len(cells))}) // of no type: nothing is disarmed
	if err != nil {
		t.Fatal(err)
	}
	w := csv.NewWriter(&want)
	if err := errors.Join(w.Write(make([]string, len(cells))), w.Write(cells), enc.row(slices.Clone(cells)), enc.end()); err != nil {
		t.Fatal(err)
	}
	if w.Flush(); got.String() != want.String() {
		t.Errorf("got\n%q, want\n%q", got.String(), want.String())
	}
}

// Where nobody asks for the proof the file is the same, and the rows are counted.
func TestUnprovedExport(t *testing.T) {
	x := recorded(t, false)
	for _, of := range Tables {
		file, proof := export(t, Export{Table: of, Format: CSV}, headOf(t, x.l))
		bare, none := export(t, Export{Table: of, Format: CSV, Unproved: true}, headOf(t, x.l))
		if !bytes.Equal(bare, file) || none.Rows != proof.Rows || none.Rows == 0 || proof.SHA256 == "" || none.SHA256+none.Cells != "" {
			t.Errorf("%s: %d bytes and %d rows for %d and %d, digests %q %q", of.Name, len(bare), none.Rows, len(file), proof.Rows, none.SHA256, none.Cells)
		}
	}
}
