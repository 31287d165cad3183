package report

import (
	"fmt"
	"iter"
	"strings"

	"github.com/tidwall/gjson"

	"station/internal/ledger"
)

// Table is one kind of export.
type Table struct {
	Name    string
	About   string
	Columns []Column
	rows    func(*ledger.Ledger, uint64, Filter) iter.Seq2[[]string, error]
	list    []column
}

// width is how many columns the table had in a version of them.
func (t Table) width(version int) (n int) {
	for _, c := range t.list {
		if c.since <= version {
			n++
		}
	}
	return n
}

// Tables are all that can be exported; the first is the usual one.
var Tables = []Table{
	{"devices", "One row for each device: what it is by now.", columnsOf(deviceColumns), deviceRows, deviceColumns},
	{"entries", "One row for each entry of the log, in its order.", columnsOf(entryColumns), entryRows, entryColumns},
}

// FindTable finds a table by its name.
func FindTable(name string) (Table, error) {
	var names []string
	for _, t := range Tables {
		if t.Name == name {
			return t, nil
		}
		names = append(names, t.Name)
	}
	return Table{}, fmt.Errorf("no table %q; there are %s", name, strings.Join(names, ", "))
}

func columnsOf(list []column) []Column {
	var out []Column
	for _, c := range list {
		out = append(out, c.Column)
	}
	return out
}

// row is the cells of a row, filled from stored JSON without decoding all of
// it: an export reads a few fields of very many objects. It is used again for
// the next row.
type row struct {
	columns []column
	places  map[string][]int // of the columns that a field fills
	cells   []string
	found   map[string]gjson.Result // other fields that were asked for
}

func newRow(columns []column) *row {
	r := &row{columns: columns, places: map[string][]int{}, cells: make([]string, len(columns)), found: map[string]gjson.Result{}}
	for i, c := range columns {
		r.places[c.field] = append(r.places[c.field], i)
	}
	return r
}

func (r *row) clear() {
	clear(r.cells)
	clear(r.found)
}

// fill sets the columns of the object's fields, which are known under a prefix,
// and keeps the fields named in also.
func (r *row) fill(object []byte, prefix string, also map[string]bool) {
	gjson.ParseBytes(object).ForEach(func(name, value gjson.Result) bool {
		field := name.Str
		if also[field] {
			r.found[field] = value
		}
		if prefix != "" {
			field = prefix + field
		}
		for _, i := range r.places[field] {
			r.cells[i] = r.columns[i].value(value)
		}
		if column := fieldsOf1[field]; column != "" && len(r.places[field]) == 0 {
			r.set(column, plain(value))
		}
		return true
	})
}

// set sets a column by its name.
func (r *row) set(name, value string) {
	for i, c := range r.columns {
		if c.Name == name {
			r.cells[i] = value
		}
	}
}

// cell returns a column by its name.
func (r *row) cell(name string) string {
	for i, c := range r.columns {
		if c.Name == name {
			return r.cells[i]
		}
	}
	return ""
}

// entryRows yields the wanted entries before index size.
func entryRows(l *ledger.Ledger, size uint64, f Filter) iter.Seq2[[]string, error] {
	f = f.of(l)
	return func(yield func([]string, error) bool) {
		r, n := newRow(entryColumns), uint64(0)
		for raw, err := range l.Lines(0) {
			if err != nil {
				yield(nil, err)
				return
			}
			if n++; n > size {
				return
			}
			r.clear()
			r.fill(raw, "", nil)
			if f.row(r, "time") && !yield(r.cells, nil) {
				return
			}
		}
	}
}
