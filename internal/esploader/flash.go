package esploader

import (
	"context"
	"encoding/hex"
	"fmt"

	"station/internal/chip"
)

const (
	sectorSize = 0x1000 // the least that can be erased
	slowRead   = 64     // bytes of a READ_FLASH_SLOW
)

// FlashMD5 is the MD5 of size bytes of flash as they are stored: on a chip that
// encrypts, of the cipher text.
func (l *Loader) FlashMD5(ctx context.Context, addr, size uint32) (sum [16]byte, err error) {
	err = l.again(func() error {
		l.payload = appendFlashMD5(l.payload[:0], addr, size)
		r, err := l.do(ctx, cmdFlashMD5, l.payload, cmdFlashMD5.timeout(int(size)))
		if err != nil {
			return err
		}
		if _, err := hex.Decode(sum[:], r.data[:r.n]); err != nil {
			return fmt.Errorf("%s: %w: %w", cmdFlashMD5.name, chip.ErrNoAnswer, errDamaged)
		}
		return nil
	})
	if err != nil {
		return [16]byte{}, fmt.Errorf("flash at %#x: %w", addr, err)
	}
	return sum, nil
}

// ReadFlash fills p with flash as it is stored, 64 bytes in a round trip.
func (l *Loader) ReadFlash(ctx context.Context, addr uint32, p []byte) error {
	for at := 0; at < len(p); at += slowRead {
		part := p[at:min(at+slowRead, len(p))]
		err := l.again(func() error {
			l.payload = appendReadFlashSlow(l.payload[:0], addr+uint32(at), len(part))
			r, err := l.do(ctx, cmdReadFlashSlow, l.payload, cmdReadFlashSlow.timeout(0))
			copy(part, r.data[:r.n])
			return err
		})
		if err != nil {
			return fmt.Errorf("flash at %#x: %w", addr+uint32(at), err)
		}
	}
	return nil
}

// begin is FLASH_BEGIN: it erases so many sectors from addr on, none for 0,
// and lets blocks be written there.
func (l *Loader) begin(ctx context.Context, addr uint32, sectors, blocks, blockSize int) error {
	l.payload = appendFlashBegin(l.payload[:0], l.family.Loader.BeginWords, sectors*sectorSize, blocks, blockSize, addr)
	_, err := l.do(ctx, cmdFlashBegin, l.payload, cmdFlashBegin.timeout(sectors*sectorSize))
	return err
}

// data is FLASH_DATA: the block with number seq since the last begin. It must
// not be sent twice: after any error only another begin makes the ROM's place
// known again. meanwhile runs while the block is on the wire.
func (l *Loader) data(ctx context.Context, seq int, block []byte, meanwhile func()) error {
	l.payload = appendData(l.payload[:0], cmdFlashData, seq, block)
	if err := l.send(ctx, cmdFlashData, l.payload); err != nil {
		return err
	}
	meanwhile()
	_, err := l.receive(ctx, cmdFlashData, cmdFlashData.timeout(0))
	return err
}
