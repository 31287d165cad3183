package main

import (
	"encoding"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/tlog"

	"station/internal/firmware"
)

var updateSchemas = flag.Bool("update-schemas", false, "write docs/schema anew")

const schemas = "../../docs/schema"

func schemaFile(name string) string { return strings.Replace(name, "/", "-", 1) + ".json" }

// What docs/schema says of an answer is what the program's types say.
func TestSchemas(t *testing.T) {
	var want []string
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		file := filepath.Join(schemas, schemaFile(name))
		want = append(want, file)
		text := schemaText(t, name)
		if *updateSchemas {
			if err := os.WriteFile(file, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil || string(got) != string(text) {
			t.Errorf("%s is not what %T says (%v); if a member went away, %s needs a higher number; then: go test ./cmd/station -run TestSchemas -update-schemas", file, answers[name], err, name)
		}
	}
	if got, _ := filepath.Glob(schemas + "/*.json"); !slices.Equal(got, want) {
		t.Errorf("docs/schema has %q, the program %q", got, want)
	}
}

// Every command that answers programs is in docs/json.md, and no table or verdict is
// for people alone.
func TestEveryAnswerIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range answers {
		if !strings.Contains(string(page), "](schema/"+schemaFile(name)+")") {
			t.Errorf("docs/json.md has no link to the schema of %s", name)
		}
	}
	verbs := []string{"list", "show", "status", "check", "verify", "info", "probe", "ports", "chips", "doctor", "affected"}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		path := strings.TrimPrefix(cmd.CommandPath(), "station ")
		has := cmd.Flags().Lookup("json") != nil
		if slices.Contains(verbs, cmd.Name()) && cmd.Runnable() && !has {
			t.Errorf("station %s has no --json", path)
		}
		if has && !strings.Contains(string(page), "`"+path+"`") {
			t.Errorf("station %s has --json: docs/json.md must name it", path)
		}
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(rootCommand())
}

// schema NAME holds the standard output of the last command against a schema.
func answered(ts *testscript.TestScript, _ bool, args []string) {
	if err := fits(args[0], ts.ReadFile("stdout")); err != nil {
		ts.Fatalf("%v\n%s", err, ts.ReadFile("stdout"))
	}
	seenAnswers.Store(args[0], true)
}

// fits holds what a command printed against a schema.
func fits(name, printed string) error {
	data, err := os.ReadFile(filepath.Join(schemas, schemaFile(name)))
	if err != nil {
		return err
	}
	var s jsonschema.Schema
	var got any
	if err := errors.Join(json.Unmarshal(data, &s), json.Unmarshal([]byte(printed), &got)); err != nil {
		return err
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		return err
	}
	return resolved.Validate(got)
}

// schemas-seen NAME… fails where a schema was held against nothing. Those named are
// tried by tests that are no scripts.
func allAnswered(ts *testscript.TestScript, _ bool, elsewhere []string) {
	for name := range answers {
		if _, seen := seenAnswers.Load(name); !seen && !slices.Contains(elsewhere, name) {
			ts.Fatalf("no output of %s was seen", name)
		}
	}
}

var seenAnswers sync.Map

// schemaText is the schema of an answer, out of its Go type.
func schemaText(t *testing.T, name string) []byte {
	t.Helper()
	kind := reflect.TypeOf(answers[name])
	known := map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[time.Time]():          {Type: "string", Format: "date-time"},
		reflect.TypeFor[firmware.Partition](): {Type: "object"},
		reflect.TypeFor[json.RawMessage]():    entrySchema,
		reflect.TypeFor[[]byte]():             {Type: "string", ContentEncoding: "base64"},
		reflect.TypeFor[tlog.Hash]():          {Type: "string", ContentEncoding: "base64"},
	}
	texts(kind, known)
	s, err := jsonschema.ForType(kind, &jsonschema.ForOptions{TypeSchemas: known})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	s.Schema, s.Title = "https://json-schema.org/draft/2020-12/schema", "station "+name
	text := any(name)
	s.Properties["schema"] = &jsonschema.Schema{Const: &text}
	s.Required = append([]string{"schema"}, s.Required...)
	s.PropertyOrder = append([]string{"schema"}, s.PropertyOrder...)
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}

// entrySchema is of an entry as it is in the log. What else it has depends on its kind
// and on the version of its form.
var entrySchema = &jsonschema.Schema{
	Type: "object",
	Properties: map[string]*jsonschema.Schema{
		"v":     {Type: "integer", Description: "version of the entry's form"},
		"index": {Type: "integer", Description: "place in the log, from 0"},
		"time":  {Type: "string", Format: "date-time"},
		"kind":  {Type: "string", Description: "what happened, such as device.sealed"},
	},
	PropertyOrder: []string{"v", "index", "time", "kind"},
	Required:      []string{"v", "index", "time", "kind"},
}

// texts adds the types that are written as texts.
func texts(kind reflect.Type, known map[reflect.Type]*jsonschema.Schema) {
	if _, done := known[kind]; done {
		return
	}
	if kind.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		known[kind] = &jsonschema.Schema{Type: "string"}
		return
	}
	switch kind.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		texts(kind.Elem(), known)
	case reflect.Struct:
		for i := range kind.NumField() {
			if f := kind.Field(i); f.Tag.Get("json") != "-" {
				texts(f.Type, known)
			}
		}
	}
}
