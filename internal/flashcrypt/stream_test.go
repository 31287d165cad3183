package flashcrypt

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

// whole is an image with its padding, encrypted in one go.
func whole(t *testing.T, c *Cipher, image []byte, addr uint32, pad int) []byte {
	t.Helper()
	out := bytes.Clone(image)
	for len(out)%pad != 0 {
		out = append(out, 0xff)
	}
	if err := c.Encrypt(out, out, addr); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestReaderAt(t *testing.T) {
	c := cipherOf(t, count(32), 0xf)
	for _, v := range []struct{ size, pad, want int }{
		{0, 32, 0}, {1, 16, 16}, {1, 32, 32}, {16, 32, 32}, {32, 32, 32}, {33, 32, 64}, {5000, 16, 5008}, {5000, 4096, 8192},
	} {
		image := count(v.size)
		want := whole(t, c, image, 0x10010, v.pad)
		r, err := NewReaderAt(c, bytes.NewReader(image), int64(v.size), 0x10010, v.pad)
		if err != nil {
			t.Fatal(err)
		}
		if r.Size() != int64(v.want) {
			t.Errorf("%d padded to %d: got %d bytes, want %d", v.size, v.pad, r.Size(), v.want)
		}
		got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d padded to %d: other bytes (%v)", v.size, v.pad, err)
		}
	}
}

// TestReaderAtAnywhere reads odd pieces from several goroutines.
func TestReaderAtAnywhere(t *testing.T) {
	c := cipherOf(t, count(32), 0xf)
	image := count(3000)
	want := whole(t, c, image, 0x8000, 32)
	r, err := NewReaderAt(c, bytes.NewReader(image), 3000, 0x8000, 32)
	if err != nil {
		t.Fatal(err)
	}
	var g sync.WaitGroup
	for seed := range uint64(4) {
		g.Go(func() {
			pick := rand.New(rand.NewPCG(seed, 1))
			for range 200 {
				off, n := pick.IntN(len(want)+40), pick.IntN(300)
				p := make([]byte, n)
				got, err := r.ReadAt(p, int64(off))
				rest := want[min(off, len(want)):]
				if len(rest) < n && err != io.EOF || len(rest) >= n && err != nil {
					t.Errorf("%d bytes at %d: got error %v", n, off, err)
				}
				if !bytes.Equal(p[:got], rest[:min(n, len(rest))]) {
					t.Errorf("%d bytes at %d: other bytes", n, off)
				}
			}
		})
	}
	g.Wait()
}

func TestReaderAtErrors(t *testing.T) {
	c := cipherOf(t, count(32), 0xf)
	for _, v := range []struct {
		size int64
		addr uint32
		pad  int
	}{{16, 0, 0}, {16, 0, 8}, {16, 8, 16}, {33, 0xffffe0, 16}} {
		if _, err := NewReaderAt(c, bytes.NewReader(nil), v.size, v.addr, v.pad); err == nil {
			t.Errorf("%+v was accepted", v)
		}
	}
	short, err := NewReaderAt(c, bytes.NewReader(count(10)), 20, 0, 32)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := short.ReadAt(make([]byte, 32), 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("image shorter than announced: got %v", err)
	}
	if _, err := short.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("a negative offset was accepted")
	}
	full, err := NewReaderAt(c, zeros{}, 20, 0, 32)
	if err != nil {
		t.Fatal(err)
	}
	c.Destroy()
	if _, err := full.ReadAt(make([]byte, 1), 0); !errors.Is(err, ErrDestroyed) {
		t.Errorf("got %v, want %v", err, ErrDestroyed)
	}
}

func TestCopy(t *testing.T) {
	c := cipherOf(t, count(24), 0xf)
	for _, n := range []int{0, 1, 16, 32 << 10, 32<<10 + 5, 100_000} {
		image := count(n)
		want := whole(t, c, image, 0x20010, 16)
		var cipher, plain bytes.Buffer
		done, err := c.Copy(&cipher, iotest.HalfReader(bytes.NewReader(image)), 0x20010, true)
		if err != nil || done != int64(len(want)) || !bytes.Equal(cipher.Bytes(), want) {
			t.Fatalf("encrypt %d bytes: got %d other bytes (%v)", n, done, err)
		}
		if _, err := c.Copy(&plain, &cipher, 0x20010, false); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(plain.Bytes()[:n], image) || bytes.Count(plain.Bytes()[n:], []byte{0xff}) != plain.Len()-n {
			t.Errorf("decrypt %d bytes: not the image and its padding", n)
		}
	}
}

func TestCopyErrors(t *testing.T) {
	c := cipherOf(t, count(32), 0xf)
	broken := errors.New("cable out")
	for _, v := range []struct {
		name    string
		src     io.Reader
		dst     io.Writer
		addr    uint32
		encrypt bool
		want    string
	}{
		{"odd cipher text", strings.NewReader("seventeen letters"), io.Discard, 0, false, "length 17 is not a multiple of 16"},
		{"beyond the end", bytes.NewReader(count(32)), io.Discard, Limit - 16, true, "end above 0x1000000"},
		{"unaligned", bytes.NewReader(count(32)), io.Discard, 4, true, "not a multiple of 16"},
		{"source", iotest.ErrReader(broken), io.Discard, 0, true, "read: cable out"},
		{"destination", bytes.NewReader(count(32)), refusing{broken}, 0, true, "write: cable out"},
	} {
		_, err := c.Copy(v.dst, v.src, v.addr, v.encrypt)
		if err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("%s: got %v, want %q", v.name, err, v.want)
		}
	}
}

type refusing struct{ err error }

func (r refusing) Write([]byte) (int, error) { return 0, r.err }

// TestStreamsDoNotGrow: what a stream allocates does not depend on the image.
func TestStreamsDoNotGrow(t *testing.T) {
	c := cipherOf(t, count(32), 0xf)
	p := make([]byte, 4096)
	r, err := NewReaderAt(c, zeros{}, 4<<20, 0x10000, 32)
	if err != nil {
		t.Fatal(err)
	}
	read := testing.AllocsPerRun(3, func() {
		for off := int64(0); off < 256<<10; off += int64(len(p)) {
			if _, err := r.ReadAt(p, off); err != nil {
				t.Fatal(err)
			}
		}
	})
	if read > 1 {
		t.Errorf("64 reads allocate %v times", read)
	}
	copied := testing.AllocsPerRun(3, func() {
		if _, err := c.Copy(io.Discard, io.LimitReader(zeros{}, 512<<10), 0, true); err != nil {
			t.Fatal(err)
		}
	})
	if copied > 4 {
		t.Errorf("a copy of 512 KiB allocates %v times", copied)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error)            { clear(p); return len(p), nil }
func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }
