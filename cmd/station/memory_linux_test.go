package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"station/internal/flow"
)

// After burn-key the key is gone from the station's own memory: the key in
// every byte order, and the AES schedules that encrypted the images.
func TestNoKeyInMemoryAfterBurnKey(t *testing.T) {
	w := newWorkplace(t)
	w.manualJob()
	// The station stands still while its memory is searched, and its patience with
	// the device runs on.
	path := filepath.Join(w.dir, "example", "job.toml")
	job := readFile(t, path)
	patient := strings.Replace(job, `timeout = "10s"`, `timeout = "10m"`, 1)
	if patient == job {
		t.Fatalf("%s has no timeout of 10s", path)
	}
	if err := os.WriteFile(path, []byte(patient), 0o644); err != nil {
		t.Fatal(err)
	}
	approval := w.approval()
	// The same MAC has the same key: a first chip tells which to search for.
	state := t.TempDir()
	c := w.sim("--boot", "--state", state)
	w.seal(0, c.press, "--job", "example/job.toml", "--port", c.address, "--approve", approval, "--operator", "anna")
	c.stop()
	fuses, err := os.ReadFile(filepath.Join(state, "efuse.bin"))
	if err != nil {
		t.Fatal(err)
	}
	needles := keyNeedles(fuses[28:60])
	if err := os.Remove(filepath.Join(w.dir, "ledger.db")); err != nil {
		t.Fatal(err)
	}

	c = w.sim("--boot", "--state", t.TempDir())
	w.searchedRun(c, "example/job.toml", approval, needles)
}

// After the flash is written nothing of the identity's secrets is in memory
// either: neither the token nor the private key, as bytes, in hexadecimal digits
// or in base64.
func TestNoIdentityInMemoryAfterFlash(t *testing.T) {
	w := newWorkplace(t)
	w.ownRoot()
	w.withIdentity("lamp")
	path := filepath.Join(w.dir, "lamp", "job.toml")
	if err := os.WriteFile(path, []byte(strings.Replace(readFile(t, path), `timeout = "10s"`, `timeout = "10m"`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	first := w.sealOne("lamp/job.toml", fileMAC, "--job", "lamp/job.toml")
	needles := map[string][]byte{}
	for name, secret := range w.secretsOf(first) {
		needles[name] = secret
		needles[name+", first half"], needles[name+", second half"] = secret[:16], secret[16:]
		back := slices.Clone(secret)
		slices.Reverse(back)
		needles[name+", reversed"] = back
		needles[name+" in hexadecimal digits"] = []byte(hex.EncodeToString(secret))
		needles[name+" in base64"] = []byte(base64.RawStdEncoding.EncodeToString(secret)[:40])
	}
	if err := os.Remove(filepath.Join(w.dir, "ledger.db")); err != nil {
		t.Fatal(err)
	}
	out, _ := w.run(0, "job", "check", "lamp/job.toml")
	_, after, _ := strings.Cut(out, "plan digest  ")
	c := w.sim("--boot", "--state", t.TempDir(), "--job", "lamp/job.toml", "--mac", fileMAC)
	w.searchedRun(c, "lamp/job.toml", strings.Fields(after)[0], needles)
}

// searchedRun seals a device and searches the station's memory: while the flash is
// written, when something of the needles must be there, and before the device
// starts, when nothing may be.
func (w *workplace) searchedRun(c *simChip, job, approval string, needles map[string][]byte) {
	t := w.t
	t.Helper()
	cmd := w.command("run", "--headless", "--once", "--job", job, "--port", c.address, "--approve", approval, "--operator", "anna")
	cmd.Path = filepath.Join(w.bin, "plain", "station") // the detector's own memory is many times as large
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var e flow.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		switch {
		case e.Event == flow.LineReady:
			if limits := readFile(t, fmt.Sprintf("/proc/%d/limits", cmd.Process.Pid)); !regexp.MustCompile(`Max core file size +0 +0 `).MatchString(limits) {
				t.Errorf("core dumps are on:\n%s", limits)
			}
		case e.Event == flow.StepProgress && e.Step == "flash" && e.Percent == 50:
			if len(search(t, cmd.Process.Pid, needles)) == 0 {
				t.Error("the search finds nothing while the images are encrypted")
			}
		case e.Event == flow.StepStarted && e.Step == "boot":
			for _, found := range search(t, cmd.Process.Pid, needles) {
				t.Errorf("after burn-key the station's memory holds the %s", found)
			}
		}
		c.press(e)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// keyNeedles are what a key looks like in memory: itself, in the orders in
// which it passes through programs, and the first and last rounds of its AES
// schedule for addresses of the images.
func keyNeedles(block1 []byte) map[string][]byte {
	needles := map[string][]byte{}
	for order, key := range keyOrders(block1) {
		needles["key, "+order] = key
		needles["first half, "+order] = key[:16]
		needles["second half, "+order] = key[16:]
	}
	file := slices.Clone(block1)
	slices.Reverse(file)
	schedule := expand(file)
	swapped := make([]byte, 0, len(schedule))
	for i := 0; i < len(schedule); i += 4 {
		swapped = binary.BigEndian.AppendUint32(swapped, binary.LittleEndian.Uint32(schedule[i:]))
	}
	for round := 2; round < 15; round++ {
		needles[fmt.Sprintf("round key %d", round)] = schedule[16*round:][:16]
		needles[fmt.Sprintf("round key %d, words swapped", round)] = swapped[16*round:][:16]
	}
	return needles
}

// expand is the AES-256 key schedule (FIPS 197, 5.2), without the code under test.
func expand(key []byte) []byte {
	w := slices.Clone(key)
	rcon := byte(1)
	for i := 8; i < 60; i++ {
		word := slices.Clone(w[4*i-4 : 4*i])
		if i%8 == 0 {
			word = []byte{sbox(word[1]) ^ rcon, sbox(word[2]), sbox(word[3]), sbox(word[0])}
			rcon <<= 1
		} else if i%8 == 4 {
			word = []byte{sbox(word[0]), sbox(word[1]), sbox(word[2]), sbox(word[3])}
		}
		for b := range 4 {
			w = append(w, w[4*(i-8)+b]^word[b])
		}
	}
	return w
}

// sbox computes the inverse in GF(2^8) and the affine map.
func sbox(x byte) byte {
	inverse := byte(0)
	for y := 1; y < 256 && x != 0; y++ {
		if times(x, byte(y)) == 1 {
			inverse = byte(y)
		}
	}
	s := inverse
	for i := 1; i <= 4; i++ {
		s ^= inverse<<i | inverse>>(8-i)
	}
	return s ^ 0x63
}

func times(a, b byte) (p byte) {
	for ; b != 0; b >>= 1 {
		if b&1 != 0 {
			p ^= a
		}
		carry := a >> 7
		a = a<<1 ^ carry*0x1b
	}
	return p
}

// The expansion of this test agrees with the standard.
func TestExpand(t *testing.T) {
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	// FIPS 197, A.3 and C.3 use this key; its last round key is known.
	want := []byte{0x24, 0xfc, 0x79, 0xcc, 0xbf, 0x09, 0x79, 0xe9, 0x37, 0x1a, 0xc2, 0x3c, 0x6d, 0x68, 0xde, 0x36}
	if got := expand(key)[224:]; !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// stands tells whether all threads of a process are stopped.
func stands(t *testing.T, pid int) bool {
	t.Helper()
	states, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(states) == 0 {
		t.Fatal(states, err)
	}
	return !slices.ContainsFunc(states, func(path string) bool {
		b, err := os.ReadFile(path)
		return err == nil && !bytes.Contains(b, []byte(") T ")) // one that has ended is none
	})
}

// search stops a process and looks through all of its memory.
func search(t *testing.T, pid int, needles map[string][]byte) (found []string) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGCONT)
	for !stands(t, pid) {
		time.Sleep(time.Millisecond)
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	total := 0
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var perm string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &perm); err != nil || !strings.HasPrefix(perm, "rw") {
			continue
		}
		b := make([]byte, to-from)
		n, _ := mem.ReadAt(b, from) // some special pages cannot be read
		total += n
		for name, needle := range needles {
			if bytes.Contains(b[:n], needle) {
				found = append(found, name+" in "+strings.TrimSpace(line))
			}
		}
	}
	if total < 1<<20 {
		t.Fatalf("only %d bytes of memory could be read", total)
	}
	return found
}
