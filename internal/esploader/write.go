package esploader

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"station/internal/chip"
)

const (
	eraseChunk   = 64 // sectors erased by one command, up to a multiple of its size
	blockTries   = 3  // at one sector
	regionTries  = 16 // at all sectors of one region
	verifyRounds = 3
	smallBlock   = 0x400 // every ROM takes it
	tailUnit     = 0x100 // a flash page
)

// writer writes one region. Its memory does not grow with the region but for
// one byte a sector.
type writer struct {
	l        *Loader
	addr     uint32
	size     int
	sectors  int
	src      io.ReaderAt
	progress func(int)
	stats    chip.WriteStats

	copying []byte
	buf     *sector   // the one at hand
	ahead   *sector   // and one read while that was on the wire
	whole   *[16]byte // MD5 of the source, once known
	hash    hash.Hash // of its first
	hashed  int       // sectors

	place     int // sector that the ROM would write next, -1 where unknown,
	blockSize int // in blocks of this size
	seq       int // from this number on
	erase     int // sectors to erase by the next begin

	failed   int  // sectors that had to be tried again
	reported int  // bytes
	verified bool // the whole is right
}

// sector is what one sector of the flash is to hold, FF beyond the end.
type sector struct {
	at   int // -1 for none
	err  error
	data [sectorSize]byte
}

// WriteFlash makes size bytes of flash from addr on, which begins a sector,
// hold what src holds. What is right already is left alone, what reads as
// erased is not erased again. Bytes after the end in the last sector become FF
// where the sector had to be erased. progress hears how many bytes from the
// beginning are done; it may be nil.
//
// The end is checked by MD5: chip.ErrVerify where the flash will not take the
// bytes. A port that goes away is chip.ErrPortGone.
func (l *Loader) WriteFlash(ctx context.Context, addr uint32, size int, src io.ReaderAt, progress func(done int)) (chip.WriteStats, error) {
	if addr%sectorSize != 0 {
		return chip.WriteStats{}, fmt.Errorf("write flash at %#x: not the beginning of a sector", addr)
	}
	if size < 0 || uint64(addr)+uint64(size) > maxSetSize {
		return chip.WriteStats{}, fmt.Errorf("write %d bytes of flash at %#x: beyond what the ROM reaches", size, addr)
	}
	if sectorSize%l.blockSize != 0 {
		return chip.WriteStats{}, fmt.Errorf("write flash: blocks of %d bytes do not fill a sector", l.blockSize)
	}
	w := l.newWriter(addr, size, src)
	w.progress = progress
	if err := w.run(ctx); err != nil {
		return w.stats, fmt.Errorf("write flash at %#x: %w", addr, err)
	}
	return w.stats, nil
}

func (l *Loader) newWriter(addr uint32, size int, src io.ReaderAt) *writer {
	return &writer{
		l: l, addr: addr, size: size, sectors: (size + sectorSize - 1) / sectorSize, src: src,
		copying: make([]byte, 8*sectorSize), hash: md5.New(), place: -1,
		buf: &sector{at: -1}, ahead: &sector{at: -1},
	}
}

func (w *writer) run(ctx context.Context) error {
	if w.size == 0 {
		return nil
	}
	states := make([]state, w.sectors)
	fill(states, wrong)
	var err error
	if !w.l.opts.AlwaysErase {
		if states, err = w.survey(ctx); err != nil {
			return err
		}
	}
	for round := range verifyRounds {
		if round > 0 {
			if states, err = w.survey(ctx); err != nil {
				return err
			}
		}
		for i, s := range states {
			switch {
			case s == right && round == 0:
				w.stats.Skipped += min(sectorSize, w.size-i*sectorSize)
			case s != right && round > 0:
				w.stats.Retries++
			}
		}
		if err := w.write(ctx, states); err != nil {
			return err
		}
		if err := w.verify(ctx); err != nil || w.verified {
			return err
		}
	}
	return chip.ErrVerify
}

// verify compares the whole region, unless nothing had to be written.
func (w *writer) verify(ctx context.Context) error {
	if w.verified {
		return nil
	}
	want, err := w.sum(0, w.size)
	if err != nil {
		return err
	}
	w.stats.MD5, err = w.l.FlashMD5(ctx, w.addr, uint32(w.size))
	w.verified = err == nil && w.stats.MD5 == want
	return err
}

// write goes through the sectors once, in stretches that one command erases.
// Their ends are multiples in the flash, so that the ROM can erase larger
// blocks, and progress shows between them.
func (w *writer) write(ctx context.Context, states []state) error {
	first := int(w.addr / sectorSize)
	for i := 0; i < w.sectors; {
		if states[i] == right {
			w.done(i)
			i++
			continue
		}
		end := i + 1
		for end < w.sectors && states[end] == states[i] && (first+end)%eraseChunk != 0 {
			end++
		}
		w.erase = 0
		if states[i] == wrong {
			w.erase = end - i
		}
		if err := w.stretch(ctx, i, end); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// stretch writes the sectors from at to end, and mends what goes wrong.
func (w *writer) stretch(ctx context.Context, at, end int) error {
	for tries := 0; at < end; {
		err := w.sector(ctx, at, end)
		if err == nil {
			w.done(at)
			at, tries = at+1, 0
			continue
		}
		w.place = -1
		if w.adapt(err) {
			continue
		}
		tries, w.failed = tries+1, w.failed+1
		if !mendable(err) || tries == blockTries || w.failed == regionTries || w.l.settle() != nil {
			return err
		}
		w.stats.Retries++
		w.l.stats.Retries++
		if w.erase > 0 { // the erasing itself is in doubt: it is done again
			continue
		}
		s, err := w.stateOf(ctx, at, 1)
		switch {
		case err != nil:
			return err
		case s == right: // only the reply was lost
			w.done(at)
			at, tries = at+1, 0
		case s == wrong: // written in part: bits that are 0 stay 0
			w.erase = 1
		}
	}
	return nil
}

// sector erases what is to be erased and writes one sector. The next one of
// the stretch is read, which may mean encrypted, while this one is on the wire.
func (w *writer) sector(ctx context.Context, at, end int) error {
	switch at {
	case w.ahead.at:
		w.buf, w.ahead = w.ahead, w.buf
	case w.buf.at: // tried before
	default:
		w.read(w.buf, at)
	}
	if w.buf.err != nil {
		return w.buf.err
	}
	size, length := w.shape(at)
	empty := !w.l.opts.AlwaysErase && bytes.Equal(w.buf.data[:], blankSector[:]) // erased flash holds it already
	if w.erase > 0 || !empty && (w.place != at || w.blockSize != size) {
		blocks := (end-at-1)*sectorSize/size + length/size
		if err := w.l.begin(ctx, w.addr+uint32(at*sectorSize), w.erase, blocks, size); err != nil {
			w.blockSize = size
			return err
		}
		w.stats.Erased += w.erase
		w.place, w.blockSize, w.seq, w.erase = at, size, 0, 0
	}
	if empty {
		w.stats.Skipped += min(sectorSize, w.size-at*sectorSize)
		return nil
	}
	readAhead := func() {
		if w.ahead.at != at+1 && at+1 < end {
			w.read(w.ahead, at+1)
		}
	}
	for block := range slices.Chunk(w.buf.data[:length], size) {
		w.stats.Sent += len(block)
		if err := w.l.data(ctx, w.seq, block, readAhead); err != nil {
			return err
		}
		w.seq++
		w.l.proven = w.l.proven || size == maxData
	}
	w.place = at + 1
	return nil
}

// shape is the block size for a sector and how much of the sector to write: of
// the last one no more than it must be.
func (w *writer) shape(at int) (blockSize, length int) {
	size := w.l.blockSize
	rest := w.size - at*sectorSize
	switch {
	case rest >= sectorSize:
		return size, sectorSize
	case w.l.shortTail && size == maxData:
		length = roundUp(rest, tailUnit)
		return length, length
	}
	return size, roundUp(rest, size)
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

// adapt takes a smaller block after the chip has refused one of a size that it
// has not taken before.
func (w *writer) adapt(err error) bool {
	switch {
	case !refusedWith(err, badMessage):
		return false
	case w.blockSize != w.l.blockSize && w.l.shortTail:
		w.l.shortTail = false
	case w.l.blockSize == maxData && !w.l.proven:
		w.l.blockSize, w.l.proven = smallBlock, true
	default:
		return false
	}
	w.l.stats.Refusals++
	return true
}

// mendable reports an error after which the sector can be tried again. A begin
// that the ROM cannot carry out will not be better the next time.
func mendable(err error) bool {
	var s *StatusError
	if errors.As(err, &s) {
		return s.Op == cmdFlashData.name || transient(err)
	}
	return transient(err)
}

// read gets a sector of the source and takes it into the sum of the whole when
// its turn comes.
func (w *writer) read(s *sector, at int) {
	from := at * sectorSize
	part := s.data[:min(sectorSize, w.size-from)]
	s.at, s.err = at, nil
	if n, err := w.src.ReadAt(part, int64(from)); n < len(part) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		s.err = fmt.Errorf("read the image: %w", err)
		return
	}
	copy(s.data[len(part):], blankSector[:])
	if w.whole == nil && at == w.hashed {
		w.hash.Write(part)
		if w.hashed++; w.hashed == w.sectors {
			w.whole = new([16]byte)
			w.hash.Sum(w.whole[:0])
		}
	}
}

func (w *writer) done(at int) {
	bytes := min((at+1)*sectorSize, w.size)
	if w.progress != nil && bytes > w.reported {
		w.reported = bytes
		w.progress(bytes)
	}
}
