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
		states, err := w.survey(ctx)
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
