package firmware

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"station/internal/chip"
)

// The CSV is what ESP-IDF's generator reads: name, type, subtype, offset, size
// and flags; numbers decimal, 0x, 0o or 0b with K or M behind; lines that are
// empty or begin with # do not count; further columns are ignored. A byte order
// mark is dropped, and lines end as spreadsheets and Python end them.
// (ESP-IDF, Partition Tables; gen_esp32part.py of 5.4)

// row is a line of the CSV before its place is known.
type row struct {
	Partition
	offset, size int64
	auto         bool // no offset given
	broken       bool // has a fault already
}

const unknown = int64(math.MinInt64)

// ParseCSV reads and checks a table. file is for faults.
func ParseCSV(file string, b []byte, o TableOptions) (*Table, error) {
	f := &faults{file: file}
	t := &Table{Offset: o.offset(), file: file, chip: chip.Known(o.Chip)}
	var rows []row
	if utf16(b) {
		f.add("the file is UTF-16; save it as CSV UTF-8")
		return t, f.err()
	}
	for n, line := range csvLines(b) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		r := row{Partition: Partition{line: n + 1}}
		before := len(f.list)
		if line = expand(line, o.Env, func(name string) {
			f.at(n+1, "$%s is not set in the environment", name)
		}); line != "" && !strings.HasPrefix(line, "#") {
			r.parse(line, t, f)
			r.broken = len(f.list) > before
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		f.add("the table has no partitions")
	}
	t.place(rows, f)
	t.check(f, o)
	return t, f.err()
}

// utf16 reports the byte order marks of "Unicode text" from a spreadsheet.
func utf16(b []byte) bool {
	return bytes.HasPrefix(b, []byte{0xff, 0xfe}) || bytes.HasPrefix(b, []byte{0xfe, 0xff})
}

// lineEnds are the characters at which Python's splitlines ends a line.
const lineEnds = "\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029"

// csvLines takes a text apart as str.splitlines does; \r\n is one end.
func csvLines(b []byte) []string {
	text := strings.TrimPrefix(string(b), "\ufeff")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	var lines []string
	for {
		end := strings.IndexAny(text, lineEnds)
		if end < 0 {
			return append(lines, text)
		}
		_, size := utf8.DecodeRuneInString(text[end:])
		lines = append(lines, text[:end])
		text = text[end+size:]
	}
}

// expand replaces $NAME and ${NAME}.
func expand(line string, env func(string) (string, bool), missing func(string)) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(line, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		name, after := variable(rest)
		switch value, ok := lookup(env, name); {
		case name == "":
			out.WriteByte('$')
		case ok:
			out.WriteString(value)
		default:
			missing(name)
		}
		line = after
	}
}

// variable splits what follows a $ into a name and the rest.
func variable(s string) (name, rest string) {
	if inner, ok := strings.CutPrefix(s, "{"); ok {
		if name, rest, ok := strings.Cut(inner, "}"); ok && name != "" {
			return name, rest
		}
		return "", s
	}
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] >= 'A' && s[n] <= 'Z' || s[n] >= 'a' && s[n] <= 'z' || n > 0 && s[n] >= '0' && s[n] <= '9') {
		n++
	}
	return s[:n], s[n:]
}

func lookup(env func(string) (string, bool), name string) (string, bool) {
	if env == nil || name == "" {
		return "", false
	}
	return env(name)
}

// parse reads the columns of one line.
func (r *row) parse(line string, t *Table, f *faults) {
	column := strings.Split(line+",,,,,", ",")
	for n := range column {
		column[n] = strings.TrimSpace(column[n])
	}
	fault := func(format string, args ...any) { f.at(r.line, format, args...) }
	r.setName(column[0], t, fault)
	if column[1] == "" {
		fault("%s has no type; use one of %s or a number from 0x40 to 0xfe", r.Name, words(types))
		r.offset, r.size = unknown, unknown
		return
	}
	if v, ok := number(column[1]); ok {
		r.Type = Type(inByte(v, "type", 0xfe, fault))
	} else if r.Type, ok = types[strings.ToLower(column[1])]; !ok {
		fault("type %q is not known; use one of %s or a number from 0x40 to 0xfe", column[1], words(types))
		r.offset, r.size = unknown, unknown
		return
	}
	r.parseSubtype(column[2], fault)
	r.parsePlace(column[3], column[4], t, fault)
	for _, name := range strings.Split(column[5], ":") {
		r.setFlag(name, fault)
	}
}

func (r *row) setName(name string, t *Table, fault func(string, ...any)) {
	r.Name = name
	if name == "" {
		fault("the partition has no name")
	}
	if len(name) <= labelSize {
		if len(name) == labelSize {
			t.warn("line %d: %s has 16 characters; ESP-IDF promises 15", r.line, name)
		}
		return
	}
	r.Name = name[:labelSize]
	if !utf8.ValidString(r.Name) {
		fault("the name %q is longer than 16 bytes and would be cut within a character; shorten it", name)
	}
	t.warn("line %d: the name %s is cut to %s", r.line, name, r.Name)
}

func (r *row) parseSubtype(s string, fault func(string, ...any)) {
	if s == "" {
		if r.Type == TypeApp {
			fault("the app partition %s has no subtype; use %s", r.Name, appSubtypeWords)
		}
		r.Subtype = dataUndefined
		return
	}
	if v, ok := number(s); ok {
		r.Subtype = inByte(v, "subtype", 0xff, fault)
		return
	}
	known := subtypes[r.Type]
	v, ok := known[strings.ToLower(s)]
	switch {
	case ok:
		r.Subtype = v
	case r.Type == TypeApp:
		fault("subtype %q of type app is not known; use %s, or a number", s, appSubtypeWords)
	case known == nil:
		fault("subtype %q of type %v is not known; use a number from 0 to 0xff", s, r.Type)
	default:
		fault("subtype %q of type %v is not known; use one of %s, or a number", s, r.Type, words(known))
	}
}

func (r *row) setFlag(name string, fault func(string, ...any)) {
	for _, flag := range flags {
		if flag.name == name {
			r.Flags |= flag.bit
			return
		}
	}
	if name != "" {
		fault("flag %q is not known; use encrypted or readonly, or both as encrypted:readonly", name)
	}
}

// parsePlace reads offset and size. The bootloader and the table itself, where
// a CSV lists them, have the place and size that they have anyway.
func (r *row) parsePlace(offset, size string, t *Table, fault func(string, ...any)) {
	switch {
	case r.fixed() && r.Type == TypeBootloader:
		r.offset = int64(t.chip.Bootloader)
	case r.fixed():
		r.offset = int64(t.Offset)
	default:
		r.offset, r.auto = parseSize(offset, "offset", fault)
	}
	var empty bool
	switch r.Type {
	case TypeBootloader:
		r.size = int64(t.Offset) - int64(t.chip.Bootloader)
	case TypeTable:
		r.size = SectorSize
	default:
		if r.size, empty = parseSize(size, "size", fault); empty {
			r.size = unknown
			fault("%s has no size; write one like 64K", r.Name)
		}
	}
}

// parseSize reads an offset or a size; empty reports that none is given. A
// value that is no number is a fault and unknown.
func parseSize(s, what string, fault func(string, ...any)) (v int64, empty bool) {
	if s == "" {
		return 0, true
	}
	v, ok := number(s)
	if !ok || v > math.MaxUint32 || v < -math.MaxUint32 || v < 0 && what == "offset" {
		fault("%s %q is not a number like 0x10000, 64K or 1M", what, s)
		return unknown, false
	}
	return v, false
}

func inByte(v int64, what string, highest int64, fault func(string, ...any)) byte {
	if v < 0 || v > highest {
		fault("%s %d is out of range; use 0 to %#x", what, v, highest)
	}
	return byte(v)
}

// number reads an integer as the generator does: K and M multiply, a leading
// zero is not octal.
func number(s string) (int64, bool) {
	unit := int64(1)
	for strings.ContainsAny(s[max(0, len(s)-1):], "kKmM") {
		unit <<= 10
		if strings.ContainsAny(s[len(s)-1:], "mM") {
			unit <<= 10
		}
		if s = strings.TrimSpace(s[:len(s)-1]); unit > 1<<30 {
			return 0, false
		}
	}
	if digits := strings.TrimLeft(s, "+-"); len(digits) > 1 && digits[0] == '0' &&
		strings.ContainsAny(digits[1:2], "_0123456789") && strings.Trim(digits, "_0") != "" {
		return 0, false
	}
	v, err := strconv.ParseInt(s, 0, 64)
	if err != nil || v > math.MaxInt64/unit || v < -math.MaxInt64/unit {
		return 0, false
	}
	return v * unit, true
}

// place resolves automatic offsets and negative sizes, and finds lines that
// are out of order. After a broken line the next place is not known until a
// line gives its offset.
func (t *Table) place(rows []row, f *faults) {
	next, before := int64(t.Offset)+SectorSize, "the partition table"
	for _, r := range rows {
		if !r.fixed() {
			r.follow(&next, before, f)
			before = r.Name
		}
		if r.broken || r.offset == unknown || r.size == unknown {
			continue
		}
		if r.offset > math.MaxUint32 || r.offset+r.size > math.MaxUint32+1 {
			f.at(r.line, "%s ends beyond 4 GiB", r.Name)
			continue
		}
		r.Offset, r.Size = uint32(r.offset), uint32(r.size)
		t.Partitions = append(t.Partitions, r.Partition)
	}
}

// follow puts one row behind the others and moves next to its end.
func (r *row) follow(next *int64, before string, f *faults) {
	switch {
	case r.auto && *next == unknown:
		r.offset = unknown
	case r.auto:
		align := r.Type.alignment()
		r.offset = (*next + align - 1) / align * align
	case r.offset != unknown && *next != unknown && r.offset < *next:
		f.at(r.line, "%s at %#x overlaps %s, which ends at %#x; leave the offset empty, or list partitions by rising offset",
			r.Name, r.offset, before, *next)
		r.misplaced = true
	}
	if r.size < 0 && r.size != unknown && r.offset != unknown {
		end := -r.size
		if r.size = end - r.offset; r.size <= 0 {
			f.at(r.line, "%s is to end at %#x, but begins at %#x", r.Name, end, r.offset)
			r.size = unknown
		}
	}
	*next = unknown
	if r.offset != unknown && r.size != unknown {
		*next = r.offset + r.size
	}
}
