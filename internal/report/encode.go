package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Format is the form of an export.
type Format string

// The formats.
const (
	CSV   Format = "csv"   // RFC 4180, UTF-8, a header line
	JSONL Format = "jsonl" // one JSON object a line
	XLSX  Format = "xlsx"  // Office Open XML workbook
)

// Formats are all formats.
var Formats = []Format{CSV, JSONL, XLSX}

// encoder writes one table. Nothing is kept of a row.
type encoder interface {
	row(cells []string) error
	end() error
}

// bom says that a CSV is UTF-8 to spreadsheets that else take it for the machine's
// own encoding.
const bom = "\ufeff"

func newEncoder(x Export, w io.Writer, about [][2]string) (encoder, error) {
	f, t := x.Format, x.Table
	switch f {
	case CSV:
		if x.BOM {
			if _, err := io.WriteString(w, bom); err != nil {
				return nil, err
			}
		}
		return newCSV(w, t)
	case JSONL:
		return newJSONL(w, t), nil
	case XLSX:
		return newXLSX(w, x, about)
	}
	return nil, fmt.Errorf("no format %q; there are csv, jsonl and xlsx", f)
}

type csvEncoder struct {
	w       *bufio.Writer
	columns []Column
	line    []byte
}

func newCSV(w io.Writer, t Table) (*csvEncoder, error) {
	c := &csvEncoder{w: bufio.NewWriterSize(w, 1<<16), columns: t.Columns}
	var head []string
	for _, column := range t.Columns {
		head = append(head, column.Name)
	}
	return c, c.row(head)
}

func (c *csvEncoder) row(cells []string) error {
	b := c.line[:0]
	for i, s := range cells {
		if i > 0 {
			b = append(b, ',')
		}
		if c.columns[i].Type == Text {
			s = disarm(s)
		}
		b = appendCSV(b, s)
	}
	c.line = append(b, '\n')
	_, err := c.w.Write(c.line)
	return err
}

// appendCSV writes a cell as encoding/csv does, in a third of the time.
func appendCSV(b []byte, s string) []byte {
	if !quotedInCSV(s) {
		return append(b, s...)
	}
	return append(append(append(b, '"'), strings.ReplaceAll(s, `"`, `""`)...), '"')
}

func quotedInCSV(s string) bool {
	if s == "" {
		return false
	}
	first, _ := utf8.DecodeRuneInString(s)
	return unicode.IsSpace(first) || s == `\.` ||
		strings.IndexByte(s, ',') >= 0 || strings.IndexByte(s, '"') >= 0 || strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0
}

// disarm puts an apostrophe before a text that a spreadsheet would take for a
// formula: serial numbers and names come from scanners and people.
func disarm(s string) string {
	if s != "" && strings.IndexByte("=+-@\t\r", s[0]) >= 0 {
		return "'" + s
	}
	return s
}

func (c *csvEncoder) end() error { return c.w.Flush() }

type jsonlEncoder struct {
	w     *bufio.Writer
	keys  []string // `{"simulation":`, `,"mac":`, ...
	types []Type
	line  []byte
}

func newJSONL(w io.Writer, t Table) *jsonlEncoder {
	j := &jsonlEncoder{w: bufio.NewWriterSize(w, 1<<16)}
	before := "{"
	for _, c := range t.Columns {
		j.keys, j.types = append(j.keys, before+`"`+c.Name+`":`), append(j.types, c.Type)
		before = ","
	}
	return j
}

func (j *jsonlEncoder) row(cells []string) error {
	b := j.line[:0]
	for i, s := range cells {
		b = append(b, j.keys[i]...)
		switch {
		case j.types[i] == Text:
			b = appendString(b, s)
		case s == "":
			b = append(b, "null"...)
		case j.types[i] == Number:
			b = append(b, s...)
		default:
			b = append(append(append(b, '"'), s...), '"')
		}
	}
	j.line = append(b, "}\n"...)
	_, err := j.w.Write(j.line)
	return err
}

// appendString writes a JSON string, the usual ones without a detour.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, _ := json.Marshal(s) // a string always marshals
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func (j *jsonlEncoder) end() error { return j.w.Flush() }
