package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// commands is a station process that runs one command line after the other:
// where very many are tried, most of the time would go into starting it.
type commands struct {
	t        *testing.T
	dir      string
	process  *exec.Cmd
	requests *json.Encoder
	answers  *os.File
	out, err *os.File
	close    func()
}

func newCommands(t *testing.T, dir string) *commands {
	t.Helper()
	c := &commands{t: t, dir: dir}
	c.start()
	t.Cleanup(func() { c.close() })
	return c
}

// start starts the process; its output goes into two files.
func (c *commands) start() {
	c.t.Helper()
	name := filepath.Join(install(c.t), "commands")
	theirs, requests, err1 := os.Pipe()
	answers, ours, err2 := os.Pipe()
	out, err3 := os.OpenFile(name+".out", os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	errOut, err4 := os.OpenFile(name+".err", os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(name)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = c.dir, out, errOut, []*os.File{theirs, ours}
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	theirs.Close()
	ours.Close()
	c.process, c.requests, c.answers, c.out, c.err = cmd, json.NewEncoder(requests), answers, out, errOut
	c.close = func() {
		requests.Close()
		_ = cmd.Wait()
		answers.Close()
		out.Close()
		errOut.Close()
	}
}

// run runs a command, which has to end within d, and returns what it wrote.
func (c *commands) run(d time.Duration, args ...string) (stdout, stderr []byte, code int) {
	c.t.Helper()
	err := c.requests.Encode(args)
	if err == nil {
		_ = c.answers.SetReadDeadline(time.Now().Add(d))
		_, err = fmt.Fscanln(c.answers, &code)
	}
	stdout, stderr = c.taken(c.out), c.taken(c.err)
	if err != nil {
		c.t.Errorf("station %q: did not end within %v: %v\n%s%s", args, d, err, stdout, stderr)
		_ = c.process.Process.Kill()
		c.close()
		c.start()
		code = killed
	}
	return stdout, stderr, code
}

// taken reads a file of the process and empties it.
func (c *commands) taken(f *os.File) []byte {
	c.t.Helper()
	b, err := os.ReadFile(f.Name())
	if err := errors.Join(err, f.Truncate(0)); err != nil {
		c.t.Fatal(err)
	}
	return b
}

// runCommands is the program "commands": each line of descriptor 3 is a command
// line, each of descriptor 4 its exit code.
func runCommands() {
	syscall.CloseOnExec(3)
	syscall.CloseOnExec(4)
	requests, codes := json.NewDecoder(os.NewFile(3, "requests")), os.NewFile(4, "codes")
	for {
		var args []string
		if requests.Decode(&args) != nil {
			return
		}
		os.Args = append([]string{"station"}, args...)
		modules = moduleVoice{}
		fmt.Fprintln(codes, run())
	}
}
