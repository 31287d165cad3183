package esploader

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"testing"

	"station/internal/chip"
)

// image is bytes that compress as badly as cipher text.
func image(size int, seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// write writes an image and checks the flash, whatever happened on the way.
func write(t *testing.T, ctx context.Context, r *rom, l *Loader, addr int, img []byte) chip.WriteStats {
	t.Helper()
	r.erased, r.written = 0, 0
	last := 0
	s, err := l.WriteFlash(ctx, uint32(addr), len(img), bytes.NewReader(img), func(done int) {
		if done <= last || done > len(img) {
			t.Errorf("progress %d after %d", done, last)
		}
		last = done
	})
	if err != nil {
		t.Fatalf("write %d bytes at %#x: %v", len(img), addr, err)
	}
	if !bytes.Equal(r.flash[addr:addr+len(img)], img) {
		t.Fatalf("the flash at %#x differs", addr)
	}
	if last != len(img) {
		t.Errorf("progress ended at %d of %d", last, len(img))
	}
	if s.MD5 != md5.Sum(img) {
		t.Errorf("the chip's MD5 is %x", s.MD5)
	}
	s.MD5 = [16]byte{}
	return s
}

const (
	megabyte = 1 << 20
	blockTop = 4096 + 24 // bytes of a full FLASH_DATA before framing
)

func TestWriteBlankFlash(t *testing.T) {
	r := newROM(t, 2*megabyte)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		img := image(megabyte+700, 1)
		before := l.Stats()
		s := write(t, ctx, r, l, 0x10000, img)
		if want := (chip.WriteStats{Sent: megabyte + 768}); s != want || r.erased != 0 {
			t.Errorf("got %+v, %d sectors erased, want %+v", s, r.erased, want)
		}
		after := l.Stats()
		// Two MD5s, a begin, another for the tail, and the blocks.
		if n := after.RoundTrips - before.RoundTrips; n != 2+2+257 {
			t.Errorf("%d round trips", n)
		}
		slipped := bytes.Count(img, []byte{0xc0}) + bytes.Count(img, []byte{0xdb})
		if n := int(after.Sent-before.Sent) - slipped; n > len(img)*102/100 {
			t.Errorf("%d bytes sent for %d", n, len(img))
		}
	})
}

func TestWriteWhatIsThere(t *testing.T) {
	r := newROM(t, megabyte)
	img := image(300000, 2)
	copy(r.flash[0x1000:], img)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		before := l.Stats()
		s := write(t, ctx, r, l, 0x1000, img)
		after := l.Stats()
		if s != (chip.WriteStats{Skipped: len(img)}) || after.RoundTrips-before.RoundTrips != 1 || after.Sent-before.Sent > 64 {
			t.Errorf("got %+v in %d round trips", s, after.RoundTrips-before.RoundTrips)
		}
	})
}

// Only what is wrong is written, and only what is not erased is erased.
func TestWritePartlyRight(t *testing.T) {
	for name, c := range map[string]struct {
		size    int
		spoil   func(flash []byte)
		sent    int // sectors
		erased  int
		trips   int // besides one for each block sent
		noBlank bool
	}{
		"one sector differs":      {256 * 4096, func(f []byte) { f[77*4096+5] ^= 1 }, 1, 1, 28, true},
		"the first":               {64 * 4096, func(f []byte) { f[0] ^= 1 }, 1, 1, 24, true},
		"one of two":              {2 * 4096, func(f []byte) { f[5000] ^= 1 }, 1, 1, 5, true},
		"interrupted write":       {200 * 4096, func(f []byte) { erase(f[90*4096:200*4096], 0); f[90*4096] = 0 }, 110, 1, 40, false},
		"second half erased":      {128 * 4096, func(f []byte) { erase(f[64*4096:128*4096], 0) }, 64, 0, 12, false},
		"every second differs":    {16 * 4096, func(f []byte) { every(f[:16*4096], 2) }, 8, 8, 52, true},
		"all differ":              {512 * 4096, func(f []byte) { every(f[:512*4096], 1) }, 512, 512, 15, true},
		"erased between wrong":    {32 * 4096, func(f []byte) { every(f[:32*4096], 1); erase(f[8*4096:16*4096], 0) }, 32, 24, 48, false},
		"a few bytes at the end":  {10*4096 + 3, func(f []byte) { f[10*4096+2] ^= 8 }, 1, 1, 20, true},
		"only beyond its end":     {10*4096 + 3, func(f []byte) { f[10*4096+3] ^= 8 }, 0, 0, 1, true},
		"all wrong and no pieces": {4096, func(f []byte) { f[0] ^= 1 }, 1, 1, 5, true},
	} {
		r := newROM(t, 4*megabyte)
		img := image(c.size, 3)
		copy(r.flash[0x20000:], img)
		c.spoil(r.flash[0x20000:])
		connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
			before := l.Stats().RoundTrips
			s := write(t, ctx, r, l, 0x20000, img)
			if r.written > c.sent*4096 || r.written <= (c.sent-1)*4096 || r.erased != c.erased || s.Erased != c.erased {
				t.Errorf("%s: %d bytes written, %d sectors erased, want %d and %d sectors", name, r.written, r.erased, c.sent, c.erased)
			}
			if trips := l.Stats().RoundTrips - before - s.Sent/4096; trips > c.trips {
				t.Errorf("%s: %d round trips besides the blocks, want at most %d", name, trips, c.trips)
			}
			if c.noBlank && s.Retries != 0 {
				t.Errorf("%s: %d retries", name, s.Retries)
			}
		})
	}
}

func erase(b []byte, from int) {
	for i := range b[from:] {
		b[from+i] = 0xff
	}
}

func every(f []byte, n int) {
	for at := 0; at < len(f); at += n * 4096 {
		f[at+at/4096%4096] ^= 0x55
	}
}

// Erased sectors of an image are not sent: mostly empty file systems.
func TestWriteEmptySectors(t *testing.T) {
	img := bytes.Repeat([]byte{0xff}, 176*4096)
	copy(img, "superblock")
	copy(img[100*4096:], "file")
	for name, dirty := range map[string]bool{"blank": false, "used": true} {
		r := newROM(t, megabyte)
		if dirty {
			copy(r.flash, image(megabyte, 9))
		}
		connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
			s := write(t, ctx, r, l, 0, img)
			if s.Sent != 2*4096 || s.Skipped != 174*4096 || dirty != (s.Erased == 176) {
				t.Errorf("%s: got %+v", name, s)
			}
		})
	}
}

// A chip with another ROM takes blocks of 1 KiB only. It is asked once.
func TestBlockSizeIsFoundOut(t *testing.T) {
	for name, arrange := range map[string]func(*rom){
		"refused by FLASH_BEGIN": func(r *rom) { r.maxBlock = 0x400 },
		"refused by FLASH_DATA": func(r *rom) {
			r.fault = func(_ int, op byte, reply []byte) [][]byte {
				if op == cmdFlashData.op && r.blockSize > 0x400 && r.seq > 0 {
					r.seq--
					erase(r.flash[0x1000:], 0)
					return [][]byte{r.refuse(op, 5)}
				}
				return [][]byte{reply}
			}
		},
	} {
		r := newROM(t, megabyte)
		connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
			arrange(r)
			img := image(5*4096+100, 4)
			s := write(t, ctx, r, l, 0x1000, img)
			if want := 5*4096 + 0x400; s.Sent != want && s.Sent != want+4096 || s.Retries != 0 {
				t.Errorf("%s: got %+v", name, s)
			}
			if s := l.Stats(); s.BlockSize != 0x400 || s.Refusals == 0 {
				t.Errorf("%s: blocks of %d bytes after %d refusals", name, s.BlockSize, s.Refusals)
			}
			begins := l.Stats().Commands["FLASH_BEGIN"]
			write(t, ctx, r, l, 0x10000, img[:4096])
			if n := l.Stats().Commands["FLASH_BEGIN"] - begins; n != 1 {
				t.Errorf("%s: %d begins for the next region", name, n)
			}
		})
	}
}

// observed is an image that tells where it is read.
type observed struct {
	*bytes.Reader
	read func(p []byte, at int64)
}

func (o observed) ReadAt(p []byte, at int64) (int, error) {
	o.read(p, at)
	return o.Reader.ReadAt(p, at)
}

// The image is read once, for the wire and for its sum, and but for the first
// sector while the one before is on the wire.
func TestReadsAheadAndOnce(t *testing.T) {
	r := newROM(t, megabyte)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		img := image(20*4096+100, 8)
		blocks := l.Stats().Commands["FLASH_DATA"]
		next := 0
		src := observed{bytes.NewReader(img), func(p []byte, at int64) {
			sent := l.Stats().Commands["FLASH_DATA"] - blocks
			if int(at) != next || sent != next/4096 {
				t.Errorf("read at %d after %d, with %d blocks sent", at, next, sent)
			}
			next += len(p)
		}}
		if _, err := l.WriteFlash(ctx, 0x1000, len(img), src, nil); err != nil || next != len(img) {
			t.Errorf("%d bytes read of %d, %v", next, len(img), err)
		}
	})
}

// A short last block may be what a ROM refuses, too.
func TestTailIsPaddedWhereItMustBe(t *testing.T) {
	r := newROM(t, megabyte)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		r.fault = func(_ int, op byte, reply []byte) [][]byte {
			if op == cmdFlashBegin.op && r.blockSize != 0x1000 {
				r.begun = false
				return [][]byte{r.refuse(op, 5)}
			}
			return [][]byte{reply}
		}
		if s := write(t, ctx, r, l, 0, image(4096+10, 5)); s.Sent != 8192 || s.Retries != 0 {
			t.Errorf("got %+v", s)
		}
		if s := write(t, ctx, r, l, 0x8000, image(10, 6)); s.Sent != 4096 {
			t.Errorf("remembered: got %+v", s)
		}
	})
}

func TestAsOtherToolsDo(t *testing.T) {
	r := newROM(t, megabyte)
	img := image(100*1024+1, 7)
	copy(r.flash[0x1000:], img)
	connected(t, r, Options{BlockSize: 0x400, AlwaysErase: true}, func(ctx context.Context, l *Loader) {
		s := write(t, ctx, r, l, 0x1000, img)
		if want := (chip.WriteStats{Sent: 101 * 1024, Erased: 26}); s != want {
			t.Errorf("got %+v, want %+v", s, want)
		}
		if n := l.Stats().Commands["FLASH_DATA"]; n != 101 {
			t.Errorf("%d blocks, want 101", n)
		}
		if n := l.Stats().Commands["SPI_FLASH_MD5"]; n != 1 {
			t.Errorf("%d MD5s, want 1", n)
		}
	})
}

// endless is an image that is nowhere in memory.
type endless struct{ t testing.TB }

func (e endless) ReadAt(p []byte, at int64) (int, error) {
	if len(p) > 8*4096 {
		e.t.Errorf("%d bytes read at once", len(p))
	}
	for i := range p {
		p[i] = byte((at + int64(i)) * 7 >> 3)
	}
	return len(p), nil
}

func TestMemoryDoesNotGrowWithTheImage(t *testing.T) {
	allocations := func(size int) float64 {
		w := &writer{size: size, sectors: size / 4096, src: endless{t}, hash: md5.New(), copying: make([]byte, 8*sectorSize), buf: &sector{}}
		return testing.AllocsPerRun(1, func() {
			w.whole, w.hashed = nil, 0
			if _, err := w.sum(0, size); err != nil {
				t.Fatal(err)
			}
			for at := range w.sectors {
				if w.read(w.buf, at); w.buf.err != nil {
					t.Fatal(w.buf.err)
				}
			}
		})
	}
	small, large := allocations(megabyte/4), allocations(8*megabyte)
	if large > small {
		t.Errorf("%v allocations for 8 MiB, %v for 256 KiB", large, small)
	}
}

func BenchmarkWriteFlash(b *testing.B) {
	for _, opts := range []Options{{}, {BlockSize: 0x400, AlwaysErase: true}} {
		b.Run(fmt.Sprintf("block=%d", max(opts.BlockSize, 4096*(1-opts.BlockSize/0x400))), func(b *testing.B) {
			img := image(megabyte, 1)
			r := newROM(b, megabyte)
			l := New(r, opts)
			b.SetBytes(megabyte)
			for b.Loop() {
				erase(r.flash, 0)
				r.log = r.log[:0]
				if _, err := l.WriteFlash(b.Context(), 0, len(img), bytes.NewReader(img), nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
