package esploader

import (
	"cmp"
	"context"
	"io"

	"station/internal/chip"
)

// part is a piece of an image that the flash does not hold yet: whole sectors, but
// for the image's end.
type part struct {
	addr      uint32
	plain     []byte
	encrypted bool
	stored    io.ReaderAt
	from      int    // of stored
	erase     []byte // a bit for each sector to erase, from the 64 KiB on in which it begins
}

// partsToWrite asks the ROM what the flash holds already.
func (l *Loader) partsToWrite(ctx context.Context, images []chip.PlainImage) (parts []part, err error) {
	total := 0
	for _, image := range images {
		if image.Encrypted && len(image.Plain)%16 != 0 || len(image.Plain) == 0 {
			continue
		}
		w := l.newWriter(image.Addr, len(image.Plain), image.Stored)
		states, err := w.samples(ctx)
		if err == nil && states == nil {
			states, err = w.survey(ctx)
		}
		if err != nil {
			return nil, err
		}
		for from := 0; from < len(states); {
			end := from
			for end < len(states) && (states[end] == right) == (states[from] == right) {
				end++
			}
			if states[from] != right {
				p := partOf(image, states, from, end)
				parts, total = append(parts, p), total+len(p.plain)
			}
			from = end
		}
	}
	if total < cmp.Or(l.opts.LeastRAM, leastRAM) {
		return nil, nil
	}
	return parts, nil
}

// samples takes a large region for erased where the first page of every fourth sector
// and the last are, which costs a tenth of the MD5 of it all. Where it is wrong, that
// region is not what it is to be after the reset, and the ROM writes it anew. Where
// anything else is found it says nothing.
func (w *writer) samples(ctx context.Context) ([]state, error) {
	if w.sectors < 8 {
		return nil, nil
	}
	for at := 0; ; at = min(at+4*sectorSize, w.size-tailUnit) {
		sum, err := w.l.FlashMD5(ctx, w.addr+uint32(at), tailUnit)
		if err != nil || sum != blankSum(tailUnit) {
			return nil, err
		}
		if at == w.size-tailUnit {
			break
		}
	}
	states := make([]state, w.sectors)
	fill(states, erased)
	return states, nil
}

// partOf is the image's sectors from one to another.
func partOf(i chip.PlainImage, states []state, from, end int) part {
	first := from * sectorSize
	p := part{
		addr: i.Addr + uint32(first), plain: i.Plain[first:min(end*sectorSize, len(i.Plain))],
		encrypted: i.Encrypted, stored: i.Stored, from: first,
	}
	base := int(p.addr) &^ 0xffff
	lead := (int(p.addr) - base) / sectorSize
	p.erase = make([]byte, (lead+end-from+7)/8)
	for n := range end - from {
		if states[from+n] == wrong {
			p.erase[(lead+n)/8] |= 1 << ((lead + n) % 8)
		}
	}
	return p
}
