package flashcrypt

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"station/internal/racetest"
	"station/internal/secret"
)

// needles are eight-byte pieces of key material to look for, kept inverted so
// that the search does not find itself.
type needles struct {
	what   map[uint64]string
	filter [1 << 12]uint64
}

func (n *needles) add(what string, piece []byte) {
	v := ^binary.LittleEndian.Uint64(piece)
	n.what[v] = what
	n.filter[v>>52] |= 1 << (v & 63)
}

// addRun takes every eighth byte of b as the start of a piece, of b as it is,
// with each word swapped (as the standard writes round keys) and backwards (as
// BLOCK1 has the key).
func (n *needles) addRun(what string, b []byte) {
	var p [8]byte
	for o := 0; o+8 <= len(b); o += 8 {
		n.add(what, b[o:])
		v := binary.LittleEndian.Uint64(b[o:])
		binary.LittleEndian.PutUint64(p[:], bits.RotateLeft64(bits.ReverseBytes64(v), 32))
		n.add(what+" (words swapped)", p[:])
		binary.LittleEndian.PutUint64(p[:], bits.ReverseBytes64(v))
		n.add(what+" (reversed)", p[:])
	}
	clear(p[:])
}

// search reads every writable page of this process and returns what it found.
func (n *needles) search(t *testing.T) map[string]int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	found := map[string]int{}
	buf := make([]byte, 1<<20)
	defer clear(buf)
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		var from, to uint64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); err != nil {
			t.Fatal(err)
		}
		// The race detector keeps clocks, not contents, from 0x2000_0000_0000 on;
		// without it the heap may lie there.
		if clocks := racetest.Enabled && (from>>44 == 2 || from>>44 == 3); clocks || !strings.HasPrefix(mode, "rw") {
			continue
		}
		// Pieces overlap by seven bytes so that nothing hides on a border.
		for at := from; at+8 <= to; at += uint64(len(buf)) - 7 {
			size, err := mem.ReadAt(buf[:min(uint64(len(buf)), to-at)], int64(at))
			if err != nil && err != io.EOF && size == 0 {
				break // [vvar] and pages that vanished meanwhile
			}
			n.match(buf[:size], found)
		}
	}
	return found
}

// match is not watched by the race detector, under which it would take minutes.
//
//go:norace
func (n *needles) match(b []byte, found map[string]int) {
	for o := 0; o+8 <= len(b); o++ {
		v := ^binary.LittleEndian.Uint64(b[o:])
		if n.filter[v>>52]&(1<<(v&63)) == 0 {
			continue
		}
		if what, hit := n.what[v]; hit {
			found[what]++
		}
	}
}

// randomKey makes a key that only ever was in protected memory.
func randomKey(t *testing.T, seed uint64) *secret.Bytes {
	t.Helper()
	k, err := secret.Make(KeySize)
	if err != nil {
		t.Fatal(err)
	}
	for i := range k.Reveal() {
		seed = seed*6364136223846793005 + 1442695040888963407
		k.Reveal()[i] = byte(seed >> 56)
	}
	return k
}

// collect notes the key, and the tweaked keys and round keys in both
// directions of every unit in a span of flash.
func (n *needles) collect(t *testing.T, c *Cipher, addr, size uint32) {
	t.Helper()
	page, err := secret.Make(scheduleSize)
	if err != nil {
		t.Fatal(err)
	}
	defer page.Destroy()
	key := c.memory.Reveal()[:KeySize]
	n.addRun("key", key)
	s := (*schedule)(page.Reveal())
	for a := addr; a < addr+size; a += UnitSize {
		c.tweak(s, key, a)
		n.addRun("tweaked key", s[:KeySize])
		s.expand()
		n.addRun("round key to encrypt", s[:])
		s.invert()
		n.addRun("round key to decrypt", s[:])
	}
}

// TestNothingStays works with one key under load, destroys it and looks for
// what is left of it anywhere in the process.
func TestNothingStays(t *testing.T) {
	const addr, size = 0x10000, 16 << 10
	key := randomKey(t, uint64(time.Now().UnixNano()))
	c, err := New(key, 0xf)
	if err != nil {
		t.Fatal(err)
	}
	key.Destroy()
	n := &needles{what: map[uint64]string{}}
	n.collect(t, c, addr, size)

	work(t, c, addr, size)
	if found := n.search(t); found["key"] == 0 {
		t.Fatalf("the search does not even find the living key: %v", found)
	}
	c.Destroy()
	runtime.GC()
	runtime.GC()
	for what, times := range n.search(t) {
		t.Errorf("%s left in memory, %d pieces", what, times)
	}
}

// work encrypts and decrypts from several goroutines while the collector and
// the scheduler interrupt them: registers then go to stacks.
func work(t *testing.T, c *Cipher, addr uint32, size int) {
	t.Helper()
	stop := time.Now().Add(300 * time.Millisecond)
	done := make(chan error)
	for range 3 {
		go func() {
			b := make([]byte, size)
			var err error
			for err == nil && time.Now().Before(stop) {
				if err = c.Encrypt(b, b, addr); err == nil {
					err = c.Decrypt(b, b, addr)
				}
			}
			done <- err
		}()
	}
	go func() {
		var err error
		for err == nil && time.Now().Before(stop) {
			runtime.GC()
			_, err = c.Copy(io.Discard, io.LimitReader(zeros{}, int64(size)), addr, true)
		}
		done <- err
	}()
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// onHeap keeps a schedule where it is: one on a stack moves with the stack, while
// the search reads on.
var onHeap *schedule

// TestSearchFindsASchedule shows that the search would find round keys that
// were left on the heap, in either word order.
func TestSearchFindsASchedule(t *testing.T) {
	c := cipherOf(t, count(32), 0xf)
	n := &needles{what: map[uint64]string{}}
	n.collect(t, c, 0x20000, UnitSize)
	onHeap = new(schedule)
	left := onHeap
	c.tweak(left, c.memory.Reveal()[:KeySize], 0x20000)
	left.expand()
	if n.search(t)["round key to encrypt"] == 0 {
		t.Error("a schedule on the heap was not found")
	}
	for i := range scheduleSize / 4 {
		left.setWord(i, bits.ReverseBytes32(left.word(i)))
	}
	if n.search(t)["round key to encrypt (words swapped)"] == 0 {
		t.Error("a schedule with swapped words was not found")
	}
	clear(left[:])
}
