package house_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "measure the packages anew for ARCHITECTURE.md")

const plan = "ARCHITECTURE.md"

// size is how large a package is, tests apart.
type size struct{ lines, names int }

// near allows for the work of a few days between two measurements.
func (s size) near(o size) bool {
	return within(s.lines, o.lines, 150) && within(s.names, o.names, 10)
}

func within(a, b, least int) bool { return max(a-b, b-a) <= max(least, b/5) }

// The table of sizes in ARCHITECTURE.md has a row for every package, and what
// it says of today is about right. -update measures anew.
func TestSizes(t *testing.T) {
	page, now := readFile(t, plan), measure(t, ".")
	if *update {
		updateSizes(t, page, now)
		return
	}
	said := map[string]size{}
	for _, m := range sizeRow.FindAllStringSubmatch(page, -1) {
		if m[4] != "–" {
			said[m[1]] = size{number(t, m[4]), number(t, m[5])}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(now)) {
		if got, known := said[path]; !known || !got.near(now[path]) {
			t.Errorf("%s: %d lines and %d names, %s says %v; look whether it grew for a good reason, then: go test . -run TestSizes -update", path, now[path].lines, now[path].names, plan, got)
		}
		delete(said, path)
	}
	for path := range said {
		t.Errorf("%s speaks of %s, which is gone", plan, path)
	}
}

var sizeRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([0-9–]+) \\| ([0-9–]+) \\| ([0-9–]+) \\| ([0-9–]+) \\|\n")

func updateSizes(t *testing.T, page string, now map[string]size) {
	before := map[string][2]string{}
	for _, m := range sizeRow.FindAllStringSubmatch(page, -1) {
		if m[2] != "–" {
			before[m[1]] = [2]string{m[2], m[3]}
		}
	}
	paths := map[string]bool{}
	for p := range before {
		paths[p] = true
	}
	for p := range now {
		paths[p] = true
	}
	var rows strings.Builder
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		old, new := [2]string{"–", "–"}, [2]string{"–", "–"}
		if b, ok := before[p]; ok {
			old = b
		}
		if s, ok := now[p]; ok {
			new = [2]string{strconv.Itoa(s.lines), strconv.Itoa(s.names)}
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s | %s | %s |\n", p, old[0], old[1], new[0], new[1])
	}
	const rule = "|---|---:|---:|---:|---:|\n"
	head, _, ok := strings.Cut(page, rule)
	if !ok {
		t.Fatalf("%s has no table of sizes", plan)
	}
	_, rest, _ := strings.Cut(page, rule)
	tail := sizeRow.ReplaceAllString(rest, "")
	if err := os.WriteFile(plan, []byte(head+rule+rows.String()+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// measure counts lines and exported names by package, without tests.
func measure(t *testing.T, root string) map[string]size {
	sizes := map[string]size{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == ".git"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		data := readFile(t, path)
		file, err := parser.ParseFile(token.NewFileSet(), path, data, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		s := sizes[pkg]
		sizes[pkg] = size{s.lines + strings.Count(data, "\n"), s.names + exported(file)}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sizes
}

// exported counts the names that other packages can use: functions, methods of
// exported types, types, variables and constants.
func exported(file *ast.File) (n int) {
	count := func(id *ast.Ident) {
		if id.IsExported() && file.Name.Name != "main" {
			n++
		}
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || receiver(d).IsExported() {
				count(d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					count(s.Name)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						count(name)
					}
				}
			}
		}
	}
	return n
}

func receiver(d *ast.FuncDecl) *ast.Ident {
	expr := d.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.Ident:
			return e
		default:
			return ast.NewIdent("_")
		}
	}
}

func number(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The arrow of imports in the README is the order of the floors that the
// linter enforces, and the program is built so.
func TestFloors(t *testing.T) {
	floors := lintedFloors(t)
	arrow := readmeArrow(t)
	if want := append([]string{"cmd/station"}, floors...); !slices.Equal(arrow[:min(len(arrow), len(want))], want) {
		t.Errorf("the README's arrow begins %q, .depguard.toml enforces %q", arrow, want)
	}
	height := map[string]int{"cmd/station": 0}
	for i, floor := range floors {
		height["internal/"+floor] = i + 1
	}
	for pkg, imports := range programImports(t) {
		own, known := height[pkg]
		if !known {
			own = len(floors) + 1
		}
		for _, i := range imports {
			if h, known := height[i]; known && h <= own {
				t.Errorf("%s imports %s, which is not below it", pkg, i)
			}
		}
	}
}

// lintedFloors are the packages of the rules [below-…], each of which lets in
// one package more than the rule before.
func lintedFloors(t *testing.T) (floors []string) {
	rule := regexp.MustCompile(`(?s)\[below-[a-z]+\]\nfiles = \[([^\]]*)\]\n.*?"station/internal/([a-z]+)"`)
	for _, m := range rule.FindAllStringSubmatch(readFile(t, ".depguard.toml"), -1) {
		floors = append(floors, m[2])
		may := `"$all", "!**/cmd/**", "!**/fixtures/**"`
		for _, f := range floors {
			may += `, "!**/internal/` + f + `/**"`
		}
		if want := may + `, "!$test"`; m[1] != want {
			t.Errorf("the rule for %s is for the files %s\nwant %s", m[2], m[1], want)
		}
	}
	if len(floors) == 0 {
		t.Fatal(".depguard.toml has no floors")
	}
	return floors
}

func readmeArrow(t *testing.T) (list []string) {
	line := regexp.MustCompile("`cmd/station`(?: → `[a-z]+`)+").FindString(readFile(t, "README.md"))
	for _, m := range strings.Split(line, " → ") {
		list = append(list, strings.Trim(m, "`"))
	}
	return list
}

// programImports are the packages of ours that are linked, and what of ours
// they import.
func programImports(t *testing.T) map[string][]string {
	graph := map[string][]string{}
	for _, line := range goList(t, "-deps", "-f", `{{if .Module}}{{if .Module.Main}}{{.ImportPath}}={{join .Imports ","}}{{end}}{{end}}`, "./cmd/station") {
		pkg, imports, _ := strings.Cut(line, "=")
		var ours []string
		for _, i := range strings.Split(imports, ",") {
			if own, is := strings.CutPrefix(i, "station/"); is {
				ours = append(ours, own)
			}
		}
		graph[strings.TrimPrefix(pkg, "station/")] = ours
	}
	return graph
}

// Every package of the program has its line in the plan, which says what of
// ours it knows.
func TestPlan(t *testing.T) {
	said := map[string][]string{}
	line := regexp.MustCompile("(?m)^\\| `([a-z/]+)` \\| [^|]+ \\| ([^|]*) \\|$")
	for _, m := range line.FindAllStringSubmatch(readFile(t, plan), -1) {
		said[m[1]] = strings.Fields(strings.NewReplacer("`", "", ",", " ", "–", "").Replace(m[2]))
	}
	for pkg, imports := range programImports(t) {
		name := strings.TrimPrefix(pkg, "internal/")
		allowed, known := said[name]
		if !known {
			t.Errorf("%s has no line for %s", plan, name)
		}
		delete(said, name)
		for _, i := range imports {
			if i := strings.TrimPrefix(i, "internal/"); pkg != "cmd/station" && !slices.Contains(allowed, i) {
				t.Errorf("%s imports %s; %s says it knows %q: is that right?", pkg, i, plan, allowed)
			}
		}
	}
	for name := range said {
		t.Errorf("%s has a line for %s, which the program has not", plan, name)
	}
}

// Files and folders that the plan names are there.
func TestPlanPaths(t *testing.T) {
	text, _, _ := strings.Cut(readFile(t, plan), "## Size of the house") // which has a before
	for _, m := range regexp.MustCompile("`((?:cmd|internal|docs|fixtures|tools|conformance)/[^` ]*)`").FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("%s names %s: %v", plan, m[1], err)
		}
	}
}

// Every file that a page of ours links to is there.
func TestLinks(t *testing.T) {
	pages := []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"}
	more, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, page := range append(pages, more...) {
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(readFile(t, page), -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links were found", links)
	}
}

// The README asks for the Go that go.mod asks for.
func TestGoVersion(t *testing.T) {
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(readFile(t, "go.mod"))[1]
	if want := "with Go " + version + " or later"; !strings.Contains(readFile(t, "README.md"), want) {
		t.Errorf("the README does not say %q", want)
	}
}
