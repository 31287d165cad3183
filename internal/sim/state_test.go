package sim

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The folder is the chip: what was burned and flashed is there at once, and
// what is there comes back, whatever the options say.
func TestStateFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "chip")
	o := Options{State: dir, Revision: 1, Crystal: 26, MAC: [6]byte{1, 2, 3, 4, 5, 6}, FlashSize: 1 << 20}
	c, h := loaderHost(t, o)
	h.burn(26, map[int]uint32{7: 0xcafe, 0: 1 << 16})
	h.flash(0x3000, []byte("in the folder"))
	onDisk := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	fuses := onDisk("efuse.bin")
	if len(fuses) != 124 || binary.LittleEndian.Uint32(fuses) != 1<<16 || binary.LittleEndian.Uint32(fuses[28:]) != 0xcafe {
		t.Errorf("efuse.bin: % x", fuses)
	}
	if got := onDisk("flash.bin"); !bytes.Equal(got, c.Flash()) || !bytes.Contains(got, []byte("in the folder")) {
		t.Error("flash.bin differs from the flash")
	}
	want := c.Fuses()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again, h := loaderHost(t, Options{State: dir, Flash: []byte("not this"), MAC: [6]byte{9}})
	if again.Fuses() != want || !bytes.Equal(again.Flash(), onDisk("flash.bin")) {
		t.Error("another chip came back")
	}
	if got := h.reg(regUARTDiv) & 0xfffff; got != 224 {
		t.Errorf("the crystal was forgotten: divider %d", got)
	}
	if got := h.rdata(7); got != 0 {
		t.Errorf("the read protection was forgotten: got %#x", got)
	}
}

func TestBrokenStateFolder(t *testing.T) {
	for name, content := range map[string][]byte{
		"efuse.bin": make([]byte, 123),
		"flash.bin": make([]byte, 5000),
		"chip.json": []byte(`{"crystalMHz": 41}`),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{State: dir}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(Options{State: "/dev/null/x"}); err == nil {
		t.Error("a folder that cannot be made was accepted")
	}
}

// Fuses from elsewhere, without the rest: the revision follows them.
func TestRevisionFollowsTheFuses(t *testing.T) {
	for _, revision := range []int{Rev0, 1, 3} {
		dir := t.TempDir()
		w := FactoryWords(Options{Revision: revision})
		if err := os.WriteFile(filepath.Join(dir, "efuse.bin"), wordBytes(w[:31]), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := newChip(t, Options{State: dir}); got.opts.Revision != revision || got.Fuses() != w {
			t.Errorf("got revision %d, want %d", got.opts.Revision, revision)
		}
	}
}

const killedDir = "STATION_SIM_KILLED_DIR"

// A process killed at any moment leaves a chip of which everything that was
// answered is true.
func TestKilledProcess(t *testing.T) {
	if dir := os.Getenv(killedDir); dir != "" {
		burnForEver(t, dir)
	}
	dir := t.TempDir()
	const answered = 20
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledProcess$")
	cmd.Env = append(os.Environ(), killedDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for i := 0; i < answered && lines.Scan(); i++ {
		if lines.Text() != fmt.Sprint(i) {
			t.Fatalf("got %q", lines.Text())
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	c := newChip(t, Options{State: dir})
	flash := c.Flash()
	w := c.Fuses()
	for i := range answered {
		if got := flash[i*sectorSize : (i+1)*sectorSize]; !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, sectorSize)) {
			t.Errorf("sector %d holds %x …", i, got[:4])
		}
		if w[7+i/32]>>(i%32)&1 == 0 {
			t.Errorf("bit %d is not burned", i)
		}
	}
}

// burnForEver writes a sector and burns a bit, tells, and goes on until it is killed.
func burnForEver(t *testing.T, dir string) {
	_, h := loaderHost(t, Options{State: dir})
	for i := range 256 {
		h.flash(uint32(i*sectorSize), bytes.Repeat([]byte{byte(i)}, sectorSize))
		h.burn(40, map[int]uint32{7 + i/32: 1 << (i % 32)})
		fmt.Println(i)
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []Options{
		{Revision: 4}, {Crystal: 48}, {Coding: 4}, {FlashSize: 3 << 20}, {FlashSize: 32 << 20},
		{FlashSize: 4096, Flash: make([]byte, 4097)}, {LoaderStraps: 0x13}, {BootStraps: 0x03},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}
