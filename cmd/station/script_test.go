package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	asReal = true
	if signal.Ignored(os.Interrupt) { // as a script's command in the background: the programs of the tests would ignore it too
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	testscript.Main(suite{m}, map[string]func(){"station": main, "interrupted": interrupted, "commands": runCommands, "asbuilt": func() { asReal = false; main() }})
}

// Each script is one feature, as its user meets it. The example job is in
// example, files of other builds in cases, a SoftHSM2 store of its own in $SOFTHSM2_CONF.
func TestScripts(t *testing.T) {
	programs := filepath.Join(install(t), "plain")
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", programs+string(filepath.ListSeparator)+env.Getenv("PATH"))
			return setup(env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sim":    startedSim,
			"endsim": stopSim,
			"token":  initToken,
			"edit":   editFile,
			"exits":  exits,
			"digest": digest,
			"newkey": newKey,
			"header": header,
			"bend":   bend,
			"record": recordLedger,
			"bind":   bindNames,
			"flip":   flip,

			"schema":       answered,
			"schemas-seen": allAnswered,
		},
	})
}

// No script ends before its last line: "stop" and "skip" end one and call it
// passed.
func TestScriptsRunToTheirEnd(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal(scripts, err)
	}
	ends := regexp.MustCompile(`(?m)^\s*(\[[^]]*\]\s*)*(stop|skip)\b.*$`)
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range ends.FindAllString(string(text), -1) {
			t.Errorf("%s: %s", script, strings.TrimSpace(line))
		}
	}
}

func setup(env *testscript.Env) error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	for _, dir := range []string{"example", "small", "cases", "chips"} {
		if err := os.CopyFS(filepath.Join(env.WorkDir, dir), os.DirFS(filepath.Join(root, "fixtures", dir))); err != nil {
			return err
		}
	}
	if err := secureBootVectors(env); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(env.WorkDir, "key.bin"), []byte("000102030405060708090a0b0c0d0e0f"), 0o600); err != nil {
		return err
	}
	store := filepath.Join(env.WorkDir, ".tokens")
	if err := os.Mkdir(store, 0o700); err != nil {
		return err
	}
	conf := filepath.Join(env.WorkDir, ".softhsm2.conf")
	env.Setenv("SOFTHSM2_CONF", conf)
	env.Setenv("TERM", "dumb")
	env.Setenv("GORACE", "atexit_sleep_ms=0") // a program of the race detector takes a second to end
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", store)
	return os.WriteFile(conf, []byte(text), 0o600)
}

// sims are the running virtual chips of all scripts, by their addresses.
var sims sync.Map

// sim NAME PROGRAM LISTEN ARGS... serves a virtual chip until the script ends or stops
// it, and puts the address that it says into $NAME.
func startedSim(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], args[1]), append([]string{"sim", "--listen", args[2]}, args[3:]...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "SOFTHSM2_CONF="+ts.Getenv("SOFTHSM2_CONF"))
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	stop := sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	})
	ts.Defer(stop)
	line, err := bufio.NewReader(out).ReadString('\n')
	ts.Check(err)
	address := strings.TrimSpace(line)
	sims.Store(address, stop)
	ts.Setenv(args[0], address)
}

// endsim NAME stops a virtual chip; "stop" would end the script, as testscript has it.
func stopSim(ts *testscript.TestScript, _ bool, args []string) {
	stop, ok := sims.LoadAndDelete(ts.Getenv(args[0]))
	if !ok {
		ts.Fatalf("no virtual chip %s", args[0])
	}
	stop.(func())()
}

// token LABEL PIN makes a SoftHSM2 token and a station.toml that names it.
func initToken(ts *testscript.TestScript, _ bool, args []string) {
	label, pin := args[0], args[1]
	ts.Check(ts.Exec("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", pin))
	ts.Check(os.WriteFile(ts.MkAbs("pin"), []byte(pin), 0o600))
	toml := fmt.Sprintf("id = \"bench-1\"\nledger = \"ledger.db\"\n[hsm]\nuri = \"pkcs11:token=%s?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:pin\"\nallow_software_token = true\n", label)
	ts.Check(os.WriteFile(ts.MkAbs("station.toml"), []byte(toml), 0o600))
}

// edit FILE OLD NEW replaces text that must be there.
func editFile(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	changed := strings.Replace(text, args[1], args[2], 1)
	if changed == text {
		ts.Fatalf("%s holds no %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(changed), 0o600))
}

// exits CODE PROGRAM ARGS... runs a program that must end with that code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s\n%s%s", got, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// digest NAME JOB puts the digest of the job's burn plan into $NAME.
func digest(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("station", "job", "check", args[1]))
	_, after, _ := strings.Cut(ts.ReadFile("stdout"), "plan digest  ")
	ts.Setenv(args[0], strings.Fields(after)[0])
}

// secureBootVectors puts espsecure's bootloader digest into sb, its key and the
// file that it is made of; $IV is the IV.
func secureBootVectors(env *testscript.Env) error {
	for to, from := range map[string]string{"sbkey32.bin": "sbkey32.bin", "bootloader.bin": "bootloader.bin", "app.bin": "app.bin", "want": "digest32.bin"} {
		data, err := os.ReadFile(filepath.Join("../../fixtures/secureboot", from))
		if err != nil {
			return err
		}
		if to == "want" {
			data = data[:192] // FF and the bootloader follow
		}
		if err := os.MkdirAll(filepath.Join(env.WorkDir, "sb"), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(env.WorkDir, "sb", to), data, 0o600); err != nil {
			return err
		}
	}
	iv, err := os.ReadFile("../../fixtures/secureboot/iv.bin")
	env.Setenv("IV", hex.EncodeToString(iv))
	return err
}
