package flashcrypt

import (
	"errors"
	"fmt"
	"io"
)

// erased is what padding reads as once the chip decrypts it.
const erased = 0xff

// ReaderAt is the encrypted view of a plain image; see NewReaderAt.
type ReaderAt struct {
	c     *Cipher
	src   io.ReaderAt
	plain int64 // bytes of src
	size  int64 // of the view
	addr  uint32
}

// NewReaderAt shows the first size bytes of src as the flash from addr on must
// hold them, padded with 0xFF to a multiple of pad (16, 32 or more) before
// encryption. It may be read concurrently, at any offset, and keeps nothing.
func NewReaderAt(c *Cipher, src io.ReaderAt, size int64, addr uint32, pad int) (*ReaderAt, error) {
	if pad <= 0 || pad%BlockSize != 0 {
		return nil, fmt.Errorf("flash cipher: padding to %d: want a multiple of 16", pad)
	}
	r := &ReaderAt{c: c, src: src, plain: size, addr: addr}
	r.size = (size + int64(pad) - 1) / int64(pad) * int64(pad)
	if err := c.checkRange(addr, r.size); err != nil {
		return nil, err
	}
	return r, nil
}

// Size is the length of the view, a multiple of the padding.
func (r *ReaderAt) Size() int64 { return r.size }

// ReadAt implements io.ReaderAt.
func (r *ReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("flash cipher: negative offset")
	}
	n := 0
	for n < len(p) && off < r.size {
		m, err := r.readSome(p[n:], off)
		if err != nil {
			return n, err
		}
		n, off = n+m, off+int64(m)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readSome fills whole blocks in place, or a part of one block by way of a
// block of its own.
func (r *ReaderAt) readSome(p []byte, off int64) (int, error) {
	skip := int(off % BlockSize)
	if n := int(min(int64(len(p)), r.size-off)) / BlockSize * BlockSize; skip == 0 && n > 0 {
		return n, r.encryptAt(p[:n], off)
	}
	var block [BlockSize]byte
	if err := r.encryptAt(block[:], off-int64(skip)); err != nil {
		return 0, err
	}
	return copy(p, block[skip:]), nil
}

func (r *ReaderAt) encryptAt(p []byte, off int64) error {
	n := int(max(0, min(int64(len(p)), r.plain-off)))
	if n > 0 {
		if m, err := r.src.ReadAt(p[:n], off); m < n {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("flash cipher: read image: %w", err)
		}
	}
	fill(p[n:])
	return r.c.Encrypt(p, p, r.addr+uint32(off))
}

// Copy encrypts (or decrypts) src to dst until src ends, as flash from addr
// on, and returns the bytes written. Encryption pads the end with 0xFF to 16
// bytes; decryption refuses a length that is not a multiple of 16.
func (c *Cipher) Copy(dst io.Writer, src io.Reader, addr uint32, encrypt bool) (int64, error) {
	buf := make([]byte, 32<<10)
	var done int64
	for {
		n, err := io.ReadFull(src, buf)
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return done, fmt.Errorf("flash cipher: read: %w", err)
		}
		if encrypt {
			whole := (n + BlockSize - 1) / BlockSize * BlockSize
			fill(buf[n:whole])
			n = whole
		}
		if err := c.checkRange(addr, done+int64(n)); err != nil {
			return done, err
		}
		if err := c.crypt(buf[:n], buf[:n], addr+uint32(done), encrypt); err != nil {
			return done, err
		}
		m, err := dst.Write(buf[:n])
		done += int64(m)
		if err != nil {
			return done, fmt.Errorf("flash cipher: write: %w", err)
		}
		if end {
			return done, nil
		}
	}
}

func fill(p []byte) {
	for i := range p {
		p[i] = erased
	}
}
