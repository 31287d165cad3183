package flow

import (
	"bytes"
	"context"
	"crypto/md5" // the ROM's own check of the flash, not a signature
	"crypto/sha256"
	"fmt"
	"io"

	"station/internal/firmware"
	"station/internal/flashcrypt"
	"station/internal/record"
)

// flash writes every region, encrypted on the host for its address, and then
// lets the chip compute the MD5 of each. Regions that are right already are
// left alone.
func flash(ctx context.Context, s *Session) error {
	cipher, err := flashcrypt.New(s.Key.Secret, s.Job.cryptConfig)
	if err != nil {
		return fmt.Errorf("flash cipher: %w", err)
	}
	defer cipher.Destroy()
	if err := s.Chip.SetFlashSize(ctx, s.ID.FlashSize); err != nil {
		return fmt.Errorf("flash size: %w", err)
	}
	var total, before int64
	for _, r := range s.Job.Regions {
		total += int64(r.Size)
	}
	for _, r := range s.Job.Regions {
		src, err := contents(cipher, r)
		if err == nil {
			_, err = s.Chip.WriteFlash(ctx, r.Address, r.Size, src, func(done int) { s.progress(before+int64(done), total) })
		}
		if err != nil {
			return fmt.Errorf("%s at %#x: %w", r.Name, r.Address, err)
		}
		before += int64(r.Size)
		s.progress(before, total)
	}
	// Only now: a command that the wire has changed may have hit a region that
	// was right already.
	var images []record.Image
	for _, r := range s.Job.Regions {
		image, err := s.verify(ctx, cipher, r)
		if err != nil {
			return fmt.Errorf("%s at %#x: %w", r.Name, r.Address, err)
		}
		images = append(images, image)
	}
	return s.note(record.Entry{Kind: record.FlashVerified, KeyID: s.Key.ID, Images: images})
}

// verify lets the chip compute the MD5 of a region.
func (s *Session) verify(ctx context.Context, cipher *flashcrypt.Cipher, r firmware.Region) (record.Image, error) {
	src, err := contents(cipher, r)
	if err != nil {
		return record.Image{}, err
	}
	want, sum := md5.New(), sha256.New()
	if _, err := io.Copy(io.MultiWriter(want, sum), io.NewSectionReader(src, 0, int64(r.Size))); err != nil {
		return record.Image{}, err
	}
	got, err := s.Chip.FlashMD5(ctx, r.Address, uint32(r.Size))
	if err != nil {
		return record.Image{}, err
	}
	if !bytes.Equal(got[:], want.Sum(nil)) {
		return record.Image{}, failf("E-FLASH-VERIFY", "the chip's MD5 is %x, want %x", got, want.Sum(nil))
	}
	return record.Image{
		Name: r.Name, Address: r.Address, Size: r.Size, Encrypted: r.Encrypted, Version: r.Version,
		Plain: r.SHA256,
		Flash: fmt.Sprintf("sha256:%x", sum.Sum(nil)), MD5: fmt.Sprintf("%x", got),
	}, nil
}

// contents is what the flash must hold of a region.
func contents(cipher *flashcrypt.Cipher, r firmware.Region) (io.ReaderAt, error) {
	plain := bytes.NewReader(r.Data)
	if !r.Encrypted {
		return plain, nil
	}
	return flashcrypt.NewReaderAt(cipher, plain, int64(len(r.Data)), r.Address, flashcrypt.BlockSize)
}
