package esploader

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"station/internal/chip"
)

// Our own loader, which runs in the chip's RAM (docs/loader.md). It takes plain
// images, compressed, and the key of the flash, and encrypts on the chip. Whatever
// goes wrong with it costs time only: what it wrote is compared, and mended, through
// the ROM after a reset.

// ramLoader is what device/loader is built to; ramloader.sum has its digest.
//
//go:embed ramloader.bin
var ramLoader []byte

const (
	ramEntry    = 0x4009_0000 // where it lies, and where it begins
	ramData     = 0x3ffb_0000 // what it holds: its key first
	ramDataSize = 0x1c000     // to beyond its stack, as loader.ld asserts
	ramBlock    = 0x1800      // bytes of a MEM_DATA

	ramHello = 500 * time.Millisecond // from the jump to its first answer
	leastRAM = 64 << 10               // bytes; less is written sooner through the ROM
)

// ramFits says why a chip or its wire is not one for the loader in RAM.
func (l *Loader) ramFits(id chip.Identity) error {
	switch {
	case !id.Of().Loader.InRAM:
		return fmt.Errorf("%w: there is none for the %s", chip.ErrRAM, id.Of().Title)
	case id.Revision.Major() > 3:
		return fmt.Errorf("%w: revision %s is not known", chip.ErrRAM, id.Revision)
	case l.mute:
		return fmt.Errorf("%w: nothing here can reset the device after it", chip.ErrRAM)
	}
	return nil
}

// WriteByRAM has the loader in RAM write what is not in the flash yet. With
// Started set the chip must be brought into its ROM loader again, and then, unless
// Wiped, WipeRAM be called. An error that is ErrRAM leaves the work to WriteFlash.
func (l *Loader) WriteByRAM(ctx context.Context, id chip.Identity, job chip.RAMJob) (stats chip.RAMStats, err error) {
	if err := l.ramFits(id); err != nil {
		return stats, err
	}
	parts, err := l.partsToWrite(ctx, job.Images)
	if err == nil && len(parts) == 0 {
		err = l.wipeLeft(ctx)
	}
	if err != nil || len(parts) == 0 {
		return stats, err
	}
	r := &ramWire{sum: fnvBasis, l: l, stats: &stats, progress: job.Progress}
	defer r.wipe()
	if err := l.startRAM(ctx, &stats); err != nil {
		return stats, ramError(err)
	}
	return stats, ramError(r.run(ctx, parts, job))
}

// ramError makes everything ErrRAM but a port that is gone and a call that ended.
func ramError(err error) error {
	switch {
	case err == nil, errors.Is(err, chip.ErrPortGone), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return fmt.Errorf("%w: %w", chip.ErrRAM, err)
}

// startRAM loads the code and jumps to it.
func (l *Loader) startRAM(ctx context.Context, stats *chip.RAMStats) error {
	if err := l.load(ctx, ramEntry, ramLoader, len(ramLoader)); err != nil {
		return err
	}
	stats.Started = true
	l.payload = cmdMemEnd.words(l.payload[:0], 0, ramEntry)
	_, err := l.do(ctx, cmdMemEnd, l.payload, cmdMemEnd.timeout(0))
	return err
}

// load puts data into RAM, and zeros behind it up to size.
func (l *Loader) load(ctx context.Context, addr uint32, data []byte, size int) error {
	l.payload = cmdMemBegin.words(l.payload[:0], uint32(size), uint32((size+ramBlock-1)/ramBlock), ramBlock, addr)
	if _, err := l.do(ctx, cmdMemBegin, l.payload, cmdMemBegin.timeout(0)); err != nil {
		return err
	}
	block := make([]byte, ramBlock)
	for seq, at := 0, 0; at < size; seq, at = seq+1, at+ramBlock {
		clear(block)
		part := block[:min(ramBlock, size-at)]
		if at < len(data) {
			copy(part, data[at:])
		}
		payload := appendData(nil, cmdMemData, seq, part)
		if _, err := l.do(ctx, cmdMemData, payload, cmdMemData.timeout(0)); err != nil {
			return err
		}
	}
	return nil
}

// wipeLeft is WipeRAM where a loader of an earlier visit did not come to its end: the
// first word of its code, which it clears there, still stands. One that is started anew
// begins with overwriting.
func (l *Loader) wipeLeft(ctx context.Context) error {
	first, err := l.ReadReg(ctx, ramEntry)
	if err != nil || first != binary.LittleEndian.Uint32(ramLoader) {
		return err
	}
	return l.WipeRAM(ctx)
}

// WipeRAM overwrites what a loader in RAM may have left there that did not come to
// its end: the key above all.
func (l *Loader) WipeRAM(ctx context.Context) error {
	err := l.load(ctx, ramData, nil, ramDataSize)
	if err == nil {
		err = l.load(ctx, ramEntry, nil, 4)
	}
	if err != nil {
		return fmt.Errorf("overwrite the key in RAM: %w", err)
	}
	l.payload = cmdMemEnd.words(l.payload[:0], 1, 0) // stays in the ROM's loader
	if _, err := l.do(ctx, cmdMemEnd, l.payload, cmdMemEnd.timeout(0)); err != nil {
		return fmt.Errorf("overwrite the key in RAM: %w", err)
	}
	return nil
}
