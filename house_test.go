// Package house_test holds the plan of the house against the house: what the
// documents say of packages, imports and dependencies is read from the code.
package house_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every direct dependency is defended in docs/dependencies.md, every module
// that is linked stands there with the licence that its own file has, and no
// row speaks of a module that is gone.
func TestDependencies(t *testing.T) {
	page := readFile(t, "docs/dependencies.md")
	direct, linked, ok := strings.Cut(page, "## What is linked")
	if !ok {
		t.Fatal("docs/dependencies.md has no table of what is linked")
	}
	wantDirect := goList(t, "-m", "-f", "{{if not (or .Main .Indirect)}}{{.Path}}{{end}}", "all")
	if got := rows(direct); !slices.Equal(got, wantDirect) {
		t.Errorf("direct dependencies: the page has\n%q\ngo.mod has\n%q", got, wantDirect)
	}
	wantLinked := goList(t, "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./cmd/station")
	got := slices.DeleteFunc(rows(linked), func(m string) bool { return strings.Contains(linked, "`"+m+"` (Windows)") })
	if !slices.Equal(got, wantLinked) {
		t.Errorf("linked: the page has\n%q\nthe program has\n%q", got, wantLinked)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| tests: .* \\| not linked \\|$").FindAllStringSubmatch(direct, -1) {
		if slices.Contains(wantLinked, m[1]) {
			t.Errorf("%s is for tests and is linked into the program", m[1])
		}
	}
	for _, pkg := range goList(t, "-deps", "./cmd/station") {
		if strings.Contains(pkg, "gonum.org/") || strings.HasPrefix(pkg, "golang.org/x/net/") && !strings.HasPrefix(pkg, "golang.org/x/net/html") && pkg != "golang.org/x/net/netutil" {
			t.Errorf("the program links %s", pkg)
		}
	}
	for _, m := range wantLinked {
		if want := "| `" + m + "` | " + licence(t, m); !strings.Contains(linked, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

var row = regexp.MustCompile("(?m)^\\| `([^`]+)`")

func rows(page string) (list []string) {
	for _, m := range row.FindAllStringSubmatch(page, -1) {
		list = append(list, m[1])
	}
	slices.Sort(list)
	return list
}

// licence tells a licence by the words that only it has.
func licence(t *testing.T, module string) string {
	dir := goList(t, "-m", "-f", "{{.Dir}}", module)[0]
	files, err := filepath.Glob(filepath.Join(dir, "LICENSE*"))
	if err != nil || len(files) == 0 {
		t.Errorf("%s has no licence file", module)
		return ""
	}
	text := strings.Join(strings.Fields(readFile(t, files[0])), " ")
	var names []string
	for _, l := range [][2]string{
		{"Apache-2.0", "Apache License"},
		{"MIT", "Permission is hereby granted, free of charge"},
		{"BSD-3-Clause", "Redistribution and use in source and binary"},
	} {
		if strings.Contains(text, l[1]) {
			names = append(names, l[0])
		}
	}
	return strings.Join(names, ", ")
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %q: %v", args, err)
	}
	list := strings.Fields(string(out))
	slices.Sort(list)
	return slices.Compact(list)
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
