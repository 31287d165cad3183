package station

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"station/internal/job"
)

// docs/files.md names every key of job and station file.
func TestFilesDocument(t *testing.T) {
	b, err := os.ReadFile("../../docs/files.md")
	if err != nil {
		t.Fatal(err)
	}
	jobPart, stationPart, ok := strings.Cut(string(b), "## station.toml")
	if !ok {
		t.Fatal("docs/files.md has no part about station.toml")
	}
	for _, c := range []struct {
		of   any
		text string
	}{{job.Job{}, jobPart}, {File{}, stationPart}} {
		for _, key := range keysOf("", reflect.TypeOf(c.of)) {
			if !regexp.MustCompile("`" + regexp.QuoteMeta(key) + "`").MatchString(c.text) {
				t.Errorf("docs/files.md does not name %s of %T", key, c.of)
			}
		}
	}
}

// keysOf lists the keys as the document writes them: dotted, but for the
// tables of a list, which stand apart.
func keysOf(prefix string, typ reflect.Type) (keys []string) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		tag := f.Tag.Get("toml")
		if tag == "" || tag == "-" {
			continue
		}
		of := f.Type
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		switch {
		case of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.Struct:
			keys = append(keys, "[["+tag+"]]")
			keys = append(keys, keysOf("", of.Elem())...)
		case of.Kind() == reflect.Struct:
			keys = append(keys, keysOf(prefix+tag+".", of)...)
		default:
			keys = append(keys, prefix+tag)
		}
	}
	return keys
}
