package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"station/internal/racetest"
)

// common is a folder for what the tests make once for all of them.
var common = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "station-tests") })

// suite is all tests, and takes away in the end what they share.
type suite struct{ *testing.M }

func (s suite) Run() int {
	code := s.M.Run()
	if dir, err := common(); err == nil {
		os.RemoveAll(dir)
	}
	return code
}

// withoutRace is the program for commands that do one thing after the other. Under
// the race detector it takes several times as long to start one as it takes to
// do the work of most commands, so it is without the detector. It is compiled as make
// build and make demo compile the program, which leaves little of it to do after them.
var withoutRace = sync.OnceValues(func() (string, error) {
	if !racetest.Enabled {
		return os.Executable()
	}
	dir, err := common()
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "plain.test")
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-ldflags=-w", "-o", name, "station/cmd/station").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go test -c: %w\n%s", err, out)
	}
	return name, nil
})

// concurrent are the commands that do several things at once.
var concurrent = []string{"run", "rehearse", "demo", "serve"}

// install makes a folder with the programs under their names: of the tests as
// they are, and of the plain ones.
func install(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	self, err := os.Executable()
	plain, err1 := withoutRace()
	err = errors.Join(err, err1, os.Mkdir(filepath.Join(dir, "plain"), 0o700))
	for name, target := range map[string]string{"station": self, "interrupted": self, "commands": self, "plain/station": plain, "plain/asbuilt": plain} {
		err = errors.Join(err, os.Symlink(target, filepath.Join(dir, name)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// program runs one of the installed programs, the plain one for what needs no more.
func program(dir, name string, args ...string) *exec.Cmd {
	if name == "station" && len(args) > 0 && !slices.Contains(concurrent, args[0]) {
		name = "plain/station"
	}
	return exec.Command(filepath.Join(dir, name), args...)
}
