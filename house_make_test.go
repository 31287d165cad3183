package house_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What tries only a sample of its cases under the race detector tries all of
// them in the other run of make test, and that run names nothing else.
func TestSampledTestsRunInFull(t *testing.T) {
	_, list, _ := strings.Cut(readFile(t, "Makefile"), "\nFULL := ")
	list, _, _ = strings.Cut(list, "\ntest:")
	list = strings.NewReplacer("$\\\n\t", "", "$$", "$").Replace(strings.TrimSpace(list))
	full := strings.Split(list, "|")
	used := map[string]bool{}
	for _, name := range testsThat(t, regexp.MustCompile(`\braceEnabled\b|\bcases\.out\(\)|\bm\.publish\(`), "cmd/station", "internal/station") {
		i := slices.IndexFunc(full, func(one string) bool { return regexp.MustCompile(one).MatchString(name) })
		if i < 0 {
			t.Errorf("%s tries a sample under the race detector, and FULL of the Makefile does not name it", name)
			continue
		}
		used[full[i]] = true
	}
	for _, one := range full {
		if !used[one] {
			t.Errorf("FULL of the Makefile has %q, which is no test with a sample", one)
		}
	}
}

// testsThat are the names of the tests whose text matches.
func testsThat(t *testing.T, what *regexp.Regexp, dirs ...string) (names []string) {
	t.Helper()
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, fn := range strings.Split(string(b), "\nfunc ")[1:] {
				body, _, _ := strings.Cut(fn, "\n}\n")
				if name, _, _ := strings.Cut(fn, "("); strings.HasPrefix(name, "Test") && what.MatchString(body) {
					names = append(names, name)
				}
			}
		}
	}
	return names
}
