package report

import (
	"io"
	"strconv"
	"time"

	"github.com/xuri/excelize/v2"
)

// sheetRows is how many rows a sheet of a workbook may have, its header among
// them; what is more goes on the next sheet. A variable for tests.
var sheetRows = excelize.TotalRows

// xlsxEncoder writes a workbook. Its rows wait in a temporary file, because a
// sheet's size stands before its contents.
type xlsxEncoder struct {
	out   io.Writer
	file  *excelize.File
	table Table
	sheet *excelize.StreamWriter
	n     int // sheets begun
	rows  int // in this sheet, its header among them
	bold  int // styles
	when  int
	cells []any
}

func newXLSX(w io.Writer, of Export, about [][2]string) (*xlsxEncoder, error) {
	x := &xlsxEncoder{out: w, file: excelize.NewFile(), table: of.Table}
	made := of.Made.UTC().Format(time.RFC3339)
	if err := x.file.SetDocProps(&excelize.DocProperties{Creator: "station", Created: made, Modified: made}); err != nil {
		return nil, err
	}
	bold, err := x.file.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}})
	if err != nil {
		return nil, err
	}
	format := "yyyy-mm-dd hh:mm:ss.000" // in UTC, as the column says
	when, err := x.file.NewStyle(&excelize.Style{CustomNumFmt: &format})
	if err != nil {
		return nil, err
	}
	if x.bold, x.when = bold, when; err == nil {
		err = x.about(about)
	}
	if err == nil {
		err = x.next()
	}
	return x, err
}

// about is the first sheet: what this export is, and what the columns mean.
func (x *xlsxEncoder) about(lines [][2]string) error {
	const name = "About"
	if err := x.file.SetSheetName("Sheet1", name); err != nil {
		return err
	}
	for _, c := range x.table.Columns {
		lines = append(lines, [2]string{c.Name, c.About})
	}
	for i, line := range lines {
		if err := x.file.SetSheetRow(name, "A"+strconv.Itoa(i+1), &[]any{line[0], line[1]}); err != nil {
			return err
		}
	}
	if err := x.file.SetColStyle(name, "A", x.bold); err != nil {
		return err
	}
	return x.file.SetColWidth(name, "A", "A", 16)
}

// next begins a sheet.
func (x *xlsxEncoder) next() error {
	if err := x.finish(); err != nil {
		return err
	}
	name := x.table.Name
	if x.n++; x.n > 1 {
		name += " " + strconv.Itoa(x.n)
	}
	index, err := x.file.NewSheet(name)
	if err != nil {
		return err
	}
	if x.n == 1 {
		x.file.SetActiveSheet(index)
	}
	if x.sheet, err = x.file.NewStreamWriter(name); err != nil {
		return err
	}
	for i, c := range x.table.Columns {
		if err := x.sheet.SetColWidth(i+1, i+1, c.width()); err != nil {
			return err
		}
	}
	if err := x.sheet.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"}); err != nil {
		return err
	}
	x.cells, x.rows = x.cells[:0], 1
	for _, c := range x.table.Columns {
		x.cells = append(x.cells, excelize.Cell{StyleID: x.bold, Value: c.Name})
	}
	return x.sheet.SetRow("A1", x.cells)
}

func (x *xlsxEncoder) row(cells []string) error {
	if x.rows == sheetRows {
		if err := x.next(); err != nil {
			return err
		}
	}
	x.cells = x.cells[:0]
	for i, s := range cells {
		x.cells = append(x.cells, x.cellValue(x.table.Columns[i].Type, s))
	}
	x.rows++
	return x.sheet.SetRow("A"+strconv.Itoa(x.rows), x.cells)
}

// cellValue makes numbers of numbers and dates of times. A text stays one,
// whatever it begins with.
func (x *xlsxEncoder) cellValue(t Type, s string) any {
	if s == "" {
		return nil
	}
	switch t {
	case Number:
		if n, err := strconv.ParseFloat(s, 64); err == nil {
			return n
		}
	case Time:
		if at, err := time.Parse(time.RFC3339, s); err == nil {
			return excelize.Cell{StyleID: x.when, Value: at.UTC()}
		}
	}
	return s
}

// width is how wide a column is shown, in letters: as its cells usually are, and a
// long list cut.
func (c Column) width() float64 {
	usual := map[string]int{"mac": 18, "keyId": 46, "policy": 9, "images": 60, "block0": 64, "block1": 10, "block2": 10, "message": 60, "described": 60,
		"burns": 40, "bootMarker": 30, "id": 34, "jobDigest": 24, "planDigest": 24, "bootDigest": 24, "certificateDigest": 24}
	n := map[Type]int{Text: 16, Number: 8, Time: 24}[c.Type]
	if special, ok := usual[c.Name]; ok {
		n = special
	}
	return float64(max(n, len(c.Name)+4)) // and the arrow of the filter
}

func (x *xlsxEncoder) finish() error {
	if x.sheet == nil {
		return nil
	}
	last, err := excelize.CoordinatesToCellName(len(x.table.Columns), x.rows)
	if err == nil {
		err = x.file.AutoFilter(x.sheet.Sheet, "A1:"+last, nil)
	}
	if err != nil {
		return err
	}
	return x.sheet.Flush()
}

func (x *xlsxEncoder) end() error {
	err := x.finish()
	if err == nil {
		_, err = x.file.WriteTo(x.out)
	}
	if closed := x.file.Close(); err == nil {
		err = closed
	}
	return err
}
