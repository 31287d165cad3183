package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"station/internal/chip"
)

// Chips are data: outside of the tables and of the virtual chip no code names a
// family, neither in words nor by its variable, so none can ask for one.
func TestChipsAreData(t *testing.T) {
	names := map[string]bool{}
	for _, f := range chip.Families {
		names[f.Name], names[f.Title] = true, true
	}
	seen := 0
	for _, root := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || d.IsDir() && (path == "internal/chip" || path == "internal/sim"):
				return cmpOr(err, filepath.SkipDir)
			case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			seen++
			for _, found := range familiesIn(t, path, names) {
				t.Errorf("%s: it names a chip; ask its chip.Family instead", found)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 100 {
		t.Errorf("only %d files", seen)
	}
}

func cmpOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// familiesIn finds where a file names a family.
func familiesIn(t *testing.T, path string, names map[string]bool) (found []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING && names[text] {
				found = append(found, set.Position(n.Pos()).String())
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "chip" && strings.HasPrefix(n.Sel.Name, "ESP32") {
				found = append(found, set.Position(n.Pos()).String())
			}
		}
		return true
	})
	return found
}
