package report

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"station/internal/chip"
	"station/internal/record"
)

// Type is what the cells of a column hold.
type Type string

// The types. A number or time that is absent is an empty cell.
const (
	Text   Type = "text"
	Number Type = "number"
	Time   Type = "time" // RFC 3339 in UTC, to the millisecond
)

// Column is one column of a table. Names and meanings are kept for ever; new
// columns are added at the end, with a new ColumnsVersion.
type Column struct {
	Name  string
	Type  Type
	About string
	since int // the version of the columns that first had it; 0 is 1
}

// ColumnsVersion is the version of all tables' columns.
const ColumnsVersion = 5

// column says where a Column comes from: of appends the text of a cell, made of what
// is told in the row.
type column[T any] struct {
	Column
	of func(b []byte, told T) []byte
}

// simulation stands in the first column of every row of a simulated ledger.
const simulation = "SIMULATION"

const (
	aboutSimulation = "SIMULATION where the ledger is of virtual devices or a throw-away token; otherwise empty"
	aboutKeyID      = "public name of each of the device's keys: policy, token object, check value"
	aboutDigest     = "SHA-256 of the job: settings, fuses and every image"
	aboutImages     = "name@address, version, SHA-256 of the plain image, of its file where it was filled up or changed and, where encrypted, of the flash"
	aboutBlock1     = "state of the key block: empty, written or hidden (read-protected)"
	aboutBlock2     = "empty, hidden or a digest"
	aboutChip       = "family of the chip as jobs name it, such as esp32c3"
)

// deviceRow is a device, what it is by now, and the entry that sealed it last; a zero
// one where none did.
type deviceRow struct {
	*record.Device
	verdict record.Verdict
	code    record.Code
	seal    *record.Entry
}

var deviceColumns = []column[*deviceRow]{
	{Column{"simulation", Text, aboutSimulation, 0}, func(b []byte, d *deviceRow) []byte { return append(b, mark(d.Simulated)...) }},
	{Column{"mac", Text, "factory MAC address, lower case with colons; the order of the rows", 0}, func(b []byte, d *deviceRow) []byte { return appendMAC(b, d.MAC) }},
	{Column{"serial", Text, "serial number bound to the device by a scan", 0}, func(b []byte, d *deviceRow) []byte { return append(b, d.Serial...) }},
	{Column{"verdict", Text, "PASS sealed; SCRAP, QUARANTINE set aside; RETRY, STATION as the last visit ended; BEGUN no verdict", 0}, func(b []byte, d *deviceRow) []byte { return append(b, string(d.verdict)...) }},
	{Column{"code", Text, "failure code (E-…) behind the verdict", 0}, func(b []byte, d *deviceRow) []byte { return append(b, string(d.code)...) }},
	{Column{"keyId", Text, aboutKeyID, 0}, func(b []byte, d *deviceRow) []byte { return append(b, keyIDs(d.Keys)...) }},
	{Column{"policy", Text, "derived, random or shared", 0}, func(b []byte, d *deviceRow) []byte { return append(b, policies(d.Keys)...) }},
	{Column{"job", Text, "name of the product that it was made as", 0}, func(b []byte, d *deviceRow) []byte { return append(b, d.Job...) }},
	{Column{"jobDigest", Text, aboutDigest, 0}, func(b []byte, d *deviceRow) []byte { return append(b, d.JobHash...) }},
	{Column{"batch", Text, "batch in which it was made", 0}, func(b []byte, d *deviceRow) []byte { return append(b, d.Batch...) }},
	{Column{"number", Number, "number taken from the quota of the batch or job", 0}, func(b []byte, d *deviceRow) []byte { return appendCount(b, d.Numbers[d.lot()]) }},
	{Column{"firstSeen", Time, "time of the device's first entry", 0}, func(b []byte, d *deviceRow) []byte { return appendInstant(b, d.Seen) }},
	{Column{"lastEntry", Time, "time of the device's last entry", 0}, func(b []byte, d *deviceRow) []byte { return appendInstant(b, d.Updated) }},
	{Column{"visits", Number, "how often it was put into a slot", 0}, func(b []byte, d *deviceRow) []byte { return strconv.AppendInt(b, int64(d.Runs), 10) }},
	{Column{"sealedAt", Time, "when it was sealed last", 0}, func(b []byte, d *deviceRow) []byte { return appendInstant(b, d.seal.Time) }},
	{Column{"station", Text, "station that sealed it", 0}, func(b []byte, d *deviceRow) []byte { return append(b, d.seal.Station...) }},
	{Column{"slot", Text, "slot in which it was sealed", 0}, func(b []byte, d *deviceRow) []byte { return append(b, d.seal.Slot...) }},
	{Column{"operator", Text, "who was at the line then", 0}, func(b []byte, d *deviceRow) []byte { return append(b, d.seal.Operator...) }},
	{Column{"software", Text, "version of this program then", 0}, func(b []byte, d *deviceRow) []byte { return append(b, d.seal.Software...) }},
	{Column{"images", Text, "what the flash holds: " + aboutImages, 0}, func(b []byte, d *deviceRow) []byte { return appendImages(b, d.Images) }},
	{Column{"block0", Text, "fuse BLOCK0 as read back last, seven words", 0}, func(b []byte, d *deviceRow) []byte { return appendBlock(b, d.Fuses, "BLOCK0") }},
	{Column{"block1", Text, aboutBlock1, 0}, func(b []byte, d *deviceRow) []byte { return appendBlock(b, d.Fuses, "BLOCK1") }},
	{Column{"block2", Text, aboutBlock2, 0}, func(b []byte, d *deviceRow) []byte { return appendBlock(b, d.Fuses, "BLOCK2") }},
	{Column{"first", Number, "index of the device's first entry", 0}, func(b []byte, d *deviceRow) []byte { return strconv.AppendUint(b, d.First, 10) }},
	{Column{"last", Number, "index of the device's last entry", 0}, func(b []byte, d *deviceRow) []byte { return strconv.AppendUint(b, d.Last, 10) }},
	{Column{"id", Text, "what the device is known by later, 32 hexadecimal digits", 3}, func(b []byte, d *deviceRow) []byte { return append(b, d.identity().ID...) }},
	{Column{"certificate", Text, "serial number of its certificate, upper-case hexadecimal digits", 3}, func(b []byte, d *deviceRow) []byte { return append(b, d.certificate().Serial...) }},
	{Column{"certificateDigest", Text, "SHA-256 of its certificate", 3}, func(b []byte, d *deviceRow) []byte { return append(b, d.certificate().SHA256...) }},
	{Column{"issuer", Text, "CA that signed it", 3}, func(b []byte, d *deviceRow) []byte { return append(b, d.certificate().Issuer...) }},
	{Column{"revokedAt", Time, "when the device was revoked, with an identity or without", 3}, func(b []byte, d *deviceRow) []byte { return appendInstant(b, d.identity().Revoked) }},
	{Column{"revision", Text, "revision of the job that it was made as", 4}, func(b []byte, d *deviceRow) []byte { return append(b, d.Revision...) }},
	{Column{"chip", Text, aboutChip, 5}, func(b []byte, d *deviceRow) []byte { return append(b, d.Chip...) }},
}

var entryColumns = []column[*record.Entry]{
	{Column{"simulation", Text, aboutSimulation, 0}, func(b []byte, e *record.Entry) []byte { return append(b, mark(e.Simulated)...) }},
	{Column{"index", Number, "place in the log, from 0; the leaf in the Merkle tree", 0}, func(b []byte, e *record.Entry) []byte { return strconv.AppendUint(b, e.Index, 10) }},
	{Column{"time", Time, "when it was written, by the station's clock", 0}, func(b []byte, e *record.Entry) []byte { return appendInstant(b, e.Time) }},
	{Column{"kind", Text, "what it records, such as device.seen or device.sealed", 0}, func(b []byte, e *record.Entry) []byte { return append(b, string(e.Kind)...) }},
	{Column{"mac", Text, "factory MAC address, lower case with colons", 0}, func(b []byte, e *record.Entry) []byte { return appendMAC(b, e.MAC) }},
	{Column{"serial", Text, "serial number, where it was bound", 0}, func(b []byte, e *record.Entry) []byte { return append(b, e.Serial...) }},
	{Column{"station", Text, "station that wrote it", 0}, func(b []byte, e *record.Entry) []byte { return append(b, e.Station...) }},
	{Column{"slot", Text, "slot of the fixture", 0}, func(b []byte, e *record.Entry) []byte { return append(b, e.Slot...) }},
	{Column{"operator", Text, "who was at the line, or did it", 0}, func(b []byte, e *record.Entry) []byte { return append(b, e.Operator...) }},
	{Column{"software", Text, "version of this program", 0}, func(b []byte, e *record.Entry) []byte { return append(b, e.Software...) }},
	{Column{"job", Text, "name of the product", 0}, func(b []byte, e *record.Entry) []byte { return append(b, e.Job...) }},
	{Column{"revision", Text, "revision of the job", 0}, func(b []byte, e *record.Entry) []byte { return append(b, e.Revision...) }},
	{Column{"jobDigest", Text, aboutDigest, 0}, func(b []byte, e *record.Entry) []byte { return append(b, e.JobHash...) }},
	{Column{"batch", Text, "batch", 0}, func(b []byte, e *record.Entry) []byte { return append(b, e.Batch...) }},
	{Column{"quota", Number, "how many devices the batch or job may have", 0}, func(b []byte, e *record.Entry) []byte { return appendCount(b, e.Quota) }},
	{Column{"number", Number, "number taken from the quota", 0}, func(b []byte, e *record.Entry) []byte { return appendCount(b, e.Number) }},
	{Column{"run", Text, "joins the entries of one visit of a device", 0}, func(b []byte, e *record.Entry) []byte { return append(b, e.Run...) }},
	{Column{"step", Text, "step of the procedure", 0}, func(b []byte, e *record.Entry) []byte { return append(b, e.Step...) }},
	{Column{"stage", Text, "stage of a burn", 0}, func(b []byte, e *record.Entry) []byte { return append(b, e.Stage...) }},
	{Column{"decision", Text, "of an admission: fresh, resume, sealed, quarantine; of a label: print, reprint", 0}, func(b []byte, e *record.Entry) []byte { return append(b, e.Decision...) }},
	{Column{"keyId", Text, "public name of a key: policy, token object, check value", 0}, func(b []byte, e *record.Entry) []byte { return append(b, keyIDs(e.Keys)...) }},
	{Column{"policy", Text, "derived, random or shared", 0}, func(b []byte, e *record.Entry) []byte { return append(b, policies(e.Keys)...) }},
	{Column{"token", Text, "which token made the key, as a PKCS#11 URI", 0}, func(b []byte, e *record.Entry) []byte { return append(b, e.Token...) }},
	{Column{"planDigest", Text, "digest of the burn plan that was approved or burned", 0}, func(b []byte, e *record.Entry) []byte { return append(b, e.Plan...) }},
	{Column{"burns", Text, "fuses to change: FIELD old->new", 0}, func(b []byte, e *record.Entry) []byte { return appendBurns(b, e.Burns) }},
	{Column{"block0", Text, "fuse BLOCK0, seven words", 0}, func(b []byte, e *record.Entry) []byte { return appendBlock(b, e.Fuses, "BLOCK0") }},
	{Column{"block1", Text, aboutBlock1, 0}, func(b []byte, e *record.Entry) []byte { return appendBlock(b, e.Fuses, "BLOCK1") }},
	{Column{"block2", Text, aboutBlock2, 0}, func(b []byte, e *record.Entry) []byte { return appendBlock(b, e.Fuses, "BLOCK2") }},
	{Column{"images", Text, "what was verified in the flash: " + aboutImages, 0}, func(b []byte, e *record.Entry) []byte { return appendImages(b, e.Images) }},
	{Column{"bootDigest", Text, "SHA-256 of the console of a start", 0}, func(b []byte, e *record.Entry) []byte { return append(b, boot(e).Digest...) }},
	{Column{"bootMarker", Text, "the line that proved the start", 0}, func(b []byte, e *record.Entry) []byte { return append(b, boot(e).Marker...) }},
	{Column{"bootSeconds", Number, "from reset to that line", 0}, func(b []byte, e *record.Entry) []byte { return appendBootSeconds(b, e) }},
	{Column{"verdict", Text, "how a visit ended", 0}, func(b []byte, e *record.Entry) []byte { return append(b, string(e.Verdict)...) }},
	{Column{"code", Text, "failure code (E-…)", 0}, func(b []byte, e *record.Entry) []byte { return append(b, string(e.Code)...) }},
	{Column{"message", Text, "what an engineer or a person wrote", 0}, func(b []byte, e *record.Entry) []byte { return append(b, e.Message...) }},
	{Column{"seconds", Number, "how long the step or visit took", 0}, func(b []byte, e *record.Entry) []byte { return appendDecimal(b, e.Seconds) }},
	{Column{"clockBack", Number, "by how many seconds the clock had run backwards", 0}, func(b []byte, e *record.Entry) []byte { return appendDecimal(b, e.ClockBack) }},
	{Column{"described", Text, "of an approval: everything that was approved, item after item", 2}, func(b []byte, e *record.Entry) []byte { return append(b, strings.Join(e.Described, "; ")...) }},
	{Column{"lineOperator", Text, "of an approval: who was going to work with it", 2}, func(b []byte, e *record.Entry) []byte { return append(b, e.LineOperator...) }},
	{Column{"undeclared", Text, "UNDECLARED where nobody had opened the batch and the station allowed that", 2}, func(b []byte, e *record.Entry) []byte { return append(b, undeclared(e.Undeclared)...) }},
	{Column{"second", Text, "of a release or a recovered key: the second person, where two did it", 4}, func(b []byte, e *record.Entry) []byte { return append(b, second(e)...) }},
	{Column{"chip", Text, aboutChip + "; entries of old have none, and are of an esp32", 5}, func(b []byte, e *record.Entry) []byte { return append(b, chipName(e)...) }},
}

// cells is a row of a table. It has nothing of what it is made of: its cells are parts of
// one text.
func cells[T any](columns []column[T], told T) []string {
	m := rowMemories.Get().(*rowMemory)
	defer rowMemories.Put(m)
	var ends [maxColumns]int
	b := m.cells[:0]
	for i, c := range columns {
		b = c.of(b, told)
		ends[i] = len(b)
	}
	m.cells = b
	row, all, from := m.row(len(columns)), m.text(b), 0
	for i := range row {
		row[i], from = all[from:ends[i]], ends[i]
	}
	return row
}

// maxColumns is as many as a table may have.
const maxColumns = 64

// rowMemory is memory for rows: asked for in pieces of which each is enough for some.
type rowMemory struct {
	cells []byte // of a row that is being made
	rows  []string
	texts *strings.Builder
}

// What a piece has: bytes of text, and cells.
const (
	rowText  = 16 << 10
	rowCells = 16 * maxColumns
)

var rowMemories = sync.Pool{New: func() any { return &rowMemory{texts: new(strings.Builder)} }}

// row is a row of n empty cells, with room for one more: a site adds the bench.
func (m *rowMemory) row(n int) []string {
	if len(m.rows) < n+1 {
		m.rows = make([]string, rowCells)
	}
	row := m.rows[: n : n+1]
	m.rows = m.rows[n+1:]
	return row
}

func (m *rowMemory) text(b []byte) string {
	if m.texts.Cap()-m.texts.Len() < len(b) { // those who hold the old piece keep it
		m.texts = new(strings.Builder)
		m.texts.Grow(max(rowText, len(b)))
	}
	from := m.texts.Len()
	m.texts.Write(b)
	return m.texts.String()[from:]
}

func mark(simulated bool) string {
	if simulated {
		return simulation
	}
	return ""
}

func undeclared(yes bool) string {
	if yes {
		return "UNDECLARED"
	}
	return ""
}

// appendCount appends a number that is absent where it is zero.
func appendCount(b []byte, n int) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(b, int64(n), 10)
}

// appendDecimal appends a number as entries have it; zero is absent.
func appendDecimal(b []byte, f float64) []byte {
	if f == 0 {
		return b
	}
	text, _ := json.Marshal(f) // entries have no others
	return append(b, text...)
}

// appendInstant gives every time the same form.
func appendInstant(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	t = t.UTC()
	b = t.AppendFormat(b, time.RFC3339) // the one layout that is quick
	milli := t.Nanosecond() / int(time.Millisecond)
	return append(b[:len(b)-1], '.', byte('0'+milli/100), byte('0'+milli/10%10), byte('0'+milli%10), 'Z')
}

func appendMAC(b []byte, m chip.MAC) []byte {
	if m.IsZero() {
		return b
	}
	return m.Append(b)
}

// appendBlock appends a block of fuses as Block.String tells it.
func appendBlock(b []byte, f record.Fuses, name string) []byte {
	block := f.Block(name)
	if block.Words == nil {
		return append(b, block.String()...)
	}
	for i, word := range block.Words {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, word...)
	}
	return b
}

func (d *deviceRow) lot() string {
	return record.Entry{Batch: d.Batch, Job: d.Job, Simulated: d.Simulated}.Lot()
}

func (d *deviceRow) identity() record.Identity {
	if d.Identity == nil {
		return record.Identity{}
	}
	return *d.Identity
}

func (d *deviceRow) certificate() record.Certificate {
	if c := d.identity().Certificate; c != nil {
		return *c
	}
	return record.Certificate{}
}

func chipName(e *record.Entry) string {
	if e.Identity == nil {
		return ""
	}
	return e.Identity.Chip
}

func boot(e *record.Entry) record.Boot {
	if e.Boot == nil {
		return record.Boot{}
	}
	return *e.Boot
}

func appendBootSeconds(b []byte, e *record.Entry) []byte {
	if e.Boot != nil && e.Boot.Seconds == 0 {
		return append(b, '0')
	}
	return appendDecimal(b, boot(e).Seconds)
}

// second is the second person who did what the entry tells of.
func second(e *record.Entry) string {
	var about struct{ Second string }
	if e.About == nil || json.Unmarshal(e.About, &about) != nil {
		return ""
	}
	return about.Second
}

func keyIDs(keys []record.Key) string {
	return joined(keys, func(k record.Key) string { return k.ID })
}

func policies(keys []record.Key) string {
	return joined(keys, func(k record.Key) string { return k.Policy })
}

func joined(keys []record.Key, field func(record.Key) string) (all string) {
	for _, k := range keys {
		switch text := field(k); {
		case all == "":
			all = text
		case text != "":
			all += "; " + text
		}
	}
	return all
}

// Images and burns are lists of which a few fields are told.

func appendImages(b []byte, list []record.Image) []byte {
	for i, image := range list {
		b = append(append(separate(b, i), image.Name...), "@0x"...)
		b = strconv.AppendUint(b, uint64(image.Address), 16)
		b = appendNamed(b, " version ", image.Version)
		b = appendNamed(b, " plain ", image.Plain)
		b = appendNamed(b, " file ", image.File)
		if image.Encrypted {
			b = appendNamed(b, " flash ", image.Flash)
		}
	}
	return b
}

func appendBurns(b []byte, list []record.FuseChange) []byte {
	for i, c := range list {
		b = append(append(append(append(append(separate(b, i), c.Field...), ' '), c.Old...), "->"...), c.New...)
	}
	return b
}

// separate appends what stands in front of element i of a list.
func separate(b []byte, i int) []byte {
	if i == 0 {
		return b
	}
	return append(b, "; "...)
}

func appendNamed(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return append(append(b, name...), value...)
}
