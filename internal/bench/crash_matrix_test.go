package bench

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

// matrix counts how trials end, by what was done to them.
type matrix struct {
	mu   sync.Mutex
	rows []row
}

type row struct {
	class, product string
	ends           map[string]int
}

// tryFunc queues one trial: what happens, to what, and the first visits. The
// device is then put back until it ends, and counted.
type tryFunc func(class string, p product, run func() *trial)

// fill runs the trials that feed queues. What was wrong on the way is an error
// of the test.
func (m *matrix) fill(t *testing.T, feed func(l *lab, try tryFunc)) {
	t.Helper()
	inLab(t, func(l *lab) {
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

// row is where the ends of one class are counted.
func (m *matrix) row(class, product string) map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows {
		if r.class == class && r.product == product {
			return r.ends
		}
	}
	ends := map[string]int{}
	m.rows = append(m.rows, row{class, product, ends})
	return ends
}

// table is the matrix in Markdown.
func (m *matrix) table() string {
	var b strings.Builder
	b.WriteString("| what happens | product | points | how it ends |\n|---|---|---:|---|\n")
	all := 0
	for _, r := range m.rows {
		points := 0
		var ends []string
		for _, end := range slices.SortedFunc(maps.Keys(r.ends), func(a, b string) int {
			return cmp.Or(r.ends[b]-r.ends[a], strings.Compare(a, b))
		}) {
			points += r.ends[end]
			ends = append(ends, fmt.Sprintf("%d %s", r.ends[end], end))
		}
		all += points
		fmt.Fprintf(&b, "| %s | %s | %d | %s |\n", r.class, r.product, points, strings.Join(ends, "<br>"))
	}
	fmt.Fprintf(&b, "| **all** | | **%d** | |\n", all)
	return b.String()
}

const matrixPath = "../../docs/crash-matrix.md"

// publish prints the matrix and holds it against its section of the document,
// which lies between two comments. Run with -update after a change.
func (m *matrix) publish(t *testing.T, section string) {
	t.Helper()
	table := m.table()
	t.Log("\n" + table)
	if raceEnabled {
		return // fewer points
	}
	b, err := os.ReadFile(matrixPath)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+section+" -->\n", "<!-- end -->"
	before, rest, ok := strings.Cut(string(b), begin)
	have, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no section %s", matrixPath, section)
	}
	if *update {
		if err := os.WriteFile(matrixPath, []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if have != table {
		t.Errorf("%s is not what the tests found; go test ./internal/bench -update", matrixPath)
	}
}
