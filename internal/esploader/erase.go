package esploader

import (
	"context"
	"fmt"

	"station/internal/chip"
)

// EraseFlash makes size bytes of flash from addr on read as erased; both are
// whole sectors. What reads so already costs one MD5. progress hears how many
// bytes are done; it may be nil.
//
// chip.ErrVerify: the flash does not erase.
func (l *Loader) EraseFlash(ctx context.Context, addr uint32, size int, progress func(done int)) (stats chip.WriteStats, err error) {
	if addr%sectorSize != 0 || size%sectorSize != 0 || size < 0 || uint64(addr)+uint64(size) > maxSetSize {
		return stats, fmt.Errorf("erase %d bytes of flash at %#x: not whole sectors that the ROM reaches", size, addr)
	}
	if err := l.erase(ctx, addr, size, &stats, progress); err != nil {
		return stats, fmt.Errorf("erase flash at %#x: %w", addr, err)
	}
	return stats, nil
}

func (l *Loader) erase(ctx context.Context, addr uint32, size int, stats *chip.WriteStats, progress func(int)) error {
	for range verifyRounds {
		if blank, err := l.isBlank(ctx, addr, size); err != nil || blank {
			return err
		}
		if err := l.eraseChunks(ctx, addr, size, stats, progress); err != nil {
			return err
		}
	}
	blank, err := l.isBlank(ctx, addr, size)
	if err == nil && !blank {
		err = chip.ErrVerify
	}
	return err
}

func (l *Loader) isBlank(ctx context.Context, addr uint32, size int) (bool, error) {
	sum, err := l.FlashMD5(ctx, addr, uint32(size))
	return sum == blankSum(size), err
}

// eraseChunks erases what is not blank, in pieces whose ends are multiples in
// the flash, so that the ROM can erase larger blocks.
func (l *Loader) eraseChunks(ctx context.Context, addr uint32, size int, stats *chip.WriteStats, progress func(int)) error {
	const chunk = eraseChunk * sectorSize
	for done := 0; done < size; {
		at := addr + uint32(done)
		n := min(size-done, chunk-int(at%chunk))
		blank, err := l.isBlank(ctx, at, n)
		if err == nil && !blank {
			err = l.again(func() error { return l.begin(ctx, at, n/sectorSize, 0, l.blockSize) })
			stats.Erased += n / sectorSize
		}
		if err != nil {
			return err
		}
		if done += n; progress != nil {
			progress(done)
		}
	}
	return nil
}
