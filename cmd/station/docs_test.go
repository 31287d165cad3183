package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// commandLines are those of a page: in its blocks, and between backquotes.
func commandLines(page string) (list []string) {
	for i, part := range strings.Split(strings.ReplaceAll(page, "\\\n", " "), "```") {
		lines := regexp.MustCompile("`(station [a-z][^`]*)`")
		if i%2 == 1 { // a block
			lines = regexp.MustCompile(`(?m)(?:^ *|\$\(|[A-Z0-9_]+=\S+ )(station [a-z].*)$`)
		}
		for _, found := range lines.FindAllStringSubmatch(part, -1) {
			if line := strings.Join(strings.Fields(found[1]), " "); !strings.HasSuffix(line, " v1") { // a label of the KDF
				list = append(list, line)
			}
		}
	}
	return list
}

// What the README and the pages tell people to type are commands that there are,
// with flags that they have.
func TestDocsTypeRealCommands(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandLines(string(text)) {
			if fault := typedWrong(line); fault != "" {
				t.Errorf("%s: %q: %s", filepath.Base(page), line, fault)
			}
			n++
		}
	}
	if n < 150 {
		t.Errorf("only %d command lines were found", n)
	}
}

// typedWrong is what is wrong with a command line; what ends a command for a
// shell ends it here.
func typedWrong(line string) string {
	line = regexp.MustCompile(`"[^"]*"|'[^']*'`).ReplaceAllStringFunc(line, func(s string) string { return strings.ReplaceAll(s, " ", "_") })
	for _, end := range []string{" | ", " > ", " &", ";", ")", " # ", "…", " ·"} {
		line, _, _ = strings.Cut(line, end)
	}
	words := strings.Fields(line)[1:]
	cmd, rest, err := rootCommand().Find(words)
	switch {
	case err != nil:
		return err.Error()
	case cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-"):
		return "no such command"
	}
	for _, word := range rest {
		name, _, _ := strings.Cut(strings.TrimLeft(strings.Trim(word, `",.:`), "-"), "=")
		if !strings.HasPrefix(word, "--") || name == "help" || name == "version" {
			continue
		}
		var known *pflag.Flag
		if known = cmd.Flags().Lookup(name); known == nil {
			known = cmd.InheritedFlags().Lookup(name)
		}
		if known == nil {
			return "it has no --" + name
		}
	}
	return ""
}
