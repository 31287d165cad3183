package main

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the generated documents")

// matrix counts what became of interrupted stations, by what happened to them.
type matrix struct {
	mu      sync.Mutex
	planned int
	tried   int
	classes []string
	ends    map[string]map[string]int
}

// count adds one trial.
func (m *matrix) count(class, end string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tried++
	if m.ends == nil {
		m.ends = map[string]map[string]int{}
	}
	if m.ends[class] == nil {
		m.ends[class] = map[string]int{}
	}
	m.ends[class][end]++
}

// plan says in which order classes stand, and how many trials there will be.
func (m *matrix) plan(class string, trials int) {
	if !slices.Contains(m.classes, class) {
		m.classes = append(m.classes, class)
	}
	m.planned += trials
}

// table is the matrix in Markdown.
func (m *matrix) table() string {
	var b strings.Builder
	b.WriteString("| what happens to the station | points | how it ends |\n|---|---:|---|\n")
	for _, class := range m.classes {
		points := 0
		var ends []string
		for _, end := range slices.SortedFunc(maps.Keys(m.ends[class]), func(x, y string) int {
			return cmp.Or(m.ends[class][y]-m.ends[class][x], strings.Compare(x, y))
		}) {
			points += m.ends[class][end]
			ends = append(ends, fmt.Sprintf("%d %s", m.ends[class][end], end))
		}
		fmt.Fprintf(&b, "| %s | %d | %s |\n", class, points, strings.Join(ends, "<br>"))
	}
	return b.String()
}

const matrixPath = "../../docs/crash-matrix.md"

// publish prints the matrix when all trials are over and holds it against its
// section of the document, which lies between two comments. Run with -update
// after a change. A part of the trials says nothing about the document.
func (m *matrix) publish(t *testing.T, section string) {
	t.Helper()
	t.Cleanup(func() {
		table := m.table()
		t.Log("\n" + table)
		if t.Failed() || m.tried != m.planned {
			return
		}
		b, err := os.ReadFile(matrixPath)
		if err != nil {
			t.Fatal(err)
		}
		begin, end := "<!-- "+section+" -->\n", "<!-- end -->"
		before, rest, ok := strings.Cut(string(b), begin)
		have, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Errorf("%s has no section %s", matrixPath, section)
		} else if *update {
			if err := os.WriteFile(matrixPath, []byte(before+begin+table+end+after), 0o644); err != nil {
				t.Error(err)
			}
		} else if have != table {
			t.Errorf("%s is not what the tests found; go test ./cmd/station -run Anywhere -update", matrixPath)
		}
	})
}
