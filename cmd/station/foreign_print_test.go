package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// formsOfTheirOwn are the files that print more than constants without plain: what
// they print is a form in which nothing foreign can act, or made harmless before.
var formsOfTheirOwn = map[string]string{
	"answers.go":      "JSON",
	"ledger_show.go":  "JSON",
	"junit.go":        "XML",
	"job_new.go":      "TOML, in its quotes",
	"image_info.go":   "CSV of a table whose names are text",
	"batch_close.go":  "a certificate, which makes lines of its own",
	"ledger_check.go": "a certificate, which makes lines of its own",
	"site_batch.go":   "a certificate, which makes lines of its own",
	"main.go":         "an error, whose later lines are indented",
	"progress.go":     "moves the cursor; what it says is plain before",
	"output.go":       "the number of messages that were dropped",
}

// Nobody prints a value but through plain, so that no text of others begins a line
// of ours.
func TestValuesArePrintedPlain(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !printsValue(call) {
				return true
			}
			if used[name] = true; formsOfTheirOwn[name] == "" {
				t.Errorf("%s: prints a value; use plain.Fprintf", set.Position(call.Pos()))
			}
			return true
		})
	}
	for name := range formsOfTheirOwn {
		if !used[name] {
			t.Errorf("%s prints no value: drop it from the list", name)
		}
	}
}

// printsValue reports a call of fmt that writes more than constants.
func printsValue(call *ast.CallExpr) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || fmt.Sprint(f.X) != "fmt" || !strings.Contains(f.Sel.Name, "rint") && !strings.HasPrefix(f.Sel.Name, "Append") || strings.HasPrefix(f.Sel.Name, "Sprint") {
		return false
	}
	args := call.Args
	if strings.HasPrefix(f.Sel.Name, "F") || strings.HasPrefix(f.Sel.Name, "Append") {
		args = args[1:]
	}
	return slices.ContainsFunc(args, func(a ast.Expr) bool { _, constant := a.(*ast.BasicLit); return !constant })
}
