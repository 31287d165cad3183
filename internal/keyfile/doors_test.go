package keyfile

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// elsewhere may open files without this package: what each opens is no input
// and no output of a user, or it says why.
var elsewhere = map[string]string{
	"internal/keyfile":                 "the door itself",
	"internal/sim":                     "shares nothing with the rest; has a door of its own",
	"internal/port/system.go":          "/sys of the system",
	"internal/port/porttest":           "makes test benches",
	"internal/hsm/hsmtest":             "makes test tokens",
	"internal/flow/flowtest":           "makes copies of jobs for tests",
	"internal/hsm/throwaway.go":        "a new folder of its own",
	"internal/hsm/module.go":           "looks for libraries",
	"internal/hsm/remember.go":         "removes the file that it keeps",
	"internal/matrixtest":              "pages of the docs",
	"internal/ledger/door_linux.go":    "the folder of its socket",
	"internal/ledger/ledger.go":        "what bbolt has been told to open, after openFile",
	"cmd/station/ledger_recover.go":    "a copy beside the ledger, of a new name",
	"cmd/station/ledger_backup.go":     "removes the copy that it has made",
	"cmd/station/sim.go":               "the sockets of its applications",
	"cmd/station/log_file.go":          "a pipe as a log, opened for both ways; all else by Append",
	"internal/station/author_forms.go": "a temporary file of its own",
	"internal/station/doctor_ports.go": "/proc of the system",
	"internal/store":                   "a folder of its own, where a file has its name by what came",
	"fixtures":                         "makes the fixtures",
	"device/secure_ota/test/gen":       "makes the component's fixtures",
	"internal/station/rates.go":        "sets a file aside",
	"internal/station/site.go":         "removes the file that it keeps",
	"internal/site/replica/replica.go": "removes the ledger that it has made",
	"internal/site/sitetest":           "makes clusters for tests",
	"internal/site/hub/server.go":      "the lock and the address in its own folder",
}

// Whoever reads or writes files does it by way of this package.
func TestOneDoor(t *testing.T) {
	calls := []string{"ReadFile", "Open", "OpenFile", "Create", "CreateTemp", "WriteFile", "Rename", "Remove", "Truncate"}
	root := "../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		for allowed := range elsewhere {
			if strings.HasPrefix(filepath.ToSlash(rel), allowed) {
				return nil
			}
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "os" && slices.Contains(calls, sel.Sel.Name) {
				t.Errorf("%s: os.%s: open files with keyfile", set.Position(call.Pos()), sel.Sel.Name)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
