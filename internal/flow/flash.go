package flow

import (
	"bytes"
	"context"
	"crypto/md5" // the ROM's own check of the flash, not a signature
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"slices"

	"station/internal/chip"
	"station/internal/firmware"
	"station/internal/flashcrypt"
	"station/internal/job"
	"station/internal/record"
)

// flash empties what the job wants empty, writes every region, encrypted on the
// host for its address, and lets the chip compute the MD5 of each. What is right
// already is left alone.
func flash(ctx context.Context, s *Session) error {
	cipher, err := s.cipher()
	if err != nil {
		return fmt.Errorf("flash cipher: %w", err)
	}
	defer cipher.Destroy()
	if err := s.Chip.SetFlashSize(ctx, s.ID.FlashSize); err != nil {
		return fmt.Errorf("flash size: %w", err)
	}
	if err := s.erase(ctx); err != nil {
		return err
	}
	regions, err := s.Job.RegionsFor(job.Own{MAC: s.ID.MAC, BootKey: s.Held[chip.SecureBootV1].Secret, HMACKey: s.Held[chip.HMAC].Secret, Values: s.identity.values, NVSKeys: s.identity.nvsKeys})
	if err != nil {
		return Fail("E-IDENTITY", err)
	}
	defer s.identity.Destroy() // its last use
	defer regions.Destroy()
	var total, before int64
	for _, r := range regions.List {
		total += int64(r.Size)
	}
	var written []*content
	for _, r := range regions.List {
		src, err := newContent(cipher, r)
		if err != nil {
			return fmt.Errorf("%s at %#x: %w", r.Name, r.Address, err)
		}
		written = append(written, src)
	}
	shown := s.ahead(total)
	if err := s.byRAM(ctx, written, func(done int) { shown(int64(done)) }); err != nil {
		return fmt.Errorf("loader in RAM: %w", err)
	}
	for _, src := range written {
		if err := s.write(ctx, src, func(done int) { shown(before + int64(done)) }); err != nil {
			return fmt.Errorf("%s at %#x: %w", src.Name, src.Address, err)
		}
		before += int64(src.Size)
		shown(before)
	}
	// A command that the wire has changed may have hit a region that was right
	// already. It shows as an error in the region that it was meant for.
	disturbed := s.rate.disturbed()
	s.rate.written()
	if disturbed {
		if err := s.erase(ctx); err != nil {
			return err
		}
	}
	var images []record.Image
	for _, src := range written {
		image, err := s.verify(ctx, src, disturbed)
		if err != nil {
			return fmt.Errorf("%s at %#x: %w", src.Name, src.Address, err)
		}
		images = append(images, image)
	}
	return s.note(record.Entry{Kind: record.FlashVerified, Keys: s.Held.named(), Images: images})
}

// ahead shows progress that never goes back.
func (s *Session) ahead(total int64) func(done int64) {
	most := int64(0)
	return func(done int64) {
		if done >= most {
			most = done
			s.progress(done, total)
		}
	}
}

// cipher is the cipher of the device's flash; nil where the flash stays plain.
func (s *Session) cipher() (*flashcrypt.Cipher, error) {
	if !s.Job.Encrypts() {
		return nil, nil
	}
	return flashcrypt.For(s.ID.Of().Cipher, s.Held.Flash().Secret, s.Job.CryptConfig())
}

// erase empties what the job wants empty, slower where the wire makes errors.
// It comes before the images: should the wire change what is erased, an image
// that suffers is written after it.
func (s *Session) erase(ctx context.Context) error {
	for _, span := range s.spans() {
		for {
			stats, err := s.Chip.EraseFlash(ctx, span.Address, span.Size, nil)
			s.rate.wrote(stats)
			if err == nil {
				break
			}
			if !s.slower(ctx, err) {
				return fmt.Errorf("%s: %w", span.Name, err)
			}
			if err := s.Chip.SetFlashSize(ctx, s.ID.FlashSize); err != nil {
				return err
			}
		}
	}
	return nil
}

// spans are what this device must have empty. "chip" goes to the end of a flash
// that is larger than the job's.
func (s *Session) spans() []firmware.Span {
	spans := s.Job.Erased
	const reach = 16 << 20 // of the ROM
	end, size := uint32(s.Job.Flash.Size), min(s.ID.FlashSize, reach)
	if s.Job.Flash.Erase == job.FlashErase(firmware.EraseChip) && size > end {
		spans = append(slices.Clip(spans), firmware.Span{Address: end, Size: int(size - end), Name: "flash"})
	}
	return spans
}

// write writes a region, slower where the wire makes errors: what the flash
// holds by then is left alone.
func (s *Session) write(ctx context.Context, src *content, progress func(done int)) error {
	done := 0
	for {
		stats, err := s.Chip.WriteFlash(ctx, src.Address, src.Size, src, func(n int) {
			if done = max(done, n); done == n {
				progress(n)
			}
		})
		s.rate.wrote(stats)
		src.inChip = stats.MD5
		if err == nil || !s.slower(ctx, err) {
			return err
		}
		if err := s.Chip.SetFlashSize(ctx, s.ID.FlashSize); err != nil {
			return err
		}
	}
}

// verify compares the chip's MD5 of a region, once more or as it was when the
// region was written.
func (s *Session) verify(ctx context.Context, src *content, again bool) (record.Image, error) {
	want, sum, err := src.sums()
	if err == nil && again {
		src.inChip, err = s.Chip.FlashMD5(ctx, src.Address, uint32(src.Size))
	}
	if err != nil {
		return record.Image{}, err
	}
	if src.inChip != want {
		return record.Image{}, failf("E-FLASH-VERIFY", "the chip's MD5 is %x, want %x", src.inChip, want)
	}
	image := record.Image{
		Name: src.Name, Address: src.Address, Size: src.Size, Encrypted: src.Encrypted, Version: src.Version, SecureVersion: src.SecureVersion, Partition: src.Partition, Slot: src.Slot,
		Plain: src.SHA256,
		Flash: fmt.Sprintf("sha256:%x", sum), MD5: fmt.Sprintf("%x", want),
	}
	if src.FileSHA256 != src.SHA256 {
		image.File = src.FileSHA256
	}
	return image, nil
}

// content is what the flash must hold of a region. Its sums are taken while it
// is read for the wire, so it is encrypted once, and never waited for.
type content struct {
	firmware.Region
	src    io.ReaderAt
	md5    hash.Hash
	sha    hash.Hash
	summed int64    // bytes from the beginning
	inChip [16]byte // MD5 as the chip computed it
}

func newContent(cipher *flashcrypt.Cipher, r firmware.Region) (*content, error) {
	c := &content{Region: r, src: bytes.NewReader(r.Data), md5: md5.New(), sha: sha256.New()}
	if !r.Encrypted {
		return c, nil
	}
	var err error
	c.src, err = flashcrypt.NewReaderAt(cipher, c.src, int64(len(r.Data)), r.Address, flashcrypt.BlockSize)
	return c, err
}

// ReadAt implements io.ReaderAt, for one reader at a time.
func (c *content) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.src.ReadAt(p, off)
	if end := off + int64(n); off <= c.summed && c.summed < end {
		next := p[c.summed-off : n]
		c.md5.Write(next)
		c.sha.Write(next)
		c.summed = end
	}
	return n, err
}

// sums are the digests of the whole region. What nobody has read by now is read.
func (c *content) sums() (sum [16]byte, sha [32]byte, err error) {
	_, err = io.Copy(io.Discard, io.NewSectionReader(c, c.summed, int64(c.Size)-c.summed))
	if err == nil && c.summed != int64(c.Size) {
		err = fmt.Errorf("%d of %d bytes: %w", c.summed, c.Size, io.ErrUnexpectedEOF)
	}
	c.md5.Sum(sum[:0])
	c.sha.Sum(sha[:0])
	return sum, sha, err
}
