package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The key ceremony of docs/ceremony.md, every command of it in its order, by
// somebody who types at a terminal: SoftHSM2's tool, the station as users have it,
// and a virtual device.
func TestCeremony(t *testing.T) {
	doc, err := os.ReadFile("../../docs/ceremony.md")
	if err != nil {
		t.Fatal(err)
	}
	var script bytes.Buffer
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllSubmatch(doc, -1) {
		script.Write(block[1])
	}
	w := &workplace{t: t, dir: t.TempDir(), bin: install(t)}
	programs, at := t.TempDir(), filepath.Join(w.dir, "ceremony")
	for _, err := range []error{
		os.WriteFile(filepath.Join(programs, "station"), []byte("#!/bin/sh\nexec "+filepath.Join(w.bin, "plain/asbuilt")+" \"$@\"\n"), 0o700),
		os.MkdirAll(at, 0o700),
		os.CopyFS(filepath.Join(at, "lamp"), os.DirFS("../../fixtures/example")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script.String()+"\necho 'the ceremony is over'\n")
	cmd.Dir = at
	cmd.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), "TERM=dumb", "GORACE=atexit_sleep_ms=0")
	said := typed(t, cmd, map[string]string{"SO PIN": "12345678", "user PIN": testPIN, "pass phrase": "a passphrase"})
	if !strings.Contains(said, "the ceremony is over") || cmd.ProcessState.ExitCode() != 0 {
		t.Fatalf("exit code %d\n%s", cmd.ProcessState.ExitCode(), said)
	}
	if n := strings.Count(said, "no problems"); n != 2 {
		t.Errorf("the token and its backup: %d times without problems\n%s", n, said)
	}
	checks := regexp.MustCompile(`(?m)^check value +[0-9a-f]+`).FindAllString(said, -1)
	if len(checks) < 4 || strings.Join(checks[len(checks)-2:], " ") != strings.Join(checks[len(checks)-4:len(checks)-2], " ") {
		t.Errorf("check values %q: those of the backup are not those of the token", checks)
	}
	w.dir = at
	t.Setenv("SOFTHSM2_CONF", filepath.Join(at, "softhsm2.conf"))
	out, _ := w.run(0, "ledger", "export", "--table", "entries", "--simulated", "--format", "jsonl")
	if n := strings.Count(out, `"second":"carl"`); n != 2 {
		t.Errorf("%d of 2 recoveries have both names\n%s", n, out)
	}
	if w.run(2, "key", "recover", "02:00:00:00:00:00", "--operator", "dana", "--reason", "alone", "--job", "lamp/job.toml", "--out", "x"); fileThere(filepath.Join(at, "x")) {
		t.Error("one person recovered a key where two are wanted")
	}
}

func fileThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// typed runs a command on a terminal, at which somebody answers each question
// that holds one of the words, and returns all that it said.
func typed(t *testing.T, cmd *exec.Cmd, answers map[string]string) string {
	t.Helper()
	ours := onTerminal(t, cmd)
	var said, line bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := ours.Read(buf)
		said.Write(buf[:n])
		line.Write(buf[:n])
		if i := bytes.LastIndexByte(line.Bytes(), '\n'); i >= 0 {
			line.Next(i + 1)
		}
		if question := line.String(); strings.HasSuffix(strings.TrimRight(question, " "), ":") {
			for words, answer := range answers {
				if strings.Contains(question, words) {
					_, _ = ours.WriteString(answer + "\n")
					line.Reset()
				}
			}
		}
		if err != nil {
			break
		}
	}
	_ = cmd.Wait()
	return strings.ReplaceAll(said.String(), "\r", "")
}
