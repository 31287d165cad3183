package sim

import (
	"bytes"
	"encoding/binary"
	"os"
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
