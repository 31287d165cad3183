package esploader

import (
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"slices"
)

// What a sector of flash holds, compared with what it is to hold.
type state byte

const (
	right  state = iota
	erased       // it can be written as it is
	wrong        // it must be erased first
)

// survey tells what each sector holds in as few round trips as pay: the MD5 of
// any length costs one. Regions are mostly all right, all erased or all
// different; what lies between is found by halving.
func (w *writer) survey(ctx context.Context) ([]state, error) {
	states := make([]state, w.sectors)
	whole, err := w.stateOf(ctx, 0, w.sectors)
	if err != nil || whole != wrong {
		fill(states, whole)
		return states, err
	}
	fill(states, wrong)
	// Another firmware differs everywhere: then four sectors do, and halving
	// would cost much and find nothing.
	promising := false
	for _, at := range slices.Compact([]int{0, w.sectors / 3, w.sectors * 2 / 3, w.sectors - 1}) {
		if states[at], err = w.stateOf(ctx, at, 1); err != nil {
			return nil, err
		}
		promising = promising || states[at] != wrong
	}
	if w.sectors <= 4 || !promising {
		return states, nil
	}
	return states, w.halve(ctx, states)
}

// halve looks at halves of what is not uniform, the largest first. Each look
// costs a round trip, each sector found right or erased saves one or more: it
// stops when it has not paid for a while. What it has not seen counts as wrong.
func (w *writer) halve(ctx context.Context, states []state) error {
	type part struct{ first, count int }
	credit := 32
	for todo := []part{{0, w.sectors}}; len(todo) > 0 && credit > 0; todo = todo[1:] {
		p := todo[0]
		for _, h := range []part{{p.first, p.count / 2}, {p.first + p.count/2, p.count - p.count/2}} {
			if h.count == 0 {
				continue
			}
			s, err := w.stateOf(ctx, h.first, h.count)
			if err != nil {
				return err
			}
			credit--
			switch {
			case s != wrong:
				fill(states[h.first:h.first+h.count], s)
				credit += h.count
			case h.count > 1:
				todo = append(todo, h)
			default:
				states[h.first] = wrong
			}
		}
	}
	return nil
}

func fill(states []state, s state) {
	for i := range states {
		states[i] = s
	}
}

// stateOf compares sectors in the chip with erased flash and with the source.
func (w *writer) stateOf(ctx context.Context, first, count int) (state, error) {
	from := first * sectorSize
	size := min(count*sectorSize, w.size-from)
	have, err := w.l.FlashMD5(ctx, w.addr+uint32(from), uint32(size))
	if err != nil {
		return wrong, err
	}
	if have == blankSum(size) {
		return erased, nil
	}
	want, err := w.sum(from, size)
	if err != nil || have != want {
		return wrong, err
	}
	if size == w.size {
		w.stats.MD5, w.verified = have, true
	}
	return right, nil
}

// sum is the MD5 of a part of the source. That of all of it is kept.
func (w *writer) sum(from, size int) (sum [16]byte, err error) {
	if size == w.size && w.whole != nil {
		return *w.whole, nil
	}
	h := md5.New()
	n, err := io.CopyBuffer(h, io.NewSectionReader(w.src, int64(from), int64(size)), w.copying)
	if err == nil && n < int64(size) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return sum, fmt.Errorf("read the image: %w", err)
	}
	h.Sum(sum[:0])
	if size == w.size {
		w.whole = &sum
	}
	return sum, nil
}

var blankSector = func() (s [sectorSize]byte) {
	for i := range s {
		s[i] = 0xff
	}
	return s
}()

// blankSum is the MD5 of erased flash.
func blankSum(size int) (sum [16]byte) {
	h := md5.New()
	for ; size > 0; size -= sectorSize {
		h.Write(blankSector[:min(size, sectorSize)])
	}
	h.Sum(sum[:0])
	return sum
}
