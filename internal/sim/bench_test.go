package sim

import (
	"sync"
	"testing"
)

// A whole 4 MiB flash through the in-process port, in blocks of 4 KiB.
func BenchmarkWriteFlash(b *testing.B) {
	_, h := loaderHost(b, Options{})
	image := filled(4<<20, nil)
	b.SetBytes(int64(len(image)))
	for b.Loop() {
		h.flash(0, image)
	}
}

func BenchmarkBoot(b *testing.B) {
	c := encryptedChip(b, 1, Options{})
	for b.Loop() {
		bootText(b, c)
	}
}

// An encrypted product of the recorded size: 600 KB of application.
func BenchmarkBootLargeApp(b *testing.B) {
	w := keyed(Options{}, keyWords(testKey[:]), 1)
	c := newChip(b, Options{Words: w, Flash: lay(2<<20, encryptAll(testKey, 0xf, recordedImages()))})
	for b.Loop() {
		bootText(b, c)
	}
}

// Thirty-two chips at once, each with its own host.
func TestManyChips(t *testing.T) {
	image := filled(256<<10, nil)
	var all sync.WaitGroup
	for range 32 {
		_, h := loaderHost(t, Options{})
		all.Go(func() {
			h.flash(0x10000, image)
			if got := h.md5(0x10000, uint32(len(image))); got != md5Of(image) {
				t.Errorf("got %s", got)
			}
		})
	}
	all.Wait()
}
