// Package matrixtest counts how interrupted work ends, for the tables of
// docs/crash-matrix.md and docs/site-faults.md, which tests of several packages fill.
package matrixtest

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// Update is the flag -update of the tests that write documents.
var Update = flag.Bool("update", false, "write the generated documents")

const path = "../../docs/crash-matrix.md" // from the packages that use it

// Ends is how often trials ended in which way.
type Ends map[string]int

// Cell is all ends as one cell of a table in Markdown, the most frequent first,
// and how many trials there were.
func (e Ends) Cell() (text string, trials int) {
	var list []string
	for _, end := range slices.SortedFunc(maps.Keys(e), func(a, b string) int {
		return cmp.Or(e[b]-e[a], strings.Compare(a, b))
	}) {
		trials += e[end]
		list = append(list, fmt.Sprintf("%d %s", e[end], end))
	}
	return strings.Join(list, "<br>"), trials
}

// Publish holds a table against its section of docs/crash-matrix.md.
func Publish(t *testing.T, section, table, command string) {
	t.Helper()
	PublishIn(t, path, section, table, command)
}

// PublishIn holds a table against its section of a document, which lies between
// two comments, or with -update writes it there. command is the test's.
func PublishIn(t *testing.T, path, section, table, command string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+section+" -->\n", "<!-- end -->"
	before, rest, ok := strings.Cut(string(b), begin)
	have, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no section %s", path, section)
	}
	if *Update {
		if err := os.WriteFile(path, []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if have != table {
		t.Errorf("%s is not what the tests found; %s -update", path, command)
	}
}
