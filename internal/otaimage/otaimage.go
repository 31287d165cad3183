// Package otaimage makes and opens pre-encrypted OTA images, as ESP-IDF's
// component esp_encrypted_img takes them over the air: AES-256-GCM under a key
// of the image's own, which is wrapped to an RSA-3072 key of the fleet, or
// agreed upon with a P-256 key (ECIES) of chips that have the HMAC peripheral.
// It is pure. An image is whole only for who holds the fleet's private key; it
// is not signed: anybody with the public key can make one.
package otaimage

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"math"

	"station/internal/secret"
)

// piece is how much of an image is in memory at a time.
const piece = 64 << 10

// Seal encrypts an image for those who hold the private half of a key, RSA-3072
// or EC P-256. No two results are alike.
func Seal(image []byte, to crypto.PublicKey) ([]byte, error) {
	out := buffer(make([]byte, HeaderSize+len(image)))
	if err := SealTo(out, bytes.NewReader(image), int64(len(image)), to); err != nil {
		return nil, err
	}
	return out, nil
}

// buffer is a file in memory.
type buffer []byte

func (b buffer) WriteAt(p []byte, at int64) (int, error) { return copy(b[at:], p), nil }

// SealTo is Seal for size bytes of any length: it writes the cipher text while
// it reads, and the header last. The key of the image is overwritten at the end;
// what the libraries computed from it is garbage in memory for a while, like the
// image itself, which is all that the key could tell.
func SealTo(w io.WriterAt, image io.Reader, size int64, to crypto.PublicKey) error {
	switch {
	case size <= 0:
		return errors.New("OTA image: the image is empty")
	case size > math.MaxUint32:
		return fmt.Errorf("OTA image: %d bytes are more than the header can say", size)
	}
	h := &Header{Size: uint32(size)}
	key, wrapped, err := wrap(to)
	if err != nil {
		return err
	}
	defer key.Destroy()
	h.Key = wrapped
	rand.Read(h.IV[:])
	return h.seal(w, image, key)
}

// seal encrypts under the header's IV and completes the header.
func (h *Header) seal(w io.WriterAt, image io.Reader, key *secret.Bytes) error {
	g, err := newGCM(key, h.IV)
	if err != nil {
		return err
	}
	at := int64(HeaderSize)
	err = pieces(image, int64(h.Size), func(b []byte) error {
		g.encrypt(b)
		n, err := w.WriteAt(b, at)
		at += int64(n)
		return err
	})
	if err != nil {
		return fmt.Errorf("OTA image: %w", err)
	}
	h.Tag = g.tag()
	if _, err := w.WriteAt(h.Append(nil), 0); err != nil {
		return fmt.Errorf("OTA image: %w", err)
	}
	return nil
}

// Open opens a file with the private key that it was made for, as the device
// does, and returns the image.
func Open(file []byte, with crypto.PrivateKey) ([]byte, error) {
	if _, _, err := Parse(file); err != nil {
		return nil, err
	}
	var image bytes.Buffer
	if err := OpenTo(&image, bytes.NewReader(file), int64(len(file)), with); err != nil {
		return nil, err
	}
	return image.Bytes(), nil
}

// OpenTo is Open for a file of any length. It reads the file twice: nothing is
// written before the tag has shown that all of it is right.
func OpenTo(w io.Writer, file io.ReaderAt, size int64, with crypto.PrivateKey) error {
	head := make([]byte, min(size, HeaderSize))
	if _, err := io.ReadFull(io.NewSectionReader(file, 0, size), head); err != nil {
		return fmt.Errorf("OTA image: %w", err)
	}
	h, err := parseHeader(head, size)
	if err != nil {
		return err
	}
	key, err := h.unwrap(with)
	if err != nil {
		return err
	}
	defer key.Destroy()
	tag, err := h.open(io.Discard, file, key)
	if err == nil && subtle.ConstantTimeCompare(tag[:], h.Tag[:]) != 1 {
		err = errOther
	}
	if err != nil {
		return err
	}
	// The file may have changed since.
	if tag, err = h.open(w, file, key); err == nil && tag != h.Tag {
		err = errors.New("OTA image: it changed while it was read: what was written is worthless")
	}
	return err
}

// open decrypts and returns the tag that the header should have.
func (h *Header) open(w io.Writer, file io.ReaderAt, key *secret.Bytes) (tag [tagSize]byte, err error) {
	g, err := newGCM(key, h.IV)
	if err != nil {
		return tag, err
	}
	err = pieces(io.NewSectionReader(file, HeaderSize, int64(h.Size)), int64(h.Size), func(b []byte) error {
		g.decrypt(b)
		_, err := w.Write(b)
		return err
	})
	if err != nil {
		return tag, fmt.Errorf("OTA image: %w", err)
	}
	return g.tag(), nil
}

// pieces reads size bytes and gives them on, all but the last in whole blocks.
func pieces(r io.Reader, size int64, each func([]byte) error) error {
	buf := make([]byte, min(piece, size))
	for size > 0 {
		n := min(int64(len(buf)), size)
		if _, err := io.ReadFull(r, buf[:n]); err != nil {
			return err
		}
		if err := each(buf[:n]); err != nil {
			return err
		}
		size -= n
	}
	return nil
}
