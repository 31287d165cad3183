package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"station/internal/matrixtest"
)

// matrix counts what became of interrupted stations, by what happened to them.
type matrix struct {
	mu      sync.Mutex
	planned int
	tried   int
	classes []string
	ends    map[string]matrixtest.Ends
}

// count adds one trial.
func (m *matrix) count(class, end string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tried++
	if m.ends == nil {
		m.ends = map[string]matrixtest.Ends{}
	}
	if m.ends[class] == nil {
		m.ends[class] = matrixtest.Ends{}
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
		ends, points := m.ends[class].Cell()
		fmt.Fprintf(&b, "| %s | %d | %s |\n", class, points, ends)
	}
	return b.String()
}

// publish prints the matrix when all trials are over and holds it against its
// section of the document. Run with -update after a change. A part of the trials says nothing about the document.
func (m *matrix) publish(t *testing.T, section string) {
	t.Helper()
	t.Cleanup(func() {
		table := m.table()
		t.Log("\n" + table)
		if t.Failed() || m.tried != m.planned {
			return
		}
		matrixtest.Publish(t, section, table, "go test ./cmd/station -run Anywhere")
	})
}
