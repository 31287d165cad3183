package flow_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"station/internal/matrixtest"
	"station/internal/racetest"
)

// raceStride: of so many points one is tried under the race detector. Every point
// has the same goroutines, and without the detector all are tried.
const raceStride = 300

// matrix counts how trials end, by what was done to them.
type matrix struct {
	mu   sync.Mutex
	rows []row
}

type row struct {
	class, product string
	ends           matrixtest.Ends
}

// tryFunc queues one trial: what happens, to what, and the first visits. The
// device is then put back until it ends, and counted.
type tryFunc func(class string, p product, run func() *trial)

// fill runs the trials that feed queues. What was wrong on the way is an error
// of the test.
func (m *matrix) fill(t *testing.T, feed func(l *lab, try tryFunc)) {
	t.Helper()
	inLab(t, func(l *lab) {
		if err := l.newWays(); err != nil {
			t.Fatal(err)
		}
		parallel(func(do func(func())) {
			feed(l, func(class string, p product, run func() *trial) {
				ends := m.row(class, p.name)
				do(func() {
					tr := run()
					end := tr.finish()
					if tr.expect != "" && end != tr.expect {
						tr.fault("want %s: %v", tr.expect, tr.last().Failure)
					}
					for _, w := range tr.wrong {
						t.Errorf("%s, %s %+v: %s: %v", class, p.name, tr.faults, end, w)
					}
					if tr.expect != "" && len(tr.outs) > 1 {
						end = how(tr.outs[0]) + ", then " + strings.TrimSuffix(end, " when put back")
					}
					m.mu.Lock()
					defer m.mu.Unlock()
					ends[end]++
				})
			})
		})
	})
}

// fillAlong is fill for trials of one product, along its undisturbed run.
func (m *matrix) fillAlong(t *testing.T, p product, feed func(l *lab, try tryFunc, ref run)) {
	t.Helper()
	m.fill(t, func(l *lab, try tryFunc) {
		ref, err := l.undisturbed(p)
		if err != nil {
			t.Error(err)
			return
		}
		feed(l, try, ref)
	})
}

// row is where the ends of one class are counted.
func (m *matrix) row(class, product string) matrixtest.Ends {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows {
		if r.class == class && r.product == product {
			return r.ends
		}
	}
	ends := matrixtest.Ends{}
	m.rows = append(m.rows, row{class, product, ends})
	return ends
}

// table is the matrix in Markdown.
func (m *matrix) table() string {
	var b strings.Builder
	b.WriteString("| what happens | product | points | how it ends |\n|---|---|---:|---|\n")
	all := 0
	for _, r := range m.rows {
		ends, points := r.ends.Cell()
		all += points
		fmt.Fprintf(&b, "| %s | %s | %d | %s |\n", r.class, r.product, points, ends)
	}
	fmt.Fprintf(&b, "| **all** | | **%d** | |\n", all)
	return b.String()
}

// publish prints the matrix and holds it against its section of the document.
// Run with -update after a change.
func (m *matrix) publish(t *testing.T, section string) {
	t.Helper()
	table := m.table()
	t.Log("\n" + table)
	if racetest.Enabled {
		return // fewer points
	}
	matrixtest.Publish(t, section, table, "go test ./internal/flow")
}
