package sim

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"station/internal/chip"
)

// burnBlock programs a block of a C3.
func (h *host) burnBlock(block int, data []uint32) {
	h.t.Helper()
	h.burnBlockOf(chip.ESP32C3, block, data)
}

// burnBlockOf programs a block with its check words, in the order in which other
// clients do.
func (h *host) burnBlockOf(f *chip.Family, block int, data []uint32) {
	h.t.Helper()
	e := &f.Efuse
	var all [8]uint32
	copy(all[:], data)
	check := checkRS(all)
	for _, w := range e.Timing[f.Crystals[len(f.Crystals)-1]] {
		h.ok(opWriteReg, words(w.Addr, w.Value, w.Mask, 0))
	}
	for i, v := range all {
		h.setReg(e.Blocks[0].Write+uint32(4*i), v)
	}
	for i, v := range check {
		h.setReg(e.Check+uint32(4*i), v)
	}
	h.setReg(e.Conf, 0x5a5a)
	h.setReg(e.Cmd, 2|uint32(block)<<2)
	for range 10 {
		if h.reg(e.Cmd) == 0 {
			break
		}
	}
	h.setReg(e.Conf, 0x5aa5)
	h.setReg(e.Cmd, 1)
	for range 10 {
		if h.reg(e.Cmd) == 0 {
			return
		}
	}
	h.t.Fatal("the fuse controller stays busy")
}

// What Espressif's tool burned into its own virtual chips, another client burns into
// ours, of every family: read back and on disk it is what the tool had.
func TestKnownBurnsOfEveryFamily(t *testing.T) {
	b, err := os.ReadFile("../../fixtures/efuse-chips.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Chip, Name string
		Args       []string
		Files      map[string]string
		OK         bool
		Blocks     []struct {
			Block int
			Words []string
		}
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	held := map[string]int{}
	for _, tc := range cases {
		f := chip.ByName(tc.Chip)
		if !tc.OK || f == nil { // the tool refused it by itself
			continue
		}
		held[tc.Chip]++
		t.Run(tc.Chip+"/"+tc.Name, func(t *testing.T) {
			t.Parallel()
			start, size := wordsOf(f)
			blank := Words{}
			dir := t.TempDir()
			_, h := loaderHost(t, Options{Chip: f, State: dir, Words: &blank, FlashSize: 4 << 10})
			want := make([]uint32, size)
			for _, block := range tc.Blocks {
				for i, word := range block.Words {
					v, err := strconv.ParseUint(word, 16, 32)
					if err != nil {
						t.Fatal(err)
					}
					want[start[block.Block]+i] = uint32(v)
				}
			}
			hidden := map[int]bool{}
			burned := slices.Clone(want)
			first := f.Efuse.Block("BLOCK_KEY0")
			for at, data := range keysOfCase(t, tc.Args, tc.Files) {
				copy(burned[start[first+at]:], data[:])
				hidden[first+at] = want[start[0]+1]>>at&1 == 1
			}
			for block := range f.Efuse.Blocks {
				data := burned[start[block]:][:f.Efuse.Blocks[block].Words]
				if block > 0 && slices.Max(data) > 0 {
					h.burnBlockOf(f, block, data)
				}
			}
			h.burnBlockOf(f, 0, burned[:f.Efuse.Blocks[0].Words])
			for block, blk := range f.Efuse.Blocks {
				for w := range blk.Words {
					if got := h.reg(blk.Read + uint32(4*w)); got != want[start[block]+w] {
						t.Errorf("%s word %d reads %08x, want %08x", blk.Name, w, got, want[start[block]+w])
					}
				}
			}
			if got := onlyFile(t, dir, fuseFile); !bytes.Equal(got, wordBytes(burned)) {
				t.Errorf("efuse.bin is\n%s", hex.Dump(got))
			}
		})
	}
	for name, n := range held {
		if n < 6 {
			t.Errorf("%s: %d cases", name, n)
		}
	}
}

// keysOfCase are the key blocks that a case burns, by number: keys for flash
// encryption with their bytes reversed, each half by itself.
func keysOfCase(t *testing.T, args []string, files map[string]string) map[int][8]uint32 {
	t.Helper()
	out := map[int][8]uint32{}
	if args[0] != "burn-key" {
		return out
	}
	for args = args[1:]; len(args) >= 3; args = args[3:] {
		block := int(args[0][len(args[0])-1] - '0')
		for half := range slices.Chunk(unhex(t, files[args[1]]), 32) {
			if strings.HasPrefix(args[2], "XTS") {
				half = reversedBytes(half)
			}
			whole := make([]byte, 32)
			if args[2] == "SECURE_BOOT_DIGEST" { // into the upper half of the block
				copy(whole[16:], half)
			} else {
				copy(whole, half)
			}
			out[block] = blockWords(whole)
			block++
		}
	}
	return out
}
