package sim

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"station/internal/chip"
)

var (
	extentBegin   = regexp.MustCompile(`^(FLASH|DEFL)_BEGIN (?:(encrypt=1)|(?:erase )?(0?x?[0-9a-f]+)) @(0x[0-9a-f]+): reply 20000000`)
	extentChanged = regexp.MustCompile(`\('(0x[0-9a-f]+)', '(0x[0-9a-f]+)'\)`)
)

// extents replays what was done to a flash full of 5A.
type extents struct {
	t    *testing.T
	c    *Chip
	h    *host
	op   byte
	data []byte // that the transfer should leave, and where
	at   uint32
	sent [][]byte // its blocks
}

// Each command of the C3's ROM changes just the sectors that it changed in the recording: BEGIN erases what
// it is told and no more, a stream is programmed when its window is full or it ends, and nothing behind it.
func TestExtentsOfTheC3(t *testing.T) {
	text, err := os.ReadFile("../../fixtures/rom-c3/extents.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")[1:]
	c, h := loaderHost(t, Options{Chip: chip.ESP32C3, Flash: bytes.Repeat([]byte{0x5a}, 2<<20), FlashSize: 2 << 20})
	x := &extents{t: t, c: c, h: h}
	commands := 0
	for i, line := range lines {
		if strings.Contains(line, "data right True, rest of the last sector still erased True") {
			x.right()
			continue
		}
		before := c.Flash()
		x.do(line, blocksAfter(lines[i+1:]))
		var want []string
		for _, m := range extentChanged.FindAllStringSubmatch(line, -1) {
			want = append(want, m[1]+"-"+m[2])
		}
		if got := changedSectors(before, c.Flash()); got != strings.Join(want, " ") {
			t.Errorf("%s: here %q", line, got)
		}
		commands++
	}
	if commands < 25 {
		t.Errorf("%d commands", commands)
	}
}

// blocksAfter are the blocks that follow a BEGIN.
func blocksAfter(lines []string) (n int) {
	for n < len(lines) && strings.Contains(lines[n], "DEFL_DATA") {
		n++
	}
	return n
}

// do sends the command of a line.
func (x *extents) do(line string, blocks int) {
	x.t.Helper()
	if m := extentBegin.FindStringSubmatch(line); m != nil {
		x.begin(m, blocks)
		return
	}
	if x.op != opDeflBegin { // one block of plain text
		if r := x.h.block(0, x.data); r.status != 0 {
			x.t.Fatalf("%s: error %#x", line, r.code)
		}
		return
	}
	seq, err := strconv.Atoi(strings.TrimPrefix(strings.Fields(strings.SplitN(line, ":", 2)[0])[1], "seq"))
	if err != nil {
		x.t.Fatalf("%s: %v", line, err)
	}
	p := x.sent[seq]
	if r := x.h.one(opDeflData, checksum(p), append(words(uint32(len(p)), uint32(seq), 0, 0), p...)); r.status != 0 {
		x.t.Fatalf("%s: error %#x", line, r.code)
	}
}

func (x *extents) begin(m []string, blocks int) {
	x.t.Helper()
	size, _ := strconv.ParseUint(m[3], 0, 32)
	at, err := strconv.ParseUint(m[4], 0, 32)
	if err != nil {
		x.t.Fatal(err)
	}
	encrypt := uint32(0)
	if m[2] != "" {
		size, encrypt = 0x400, 1
	}
	x.op, x.at, x.sent = map[string]byte{"FLASH": opFlashBegin, "DEFL": opDeflBegin}[m[1]], uint32(at), nil
	x.data = make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(x.data)
	if z := deflate(x.t, x.data); blocks > 0 {
		n := (len(z)/blocks + 4) &^ 3
		for ; len(z)%4 != 0 || len(z) < n*(blocks-1)+4; z = append(z, 0) {
		}
		for i := range blocks {
			x.sent = append(x.sent, z[i*n:min((i+1)*n, len(z))])
		}
	}
	x.h.ok(x.op, words(uint32(size), uint32(max(blocks, 1)), maxBlock, x.at, encrypt))
}

// right holds what is in the flash against what was sent.
func (x *extents) right() {
	x.t.Helper()
	end := (len(x.data) + sectorSize - 1) / sectorSize * sectorSize
	want := append(bytes.Clone(x.data), bytes.Repeat([]byte{0xff}, end-len(x.data))...)
	if got := x.c.Flash()[x.at:][:end]; !bytes.Equal(got, want) {
		x.t.Errorf("at %#x, %d bytes: the flash holds something else", x.at, len(x.data))
	}
}

// changedSectors are the runs of sectors in which two flashes differ.
func changedSectors(before, after []byte) string {
	var runs []string
	for at := 0; at < len(before); at += sectorSize {
		from := at
		for at < len(before) && !bytes.Equal(before[at:at+sectorSize], after[at:at+sectorSize]) {
			at += sectorSize
		}
		if at > from {
			runs = append(runs, fmt.Sprintf("%#x-%#x", from, at))
		}
	}
	return strings.Join(runs, " ")
}
