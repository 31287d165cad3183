package report

import (
	"fmt"
	"iter"
	"strings"
	"sync"

	"station/internal/ledger"
	"station/internal/record"
)

// Table is one kind of export.
type Table struct {
	Name    string
	About   string
	Columns []Column
	rows    func(*ledger.Ledger, uint64, Filter) iter.Seq2[[]string, error]
}

// width is how many columns the table had in a version of them.
func (t Table) width(version int) (n int) {
	for _, c := range t.Columns {
		if c.since <= version {
			n++
		}
	}
	return n
}

// Tables are all that can be exported; the first is the usual one.
var Tables = []Table{
	{"devices", "One row for each device: what it is by now.", columnsOf(deviceColumns), deviceRows},
	{"entries", "One row for each entry of the log, in its order.", columnsOf(entryColumns), entryRows},
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

func columnsOf[T any](list []column[T]) []Column {
	var out []Column
	for _, c := range list {
		out = append(out, c.Column)
	}
	return out
}

// entryRows yields the wanted entries before index size.
func entryRows(l *ledger.Ledger, size uint64, f Filter) iter.Seq2[[]string, error] {
	f = f.of(l)
	return func(yield func([]string, error) bool) {
		n := uint64(0)
		for row, err := range ledger.Scan(l, 0, f.entryRow) {
			if n++; n > size && err == nil {
				return
			}
			if (row != nil || err != nil) && !yield(row, err) {
				return
			}
		}
	}
}

// entryRow is nil for an entry that is not wanted.
func (f Filter) entryRow(raw []byte) ([]string, error) {
	r := entryReaders.Get().(*entryReader)
	defer entryReaders.Put(r)
	if r.read.Full(raw) {
		r.read.Again() // of the entries before there are only their rows
	}
	err := r.read.Decode(raw, &r.e, record.Without{})
	if err != nil || !f.wantsEntry(&r.e) {
		return nil, err
	}
	return cells(entryColumns, &r.e), nil
}

// entryReader reads entries one after the other, in the same memory.
type entryReader struct {
	read record.Reader
	e    record.Entry
}

var entryReaders = sync.Pool{New: func() any { return new(entryReader) }}
