package ledger

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"station/internal/record"
)

// The test binary is also the program that the tests kill.
func TestMain(m *testing.M) {
	role, ok := children[os.Getenv("LEDGER_CHILD")]
	if !ok {
		os.Exit(m.Run())
	}
	if err := role(os.Getenv("LEDGER_PATH"), os.Getenv("LEDGER_DEVICE")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var children = map[string]func(path, device string) error{"append": child}

// child appends devices for ever and tells the index of each entry once it is
// on disk.
func child(path, from string) error {
	l, err := Open(path, bench)
	if err != nil {
		return err
	}
	defer l.Close()
	n, err := strconv.Atoi(from)
	for ; err == nil; n++ {
		for i, e := range run(n) {
			if i%5 == 4 {
				e.Undeclared = true
				_, err = l.Reserve(e)
			} else if e, err = l.Append(e); err == nil {
				fmt.Println(e.Index, e.Run, e.Kind)
			}
			if err != nil {
				return err
			}
		}
	}
	return err
}

// spawn starts a child that appends from device n on.
func spawn(t testing.TB, path string, n int) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), "LEDGER_CHILD=append", "LEDGER_PATH="+path, "LEDGER_DEVICE="+strconv.Itoa(n))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, bufio.NewScanner(out)
}

// A station that is killed at any moment has lost nothing that was acknowledged.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	acked := map[uint64]string{}
	for round := range 12 {
		cmd, lines := spawn(t, path, 1000*round)
		stop := 1 + rand.IntN(60)
		for n := 0; n < stop && lines.Scan(); n++ {
			noted(t, acked, lines.Text())
		}
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			noted(t, acked, lines.Text())
		}
		_ = cmd.Wait()
		mustBeWhole(t, path)
	}
	l := reopen(t, path, bench)
	for index, want := range acked {
		e, err := l.Entry(index)
		if got := fmt.Sprint(e.Run, " ", e.Kind); err != nil || got != want {
			t.Errorf("entry %d: got %s, %v, want %s", index, got, err, want)
		}
	}
	if size, _, _ := l.Head(); len(acked) < 100 || size < uint64(len(acked)) {
		t.Errorf("%d entries, %d acknowledged", size, len(acked))
	}
}

func noted(t *testing.T, acked map[uint64]string, line string) {
	t.Helper()
	number, rest, ok := strings.Cut(line, " ")
	index, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil {
		return // the line that the kill cut
	}
	if was, twice := acked[index]; twice {
		t.Errorf("index %d was given twice: %s, %s", index, was, rest)
	}
	acked[index] = rest
}

// Readers in another process see a whole ledger while the line writes it, and
// the line goes on.
func TestReadersBesideAStation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	_, lines := spawn(t, path, 0)
	var size uint64
	for i := range 25 {
		for at := uint64(0); at < size || at == 0; {
			if !lines.Scan() {
				t.Fatal("the station does not go on")
			}
			_, _ = fmt.Sscan(lines.Text(), &at)
		}
		l, err := Open(path, Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		n, _, err := l.Head()
		if err != nil || n <= size {
			t.Errorf("look %d: %d entries after %d, %v", i, n, size, err)
		}
		size = n
		everything(t, l)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// everything reads all that a ledger tells.
func everything(t testing.TB, l *Ledger) {
	t.Helper()
	var devices []record.Device
	for d, err := range l.Devices() {
		if err != nil {
			t.Error(err)
		}
		devices = append(devices, d)
	}
	for _, err := range l.Entries(0) {
		if err != nil {
			t.Error(err)
		}
	}
	for fault := range l.Check(nil) {
		t.Error(fault)
	}
	for _, d := range devices[max(0, len(devices)-3):] {
		if list, err := l.History(d.MAC); err != nil || len(list) == 0 {
			t.Errorf("history: %d, %v", len(list), err)
		}
	}
	if err := l.Backup(io.Discard); err != nil {
		t.Error(err)
	}
}
