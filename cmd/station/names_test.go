package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// The commands of the README's first device with secure boot are tried by a
// script, word for word.
func TestReadmeOfSecureBootIsTried(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/secureboot.txtar")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "## The first device with secure boot")
	section, _, _ = strings.Cut(section, "\n## ")
	tried := strings.NewReplacer("/dev/ttyUSB0", "$SIM", "sha256:…", "$DIGEST")
	commands := regexp.MustCompile("`(station [^`]+)`").FindAllStringSubmatch(section, -1)
	if len(commands) < 7 {
		t.Errorf("the section has %d commands", len(commands))
	}
	for _, c := range commands {
		if line := "\nexec " + tried.Replace(c[1]) + "\n"; !strings.Contains(string(script), line) {
			t.Errorf("no script does %q", c[1])
		}
	}
}

// The README lists every command, and each verb of a group.
func TestReadmeHasEveryCommand(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string][]string{}
	for _, line := range regexp.MustCompile(`(?m)^station ([a-z]+) +(.+)$`).FindAllStringSubmatch(string(readme), -1) {
		said[line[1]] = regexp.MustCompile(`\([^)]*\)|[^a-z]+`).Split(line[2], -1)
	}
	for _, cmd := range rootCommand().Commands() {
		words, listed := said[cmd.Name()]
		if delete(said, cmd.Name()); !listed {
			t.Errorf("the README does not list station %s", cmd.Name())
			continue
		}
		for _, verb := range cmd.Commands() {
			if !slices.Contains(words, verb.Name()) {
				t.Errorf("the README lists %q of station %s, not %s", words, cmd.Name(), verb.Name())
			}
		}
	}
	for name := range said {
		t.Errorf("the README lists station %s, which there is not", name)
	}
}
