package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"station/internal/flow"
)

// No step's name stands outside its row: what is special about a step is a
// property of the Step. Only the words of the screen's languages are by name.
func TestStepNames(t *testing.T) {
	const table = "internal/flow/procedure.go"
	names := regexp.MustCompile(`\{ID: "([a-z-]+)"`).FindAllStringSubmatch(readFile(t, table), -1)
	if len(names) < 10 {
		t.Fatalf("%s has %d steps", table, len(names))
	}
	own := map[string]bool{"connect": true, "admit": true, "bind": true} // and those with a dash: words of nothing else
	aboutSteps := regexp.MustCompile(`\bStep(ID)?\b|\bstep\b`)
	programLines(t, func(path string, n int, line string) {
		if path == table || strings.HasPrefix(path, "internal/words/") {
			return
		}
		for _, m := range names {
			literal := `"` + m[1] + `"`
			if strings.Contains(line, literal) && (own[m[1]] || strings.Contains(m[1], "-") || aboutSteps.MatchString(line)) {
				t.Errorf("%s:%d names the step %s: make it a property of its row in %s", path, n, literal, table)
			}
		}
	})
}

// Every code that the program speaks of is in the table of failures: the type
// keeps codes apart from other words, this keeps them right.
func TestCodesAreInTheTable(t *testing.T) {
	codes := regexp.MustCompile(`"(E-[A-Z0-9-]+)"`)
	programLines(t, func(path string, n int, line string) {
		for _, m := range codes.FindAllStringSubmatch(line, -1) {
			if code := flow.Code(m[1]); flow.FailureOf(code).Sentence == flow.FailureOf("").Sentence && code != "E-UNKNOWN" {
				t.Errorf("%s:%d: %s is in no row of internal/flow/failure.go", path, n, code)
			}
		}
	})
}

// What must be done in one place alone is done there alone.
func TestOnePlace(t *testing.T) {
	for _, rule := range []struct{ what, code, place string }{
		{"fuses are burned", `efuse\.Burn\(`, "internal/flow/runner.go"},
		{"the program exits", `os\.Exit\(`, "cmd/station/main.go"},
		{"errors become exit codes", `func exitCode\(`, "cmd/station/main.go"},
		{"texts are signed for a ledger", `sumdb/note"|note\.(Sign|Open)\(`, "internal/ledger/note.go"},
		{"keys are read", `x509\.Parse(PKIX|PKCS|EC)`, "internal/keyfile/pem.go"},
		{"errors of a device or the station get their codes", `func FailureFrom\(`, "internal/flow/failure.go"},
		{"proofs become files", `SetIndent\("", " "\)`, "internal/ledger/proof.go"},
		{"artifacts get their names", `os\.Rename\(name, path\)`, "internal/keyfile/write.go"},
		{"a person's name of a device is looked up", `\bb\.Named\(`, "cmd/station/identity.go"},
		{"entries become visits", `append\([a-z.]+Steps, StepTime`, "internal/record/visit.go"},
	} {
		code, places := regexp.MustCompile(rule.code), map[string]bool{}
		programLines(t, func(path string, _ int, line string) {
			if code.MatchString(line) && !strings.Contains(path, "test/") && !strings.HasPrefix(path, "internal/sim/") { // hsmtest, porttest; and sim, which shares nothing
				places[path] = true
			}
		})
		if !places[rule.place] || len(places) != 1 {
			t.Errorf("%s in %v, want %s alone", rule.what, slices.Sorted(maps.Keys(places)), rule.place)
		}
	}
}

// programLines gives f every line of the program, without tests and comments.
func programLines(t *testing.T, f func(path string, n int, line string)) {
	t.Helper()
	for _, root := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for i, line := range strings.Split(readFile(t, path), "\n") {
				if code, _, _ := strings.Cut(line, "// "); code != "" {
					f(filepath.ToSlash(path), i+1, code)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The head of an entry (when, at which station, by which software) is the
// ledger's to fill in: nobody who writes an entry names it.
func TestHeadOfAnEntry(t *testing.T) {
	head := []string{"Version", "Index", "Time", "Prev", "ClockBack", "Station", "Software"}
	own := map[string]bool{"internal/ledger": true, "internal/record": true}
	found := 0
	for _, root := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || own[filepath.ToSlash(filepath.Dir(path))] {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				e, ok := n.(*ast.CompositeLit)
				if !ok || !isSelector(e.Type, "record", "Entry") {
					return true
				}
				found++
				for _, element := range e.Elts {
					pair, ok := element.(*ast.KeyValueExpr)
					if name, isName := pair.Key.(*ast.Ident); ok && isName && slices.Contains(head, name.Name) && !foldsOnly[filepath.ToSlash(path)] {
						t.Errorf("%s: an entry names its %s: the ledger fills it in", set.Position(pair.Pos()), name.Name)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 15 {
		t.Errorf("only %d places make entries: this test looks past them", found)
	}
}

// foldsOnly makes entries that are never written.
var foldsOnly = map[string]bool{"internal/report/page.go": true}

func isSelector(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg && s.Sel.Name == name
}
