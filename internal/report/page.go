package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	plaintext "station/internal/plain"
	"station/internal/record"
)

// Report is a page for people: one HTML file that needs nothing else.
type Report struct {
	File     string // name for the proof
	Title    string
	Filter   Filter // time, batch and job only
	Software string
	Made     time.Time
	Zone     *time.Location              // of the times on the page
	Limit    int                         // devices in the list at most; 0 is all
	Progress func(entries, total uint64) // told of every entry that was read, if not nil
}

// page is what the template shows.
type page struct {
	Stats
	Report    Report
	Proof     *ExportProof
	Benches   []Bench // of a site; none for a ledger by itself
	Devices   int
	Verdicts  []VerdictCount
	List      []*DeviceLine
	Firmwares []*Firmware
	Burned    []BurnCount
	Charts    map[string]template.HTML
}

// VerdictCount is how many devices are what by the end of the report's time.
type VerdictCount struct {
	Verdict record.Verdict
	Mark    string // a shape for each, so that colour never speaks alone
	N       int
	Share   float64
}

// DeviceLine is one device in the list.
type DeviceLine struct {
	MAC           chip.MAC
	Bench         string // of a site, whose device it is
	Serial, KeyID string
	Verdict       record.Verdict
	Code          record.Code
	Visits        int
	Sealed        time.Time
	Station, Slot string
	Operator      string
	Firmware      int // number in Firmwares, from 1; 0 none
	Before, After string
	Block1        string // state of the key block, before and after
	Labels        int    // printed
}

// Firmware is what a job put into its devices.
type Firmware struct {
	Number   int
	Job      string
	Revision string
	Digest   string // of the job
	Images   []record.Image
	Devices  int
}

// BurnCount is a fuse that was burned, and in how many devices.
type BurnCount struct {
	Field, Old, New string
	N               int
}

//go:embed report.html
var pageSource string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"percent": func(f float64) string { return fmt.Sprintf("%.1f %%", 100*f) },
	"seconds": secondsText,
	"address": func(a uint32) string { return fmt.Sprintf("0x%x", a) },
	"digest":  func(s string) string { return strings.TrimPrefix(s, "sha256:") },
	"mark":    record.Verdict.Sign,
	"class":   func(v record.Verdict) string { return strings.ToLower(string(v)) },
	"yield": func(n, of int) string {
		y, ok := ratio(n, of)
		if !ok {
			return "–"
		}
		return fmt.Sprintf("%.1f %%", 100*y)
	},
}).Parse(pageSource))

// secondsText is as exact as a time deserves.
func secondsText(f float64) string {
	switch {
	case f < 1:
		return fmt.Sprintf("%.3f", f)
	case f < 10:
		return fmt.Sprintf("%.2f", f)
	}
	return fmt.Sprintf("%.1f", f)
}

// Write writes the page and returns its proof, not yet signed.
func (r Report) Write(w io.Writer, h *Head) (*ExportProof, error) {
	p, err := r.page([]Bench{{Head: h}})
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	x := Export{File: r.File, Table: Table{Name: reportTable}, Format: "html", Filter: r.Filter, Software: r.Software, Made: r.Made}
	rows := p.Proof.Rows
	p.Proof = x.proof(h)
	p.Proof.Columns, p.Proof.Rows = 0, rows
	return p.Proof, p.write(w)
}

// WriteSite writes the page of all benches of a site. It has no proof of its own: it
// names the ledger of each bench, of which every row can be proved.
func (r Report) WriteSite(w io.Writer, benches []Bench) error {
	p, err := r.page(benches)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	p.Benches = benches
	return p.write(w)
}

func (p *page) write(w io.Writer) error {
	var b bytes.Buffer
	if err := pageTemplate.Execute(plaintext.NewWriter(&b), p); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	sum := sha256.Sum256(b.Bytes())
	p.Proof.SHA256 = hex.EncodeToString(sum[:])
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// page adds up what the benches have made; of a site there are many.
func (r Report) page(benches []Bench) (*page, error) {
	if r.Zone == nil {
		r.Zone = time.UTC
	}
	of := r.Filter
	of.Simulated = false // the banner says so
	p := &page{Report: r, Proof: &ExportProof{Filter: of, Software: r.Software, Made: r.Made, Simulated: r.virtual(benches[0].Ledger)}}
	stats, devices, err := r.scan(benches)
	if err != nil {
		return nil, err
	}
	p.Stats = stats
	if err := p.describe(devices); err != nil {
		return nil, err
	}
	p.Proof.Rows = uint64(len(p.List))
	p.Charts, err = p.draw()
	return p, err
}

// describe looks at every device, and lists as many as the page may have.
func (p *page) describe(devices []visitor) error {
	verdicts, burned := map[record.Verdict]int{}, map[BurnCount]int{}
	for some := range slices.Chunk(devices, 512) {
		for _, h := range histories(some) {
			if h.err != nil {
				return h.err
			}
			if !p.Report.counts(h) {
				continue
			}
			line, d := newDeviceLine(h.entries, h.of.until, burned)
			line.Bench = h.of.Name
			p.Devices++
			verdicts[line.Verdict]++
			line.Firmware = p.firmware(d, h.entries)
			if p.Report.Limit == 0 || len(p.List) < p.Report.Limit {
				p.List = append(p.List, line)
			}
		}
	}
	for _, v := range []record.Verdict{record.Pass, record.Retry, record.Scrap, record.Quarantine, record.Station, record.Begun} {
		share, _ := ratio(verdicts[v], p.Devices)
		p.Verdicts = append(p.Verdicts, VerdictCount{v, v.Sign(), verdicts[v], share})
	}
	for b, n := range burned {
		b.N = n
		p.Burned = append(p.Burned, b)
	}
	slices.SortFunc(p.Burned, func(a, b BurnCount) int {
		return strings.Compare(a.Field+" "+a.Old+" "+a.New, b.Field+" "+b.Old+" "+b.New)
	})
	return nil
}

// counts tells whether the account of the report's batch counts a device: it may
// have only visited it. A closed batch is what it was when it was closed.
func (r Report) counts(h history) bool {
	if r.Filter.Batch == "" {
		return true
	}
	var d record.Device
	for _, e := range h.entries {
		if e.Index >= min(h.of.until, h.of.closed) {
			break
		}
		d.Apply(e)
	}
	return d.InLot() == record.BatchLot(r.Filter.Batch, r.virtual(h.of.Ledger))
}

// virtual tells whether the report is of the virtual devices of a ledger. They are never
// counted with real ones.
func (r Report) virtual(l *ledger.Ledger) bool { return r.Filter.Simulated || l.Simulated() }

// Left is how many devices the list leaves out.
func (p *page) Left() int { return p.Devices - len(p.List) }

// firmware finds or adds what the device has in its flash.
func (p *page) firmware(d record.Device, history []record.Entry) int {
	if len(d.Images) == 0 {
		return 0
	}
	for _, f := range p.Firmwares {
		if f.Digest == d.JobHash {
			f.Devices++
			return f.Number
		}
	}
	f := &Firmware{Number: len(p.Firmwares) + 1, Job: d.Job, Digest: d.JobHash, Images: d.Images, Devices: 1}
	for _, e := range history {
		if e.JobHash == f.Digest {
			f.Revision = e.Revision
		}
	}
	p.Firmwares = append(p.Firmwares, f)
	return f.Number
}

// addBurns adds what was burned, also before the device came from another bench.
func addBurns(seen map[BurnCount]bool, e record.Entry) {
	for _, one := range record.Whole([]record.Entry{e}) {
		if one.Kind != record.BurnSettled {
			continue
		}
		for _, c := range one.Burns {
			if strings.HasPrefix(c.New, "device key") {
				c.New = "device key" // each has its own
			}
			seen[BurnCount{Field: c.Field, Old: c.Old, New: c.New}] = true
		}
	}
}

// newDeviceLine folds a device as it was before index until.
func newDeviceLine(history []record.Entry, until uint64, burned map[BurnCount]int) (*DeviceLine, record.Device) {
	var d record.Device
	line := &DeviceLine{}
	var first record.Fuses
	seen := map[BurnCount]bool{}
	for _, e := range history {
		if e.Index >= until {
			break
		}
		d.Apply(e)
		if first == nil {
			first = e.Fuses
		}
		switch e.Kind {
		case record.Sealed:
			line.Sealed, line.Station, line.Slot, line.Operator = e.Time, e.Station, e.Slot, e.Operator
		case record.LabelPrinted:
			line.Labels++
		case record.BurnSettled, record.Moved:
			addBurns(seen, e)
		}
	}
	for b := range seen {
		burned[b]++
	}
	line.MAC, line.Serial, line.KeyID, line.Visits = d.MAC, d.Serial, d.FlashKey().ID, d.Runs
	line.Verdict, line.Code = d.State()
	if first != nil && d.Fuses != nil {
		line.Before, line.After = first.Block("BLOCK0").String(), d.Fuses.Block("BLOCK0").String()
		line.Block1 = first.Block("BLOCK1").String() + " → " + d.Fuses.Block("BLOCK1").String()
	}
	return line, d
}

// ChartOrder is the order of the charts on the page.
func (p *page) ChartOrder() []string {
	return []string{"throughput", "pareto", "times", "steps", "slots"}
}
