package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// A command is found by its name: "station ledger verify" is
// ledgerVerifyCommand in ledger_verify.go, and no other file has such a name.
func TestFileNames(t *testing.T) {
	groups, commands := map[string]bool{}, map[string]bool{}
	var walk func(*cobra.Command, []string)
	walk = func(cmd *cobra.Command, path []string) {
		if len(path) > 0 {
			file := strings.Join(path, "_") + ".go"
			commands[file] = true
			constructor := path[0]
			for _, verb := range path[1:] {
				constructor += strings.ToUpper(verb[:1]) + verb[1:]
			}
			source, err := os.ReadFile(file)
			if err != nil || !strings.Contains(string(source), "func "+constructor+"Command(") {
				t.Errorf("%s has no %sCommand (%v)", file, constructor, err)
			}
		}
		for _, child := range cmd.Commands() {
			if len(path) == 1 {
				groups[path[0]] = true
			}
			walk(child, append(path[:len(path):len(path)], child.Name()))
		}
	}
	walk(rootCommand(), nil)

	files, err := filepath.Glob("*_*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		group, _, _ := strings.Cut(file, "_")
		if groups[group] && !commands[file] && !strings.HasSuffix(file, "_test.go") {
			t.Errorf("%s: %s is a group of commands, and this is none of them", file, group)
		}
	}
}
