// Package tomlfile reads a TOML file into a struct and reports everything that
// is wrong with it at once: each error names file, line and what to write
// instead. Fields carry their key in a `toml` tag; what a field may hold is
// said by its type, which may implement encoding.TextUnmarshaler; a struct that does
// may be written as a table too.
package tomlfile

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"station/internal/filefault"
)

// File is a decoded file: it knows the line of each key, for checks that come
// after decoding.
type File struct {
	Name  string
	lines map[string]int
	bad   map[string]bool // paths that have their fault
	errs  []error

	broken bool
}

// Decode reads data into the struct that v points to. The File collects the
// faults; Err returns them.
func Decode(name string, data []byte, v any) *File {
	f := &File{Name: name, lines: map[string]int{}, bad: map[string]bool{}}
	if f.absurd(data) {
		return f
	}
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		f.syntax(err)
		return f
	}
	f.index(data)
	f.table("", tree, reflect.ValueOf(v).Elem())
	return f
}

// Err is every fault found, in the order of the lines, or nil.
func (f *File) Err() error {
	slices.SortStableFunc(f.errs, func(a, b error) int { return f.lineOf(a) - f.lineOf(b) })
	return errors.Join(few(f.errs)...)
}

// lineOf is where a fault of this file stands; those of others come last.
func (f *File) lineOf(err error) int {
	var one *filefault.Fault
	if errors.As(err, &one) && one.File == f.Name && one.Line > 0 {
		return one.Line
	}
	return math.MaxInt32
}

// Broken reports a file that is no TOML: nothing more can be said of it.
func (f *File) Broken() bool { return f.broken }

// Bad reports that the key at path, or a table around it, has a fault. A check
// of what it would have held is of no use.
func (f *File) Bad(path string) bool {
	for {
		if f.bad[path] {
			return true
		}
		cut := strings.LastIndexByte(path, '.')
		if cut < 0 {
			return false
		}
		path = path[:cut]
	}
}

// Fault adds a fault of the key at path ("flash.size", "image.2.file"). A key
// that has one already gets no second: it would follow from the first.
func (f *File) Fault(path, format string, args ...any) {
	if f.Bad(path) {
		return
	}
	f.bad[path] = true
	f.At(path, format, args...)
}

// At adds a fault on the line of the key at path, whether it has one or not:
// for what is wrong with a file that the key names.
func (f *File) At(path, format string, args ...any) {
	f.errs = append(f.errs, &filefault.Fault{File: f.Name, Line: f.Line(path), Key: short(path), Text: short(fmt.Sprintf(format, args...))})
}

// Add adds faults found elsewhere, in files that this one names.
func (f *File) Add(errs ...error) { f.errs = append(f.errs, errs...) }

// Line is the line of the key at path, or of the nearest table around it; 0
// where the file has neither.
func (f *File) Line(path string) int {
	for path != "" {
		if line, ok := f.lines[path]; ok {
			return line
		}
		cut := strings.LastIndexByte(path, '.')
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	return 0
}

// Has reports whether the file sets the key at path.
func (f *File) Has(path string) bool { _, ok := f.lines[path]; return ok }

func (f *File) syntax(err error) {
	f.broken = true
	e := &filefault.Fault{File: f.Name, Text: short(strings.TrimPrefix(err.Error(), "toml: "))}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		e.Line, _ = decode.Position()
	}
	f.errs = append(f.errs, e)
}

// index notes the line of every key and table.
func (f *File) index(data []byte) {
	var p unstable.Parser
	p.Reset(data)
	table := ""
	counts := map[string]int{}
	for p.NextExpression() {
		node := p.Expression()
		var path []string
		line := 0
		for it := node.Key(); it.Next(); {
			key := it.Node()
			path = append(path, string(key.Data))
			line = p.Shape(key.Raw).Start.Line
		}
		name := strings.Join(path, ".")
		switch node.Kind {
		case unstable.Table:
			table = name
		case unstable.ArrayTable:
			table = fmt.Sprintf("%s.%d", name, counts[name])
			counts[name]++
			f.note(name, line)
		case unstable.KeyValue:
			name = join(table, name)
			f.note(name, line)
			continue
		}
		f.note(table, line)
	}
}

func (f *File) note(path string, line int) {
	if _, ok := f.lines[path]; !ok {
		f.lines[path] = line
	}
}

func join(table, key string) string {
	if table == "" {
		return key
	}
	return table + "." + key
}

func (f *File) table(path string, tree map[string]any, v reflect.Value) {
	fields := map[string]reflect.Value{}
	var names []string
	for _, field := range reflect.VisibleFields(v.Type()) { // an embedded struct's are keys of the same table
		tag := field.Tag.Get("toml")
		if tag == "" {
			continue
		}
		fields[tag] = v.FieldByIndex(field.Index)
		names = append(names, tag)
	}
	for _, key := range slices.Sorted(mapKeys(tree)) {
		at := join(path, key)
		field, ok := fields[key]
		if !ok {
			f.Fault(at, "unknown key%s", suggest(key, names))
			if meant := Nearest(key, names); meant != "" { // it is not missing as well
				f.bad[join(path, meant)] = true
			}
			continue
		}
		f.value(at, tree[key], field)
	}
}

func mapKeys(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (f *File) value(path string, have any, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	tree, isTable := have.(map[string]any)
	if isTable && v.Kind() == reflect.Struct { // also where its type has a short form
		f.table(path, tree, v)
		return
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		text, isText := have.(string)
		if n, isInt := have.(int64); isInt {
			text, isText = fmt.Sprint(n), true
		}
		if !isText {
			f.Fault(path, "is %s, want text", kindOf(have))
		} else if err := u.UnmarshalText([]byte(text)); err != nil {
			f.Fault(path, "%v", err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct: // it wants a table
	case reflect.Slice:
		if list, ok := have.([]any); ok {
			v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
			for i, item := range list {
				f.value(fmt.Sprintf("%s.%d", path, i), item, v.Index(i))
			}
			return
		}
	case reflect.Map:
		if isTable {
			f.freeTable(path, tree, v)
			return
		}
	case reflect.String:
		if s, ok := have.(string); ok {
			v.SetString(s)
			return
		}
	case reflect.Bool:
		if b, ok := have.(bool); ok {
			v.SetBool(b)
			return
		}
	default:
		f.number(path, have, v)
		return
	}
	f.Fault(path, "is %s, want %s", kindOf(have), wantOf(v))
}

// freeTable fills a map: a table whose keys the file chooses.
func (f *File) freeTable(path string, tree map[string]any, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	for _, key := range slices.Sorted(mapKeys(tree)) {
		item := reflect.New(v.Type().Elem()).Elem()
		f.value(join(path, key), tree[key], item)
		v.SetMapIndex(reflect.ValueOf(key), item)
	}
}

func (f *File) number(path string, have any, v reflect.Value) {
	n, ok := have.(int64)
	if !ok {
		f.Fault(path, "is %s, want a whole number", kindOf(have))
		return
	}
	switch {
	case v.CanInt() && !v.OverflowInt(n):
		v.SetInt(n)
	case v.CanUint() && n >= 0 && !v.OverflowUint(uint64(n)):
		v.SetUint(uint64(n))
	default:
		f.Fault(path, "%d is out of range", n)
	}
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case bool:
		return "true or false"
	case int64:
		return "a whole number"
	case float64:
		return "a fraction"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date"
}

func wantOf(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Struct, reflect.Map:
		return "a table"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "true or false"
	}
	return "text"
}

// suggest names the known key nearest to what was written, or all of them.
func suggest(key string, known []string) string {
	if best := Nearest(key, known); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	known = slices.Clone(known)
	slices.Sort(known)
	return "; known here: " + strings.Join(known, ", ")
}

// Nearest is the known word that was probably meant, "" where none is near.
func Nearest(word string, known []string) string {
	best, distance := "", min(3, len(word))
	for _, name := range known {
		if d := edits(strings.ToLower(word), strings.ToLower(name)); d < distance {
			best, distance = name, d
		}
	}
	return best
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
