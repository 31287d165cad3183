package report

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
)

// benchColumn comes behind the columns of a table where it is of a whole site.
var benchColumn = Column{Name: "bench", Type: Text, About: "bench of the site whose ledger says so"}

// SiteExport is an export of all benches of a site. Proof it has none: it names each
// bench's ledger, of which the device's own proof is made.
type SiteExport struct {
	Export
	Site    string
	Benches []Bench // at least one
}

// Write writes the table: devices once, as the bench has them whose devices they are, in
// the order of their MACs; entries bench after bench. It returns how many rows there are.
func (x SiteExport) Write(w io.Writer) (rows uint64, err error) {
	of := x.entryRows
	if x.Table.Name == Tables[0].Name {
		of = x.deviceRows
	}
	x.Table.Columns = append(slices.Clip(x.Table.Columns), benchColumn)
	enc, err := newEncoder(x.Export, w, x.about())
	if err != nil {
		return 0, fmt.Errorf("export: %w", err)
	}
	for row, err := range of() {
		if err == nil {
			err = enc.row(row)
		}
		if err != nil {
			return rows, fmt.Errorf("export: row %d: %w", rows+1, err)
		}
		if rows++; x.Progress != nil {
			x.Progress(rows)
		}
	}
	if err := enc.end(); err != nil {
		return rows, fmt.Errorf("export: %w", err)
	}
	return rows, nil
}

// about is what the export says of itself, for people.
func (x SiteExport) about() [][2]string {
	lines := [][2]string{
		{"station", "export of the table of " + x.Table.Name},
		{"of", x.Filter.String()},
		{"site", x.Site},
		{"made", x.Made.UTC().Format(time.RFC3339)},
		{"software", x.Software},
		{"columns", "version " + strconv.Itoa(ColumnsVersion)},
	}
	for _, b := range x.Benches {
		lines = append(lines, [2]string{b.Name, fmt.Sprintf("%s, %s, root %s", b.Ledger.Origin(), plain.Count(b.Size, "entry"), b.Root)})
	}
	return lines
}

// entryRows yields the wanted entries of one bench after the other.
func (x SiteExport) entryRows() iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		for _, b := range x.Benches {
			first, end := b.Within(x.Filter.From, x.Filter.To)
			f, n := x.Filter.of(b.Ledger), first
			for row, err := range ledger.Scan(b.Ledger, first, f.entryRow) {
				if n++; n > min(end, b.Size) && err == nil {
					break
				}
				if (row != nil || err != nil) && !yield(append(row, b.Name), err) {
					return
				}
			}
		}
	}
}

// siteRow is a device as a bench has it; row is nil where it is not wanted.
type siteRow struct {
	mac   chip.MAC
	claim record.Claim
	row   []string
}

// deviceRows merges the devices of all benches, which come in the order of their MACs.
func (x SiteExport) deviceRows() iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		m, err := newMerge(x)
		defer m.stop()
		for err == nil {
			var row []string
			var more bool
			if row, more, err = m.next(); err != nil || !more {
				break
			}
			if row != nil && !yield(row, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// merge holds the next device of each bench.
type merge struct {
	at []*stream
}

type stream struct {
	bench string
	now   siteRow
	pull  func() (siteRow, error, bool)
	end   func()
}

func newMerge(x SiteExport) (*merge, error) {
	m := &merge{}
	for _, b := range x.Benches {
		f := x.Filter.of(b.Ledger)
		s := &stream{bench: b.Name}
		s.pull, s.end = iter.Pull2(devicesOf(b.Ledger, b.Size, func(d *record.Device, entries []record.Entry) siteRow {
			return siteRow{d.MAC, d.Claim(), f.deviceRow(d, entries)}
		}))
		m.at = append(m.at, s)
	}
	for _, s := range slices.Clone(m.at) {
		if err := m.step(s); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m *merge) stop() {
	for _, s := range m.at {
		s.end()
	}
}

// step goes to the next device of a bench, which is left out when it has no more.
func (m *merge) step(s *stream) error {
	now, err, more := s.pull()
	if s.now = now; err != nil {
		return fmt.Errorf("%s: %w", s.bench, err)
	}
	if !more {
		m.at = slices.DeleteFunc(m.at, func(o *stream) bool { return o == s })
	}
	return nil
}

// next is the row of the next device, of the bench whose device it is; nil if it is not
// wanted.
func (m *merge) next() (row []string, more bool, err error) {
	if len(m.at) == 0 {
		return nil, false, nil
	}
	first := m.at[0]
	for _, s := range m.at[1:] {
		if c := bytes.Compare(s.now.mac[:], first.now.mac[:]); c < 0 || c == 0 && s.now.claim.Elder(first.now.claim) < 0 {
			first = s
		}
	}
	mac := first.now.mac
	if first.now.row != nil {
		row = append(first.now.row, first.bench)
	}
	for i := len(m.at) - 1; i >= 0; i-- { // step may take it away
		if s := m.at[i]; s.now.mac == mac {
			if err := m.step(s); err != nil {
				return nil, false, err
			}
		}
	}
	return row, true, nil
}
