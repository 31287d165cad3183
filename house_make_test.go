package house_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What tries only a sample of its cases under the race detector, as make test
// runs it, tries all of them in make cases, which names nothing else; and what
// must be green before anything lands runs both.
func TestSampledTestsRunInFull(t *testing.T) {
	_, list, _ := strings.Cut(readFile(t, "Makefile"), "\nFULL := ")
	list, _, _ = strings.Cut(list, "\nFULL_IN := ")
	list = strings.NewReplacer("$\\\n\t", "", "$$", "$").Replace(strings.TrimSpace(list))
	full := strings.Split(list, "|")
	ci := readFile(t, ".ci/run")
	for _, target := range []string{"test", "cases"} {
		if !strings.Contains(ci, "\nmake "+target+"\n") {
			t.Errorf(".ci/run does not make %s", target)
		}
	}
	_, in, _ := strings.Cut(readFile(t, "Makefile"), "\nFULL_IN := ")
	in, _, _ = strings.Cut(in, "\n")
	var dirs []string
	for _, dir := range packageDirs(t) {
		if len(testsThat(t, sampled, dir)) > 0 {
			dirs = append(dirs, "./"+dir)
		}
	}
	if want := strings.Fields(in); !sameSet(dirs, want) {
		t.Errorf("tests that try a sample under the race detector are in %v, and FULL_IN of the Makefile has %v", dirs, want)
	}
	used := map[string]bool{}
	for _, name := range testsThat(t, sampled, dirs...) {
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

// sampled is in the text of a test that tries a sample under the race detector.
var sampled = regexp.MustCompile(`\bracetest\.|\bcases\.Out\(|\bm\.publish\(`)

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// packageDirs are the folders with tests.
func packageDirs(t *testing.T) []string {
	t.Helper()
	dirs := map[string]bool{}
	for _, root := range []string{"cmd", "internal", "fixtures"} {
		err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
			if strings.HasSuffix(path, "_test.go") {
				dirs[filepath.Dir(path)] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return slices.Sorted(maps.Keys(dirs))
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
