package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"station/internal/filefault"
	"station/internal/secret"
)

// Template is a CSV in the form of ESP-IDF's NVS partition generator, in whose
// values placeholders stand for those of a device.
type Template struct {
	file string
	rows []row
}

// row is one line of the CSV.
type row struct {
	line                       int
	key, kind, encoding, value string
	data                       []byte // of a row of type file
}

var columns = []string{"key", "type", "encoding", "value"}

// ParseTemplate reads a template. read gives the files that it names, by their
// paths beside it. The error has every fault.
func ParseTemplate(file string, data []byte, read func(path string) ([]byte, error)) (*Template, error) {
	t := &Template{file: file}
	var faults []error
	add := func(line int, column, format string, args ...any) {
		faults = append(faults, &filefault.Fault{File: file, Line: line, Key: column, Text: fmt.Sprintf(format, args...)})
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord, r.TrimLeadingSpace, r.Comment = -1, true, '#'
	names := map[string]int{} // where a key of the namespace was
	for head := true; ; head = false {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		line, _ := r.FieldPos(0)
		if parse := (*csv.ParseError)(nil); errors.As(err, &parse) {
			add(parse.Line, "", "%v", parse.Err)
			break
		}
		if head {
			if !slices.Equal(trimmed(fields), columns) {
				add(line, "", "the first row is %q; write %s", strings.Join(fields, ","), strings.Join(columns, ","))
				break
			}
			continue
		}
		if len(fields) != len(columns) {
			add(line, "", "the row has %d columns, want %d: %s", len(fields), len(columns), strings.Join(columns, ","))
			continue
		}
		f := trimmed(fields)
		x := row{line: line, key: f[0], kind: f[1], encoding: f[2], value: fields[3]}
		x.check(len(t.rows) == 0, names, func(column, format string, args ...any) { add(line, column, format, args...) })
		if x.kind == "file" && read != nil {
			path := x.value
			if !filepath.IsAbs(path) {
				path = filepath.Join(filepath.Dir(file), path)
			}
			if x.data, err = read(path); err != nil {
				add(line, "value", "%v", err)
			}
		}
		t.rows = append(t.rows, x)
	}
	if len(faults) == 0 && len(t.rows) == 0 {
		add(1, "", "the template has no rows")
	}
	return t, errors.Join(faults...)
}

func trimmed(fields []string) (out []string) {
	for _, f := range fields {
		out = append(out, strings.TrimSpace(f))
	}
	return out
}

// check checks what no device is needed for. names are the keys of the
// namespace so far.
func (x row) check(first bool, names map[string]int, add func(column, format string, args ...any)) {
	switch {
	case x.key == "":
		add("key", "is empty")
	case len(x.key) > maxKey:
		add("key", "%q has %d characters; NVS takes at most %d", x.key, len(x.key), maxKey)
	case x.kind != "namespace" && names[x.key] != 0:
		add("key", "%q stands in line %d already", x.key, names[x.key])
	}
	switch x.kind {
	case "namespace":
		clear(names)
		return
	case "data", "file":
	default:
		add("type", "%q is not known; write namespace, data or file", x.kind)
		return
	}
	names[x.key] = x.line
	if first {
		add("type", "the first row is no namespace; write a row KEY,namespace,, before it")
	}
	known := encodings
	if x.kind == "file" {
		known = fileEncodings
	}
	if !slices.Contains(known, x.encoding) {
		add("encoding", "%q is not known for type %s; write one of %s", x.encoding, x.kind, strings.Join(known, ", "))
		return
	}
	if x.kind == "data" && !strings.Contains(x.value, "{") {
		if _, err := x.bytes(&Values{}); err != nil {
			add("value", "%v", err)
		}
	}
}

// numbers are the encodings of numbers, by their sizes in bytes, negative for
// signed ones.
var numbers = map[string]int{"u8": 1, "i8": -1, "u16": 2, "i16": -2, "u32": 4, "i32": -4, "u64": 8, "i64": -8}

var (
	encodings     = []string{"u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "string", "hex2bin", "base64", "binary"}
	fileEncodings = []string{"string", "hex2bin", "base64", "binary"}
)

// bytes are the value of a row for a device. The caller overwrites them.
func (x row) bytes(v *Values) ([]byte, error) {
	if x.kind == "file" {
		return x.decoded(slices.Clone(x.data))
	}
	b, err := expand(x.value, x.encoding == "binary", v)
	if err != nil {
		return nil, err
	}
	return x.decoded(b)
}

// decoded turns the text of a value into what is stored.
func (x row) decoded(text []byte) ([]byte, error) {
	if size, ok := numbers[x.encoding]; ok {
		_, err := number(string(text), size)
		return text, err
	}
	switch x.encoding {
	case "string":
		if len(text)+1 > maxString {
			return text, fmt.Errorf("the string has %d bytes; NVS takes at most %d with its final zero", len(text), maxString)
		}
		return append(text, 0), nil
	case "hex2bin":
		text = bytes.TrimSpace(bytes.ReplaceAll(text, []byte(":"), nil))
		n, err := hex.Decode(text, text)
		if err != nil {
			return text, fmt.Errorf("no hexadecimal digits: %w", err)
		}
		text = text[:n]
	case "base64":
		text = bytes.TrimSpace(text)
		n, err := base64.StdEncoding.Decode(text, text)
		if err != nil {
			return text, fmt.Errorf("no base64: %w", err)
		}
		text = text[:n]
	}
	if len(text) > maxBlob {
		return text, fmt.Errorf("the value has %d bytes; NVS takes at most %d", len(text), maxBlob)
	}
	return text, nil
}

// number reads a number of that many bytes, negative for a signed one.
func number(text string, size int) (uint64, error) {
	text = strings.TrimSpace(text)
	if size > 0 {
		v, err := strconv.ParseUint(text, 0, 8*size)
		if err != nil {
			return 0, fmt.Errorf("%q is no number from 0 to %d", text, uint64(1)<<(8*size-1)*2-1)
		}
		return v, nil
	}
	v, err := strconv.ParseInt(text, 0, -8*size)
	if err != nil {
		limit := uint64(1) << (-8*size - 1)
		return 0, fmt.Errorf("%q is no number from -%d to %d", text, limit, limit-1)
	}
	return uint64(v), nil
}

// Digest names what the template holds, with the files that it names.
func (t *Template) Digest() string {
	h := sha256.New()
	for _, x := range t.rows {
		fmt.Fprintf(h, "%q %q %q %q %x\n", x.key, x.kind, x.encoding, x.value, x.data)
	}
	return fmt.Sprintf("%d rows, sha256:%x", len(t.rows), h.Sum(nil))
}

// NVS is a partition of size bytes with the values of a device. The error has
// every fault.
func (t *Template) NVS(size int, v *Values) (*secret.Bytes, error) {
	out, err := erased(size)
	if err != nil {
		return nil, err
	}
	if err := t.write(out.Reveal(), v); err != nil {
		out.Destroy()
		return nil, err
	}
	return out, nil
}

func (t *Template) write(b []byte, v *Values) error {
	n, err := newNVS(b)
	if err != nil {
		return fmt.Errorf("%s: %w", t.file, err)
	}
	var faults []error
	for _, x := range t.rows {
		if err := x.put(n, v); errors.Is(err, ErrNoRoom) {
			return errors.Join(append(faults, &filefault.Fault{File: t.file, Line: x.line, Text: err.Error() + "; make the partition larger in the partition table"})...)
		} else if err != nil {
			faults = append(faults, &filefault.Fault{File: t.file, Line: x.line, Key: "value", Text: err.Error()})
		}
	}
	return errors.Join(faults...)
}

// put writes a row.
func (x row) put(n *nvs, v *Values) error {
	if x.kind == "namespace" {
		if n.space == namespaces {
			return fmt.Errorf("a partition has at most %d namespaces", namespaces)
		}
		return n.namespace(x.key)
	}
	b, err := x.bytes(v)
	defer clear(b)
	if err != nil {
		return err
	}
	if size, ok := numbers[x.encoding]; ok {
		value, err := number(string(b), size)
		if err != nil {
			return err
		}
		return n.number(n.space, size, x.key, value)
	}
	if x.encoding == "string" {
		return n.text(x.key, b)
	}
	return n.blob(x.key, b)
}
