package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	qa "station/internal/report"
)

// told is what a device's history says of it, by rules of this test's own.
type told struct {
	key, sealed bool
	aside, last string // "VERDICT CODE"; aside: until it is released or admitted
}

func (w *told) add(e record.Entry) {
	switch {
	case e.Kind == record.KeyAssigned:
		w.key = true
	case e.Kind == record.Sealed:
		w.sealed, w.last = true, ""
	case e.Kind == record.Released, e.Kind == record.Admitted && e.Decision != "quarantine":
		w.aside = ""
	case e.Kind == record.Failed && (e.Code == "E-STRANGER" || e.Code == "E-SAME-MAC" || e.Code == "E-SEALED-OTHER" || e.Code == "E-OTHER-JOB" || e.Code == "E-VIRTUAL"):
	case e.Kind == record.Failed:
		w.last = string(e.Verdict) + " " + string(e.Code)
		if w.aside == "" && (e.Verdict == record.Scrap || e.Verdict == record.Quarantine) {
			w.aside = w.last
		}
	}
}

func (w *told) verdict() string {
	switch {
	case w.aside != "":
		return w.aside
	case w.sealed:
		return "PASS"
	case strings.HasPrefix(w.last, "RETRY"), strings.HasPrefix(w.last, "STATION"):
		return w.last
	}
	return "BEGUN"
}

func randomEntry(rnd *rand.Rand) record.Entry {
	failures := []record.Entry{
		{Verdict: record.Retry, Code: "E-DEAF"}, {Verdict: record.Scrap, Code: "E-FUSE-BURN"}, {Verdict: record.Station, Code: "E-HSM"},
		{Verdict: record.Quarantine, Code: "E-MAC"}, {Verdict: record.Quarantine, Code: "E-STRANGER"}, {Verdict: record.Quarantine, Code: "E-SEALED-OTHER"},
		{Verdict: record.Quarantine, Code: "E-SAME-MAC"}, {Verdict: record.Quarantine, Code: "E-OTHER-JOB"}, {Verdict: record.Quarantine, Code: "E-VIRTUAL"},
	}
	switch rnd.IntN(8) {
	case 0:
		return record.Entry{Kind: record.Sealed, Verdict: record.Pass}
	case 1:
		return record.Entry{Kind: record.Released, Operator: "eve", Message: "looked at"}
	case 2:
		return record.Entry{Kind: record.Admitted, Decision: "resume"}
	case 3:
		return record.Entry{Kind: record.Admitted, Decision: "quarantine"}
	case 4:
		return record.Entry{Kind: record.DeviceSeen}
	}
	e := failures[rnd.IntN(len(failures))]
	e.Kind = record.Failed
	return e
}

// Every output tells the same of a device, whatever its history is.
func TestOneVerdictEverywhere(t *testing.T) {
	rnd := rand.New(rand.NewPCG(10, 1))
	b, err := ledger.Open(filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Append(record.Entry{Kind: record.BatchOpened, Batch: "b", Operator: "eve"}); err != nil {
		t.Fatal(err)
	}
	want := map[string]*told{}
	for n := range 300 {
		mac := chip.MAC{0x24, 0x0a, 0xc4, 0, byte(n >> 8), byte(n)}
		key := record.Entry{Kind: record.KeyAssigned, Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: fmt.Sprintf("derived:m:%016x", n), Policy: "derived"}}}
		list, w := []record.Entry{{Kind: record.DeviceSeen}, key}, &told{}
		for range rnd.IntN(12) {
			list = append(list, randomEntry(rnd))
		}
		for i := range list {
			list[i].MAC, list[i].Job, list[i].JobHash, list[i].Batch = mac, "lamp", "sha256:1", "b"
			list[i].Run, list[i].Slot = fmt.Sprintf("%016x", n*16+i), "1"
			w.add(list[i])
		}
		if _, err := b.AppendAll(list); err != nil {
			t.Fatal(err)
		}
		want[mac.String()] = w
	}
	agree := func(output string, got map[string]string) {
		for mac, w := range want {
			if got[mac] != w.verdict() {
				t.Errorf("%s: %s is %q, want %q", output, mac, got[mac], w.verdict())
			}
		}
	}
	agree("list", listed(t, b))
	agree("export", exported(t, b))
	agree("report", reported(t, b))
	sums := map[string]int{}
	for mac, w := range want {
		verdict := w.verdict()
		m, _ := chip.ParseMAC(mac)
		if d, _, err := b.Device(m); err != nil || stateOf(d) != verdict {
			t.Errorf("ledger: %s is %q, %v, want %q", mac, stateOf(d), err, verdict)
		}
		if _, err := qa.LabelOf(b, m); (err == nil) != (verdict == "PASS") {
			t.Errorf("label: %s, which is %s: %v", mac, verdict, err)
		}
		sums[strings.Fields(verdict)[0]]++
	}
	size, _, _ := b.Head()
	balance, err := qa.BalanceOf(b, size, "b", nil)
	if err != nil {
		t.Fatal(err)
	}
	if balance.Passed != sums["PASS"] || balance.Scrapped != sums["SCRAP"] || balance.Quarantined != sums["QUARANTINE"] {
		t.Errorf("batch: got %+v, want %v", balance, sums)
	}
}

func stateOf(d record.Device) string {
	verdict, code := d.State()
	return strings.TrimSpace(string(verdict) + " " + string(code))
}

func listed(t *testing.T, b *ledger.Ledger) map[string]string {
	var out bytes.Buffer
	if err := listLedger(&out, b, identityFilters[""]); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(out.String()) {
		f := strings.Fields(line)
		if got[f[0]] = f[1]; strings.HasPrefix(f[2], "E-") {
			got[f[0]] += " " + f[2]
		}
	}
	return got
}

func exported(t *testing.T, b *ledger.Ledger) map[string]string {
	table, err := qa.FindTable("devices")
	if err != nil {
		t.Fatal(err)
	}
	h, err := qa.HeadOf(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := (qa.Export{Table: table, Format: qa.JSONL}).Write(&out, h); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(out.String()) {
		var row struct{ MAC, Verdict, Code string }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		got[row.MAC] = strings.TrimSpace(row.Verdict + " " + row.Code)
	}
	return got
}

func reported(t *testing.T, b *ledger.Ledger) map[string]string {
	h, err := qa.HeadOf(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := (qa.Report{Zone: time.UTC}).Write(&out, h); err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(out.String(), `<table id="list">`)
	mac := regexp.MustCompile(`24:0a:c4:[0-9a-f:]{8}`)
	verdict := regexp.MustCompile(`\b(PASS|RETRY|SCRAP|QUARANTINE|STATION|BEGUN)\b`)
	code := regexp.MustCompile(`\bE-[A-Z0-9-]+`)
	got := map[string]string{}
	for _, row := range strings.Split(list, `<tbody class="device">`) {
		if m := mac.FindString(row); m != "" {
			got[m] = strings.TrimSpace(verdict.FindString(row) + " " + code.FindString(row))
		}
	}
	return got
}
