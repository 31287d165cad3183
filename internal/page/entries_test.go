package page

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"testing"

	"station/internal/record"
	"station/internal/words/wordstest"
)

// Every kind of entry that package record declares has words in both languages.
func TestEveryEntryHasWords(t *testing.T) {
	kinds := kindsOf(t)
	if len(kinds) < 30 {
		t.Fatalf("only %d kinds were found", len(kinds))
	}
	for _, k := range kinds {
		if english.Entries[k] == "" || !wordstest.Chinese(chinese.Entries[k]) {
			t.Errorf("%s: %q and %q", k, english.Entries[k], chinese.Entries[k])
		}
	}
	if len(english.Entries) != len(kinds) || len(chinese.Entries) != len(kinds) {
		t.Errorf("%d kinds have %d words in English, and %d in Chinese", len(kinds), len(english.Entries), len(chinese.Entries))
	}
}

// kindsOf reads the kinds out of the source of package record.
func kindsOf(t *testing.T) (kinds []record.Kind) {
	t.Helper()
	files, err := filepath.Glob("../record/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, is := n.(*ast.ValueSpec)
			if !is || len(spec.Values) != 1 {
				return true
			}
			kind, isName := spec.Type.(*ast.Ident)
			value, isText := spec.Values[0].(*ast.BasicLit)
			if isName && isText && kind.Name == "Kind" {
				text, err := strconv.Unquote(value.Value)
				if err != nil {
					t.Fatal(err)
				}
				kinds = append(kinds, record.Kind(text))
			}
			return true
		})
	}
	return kinds
}
