package tui

import "math"

// grid is how the tiles stand: in rows from left to right, as the slots stand
// in the fixture.
type grid struct {
	cols, rows int
	w, h       int // of one tile
	first, n   int // slots that are shown
}

// share is the size of the i-th of n parts of a whole; the parts fill it.
func share(whole, n, i int) int { return whole*(i+1)/n - whole*i/n }

// Sizes from which a tile can say more: another line of facts, a frame, a
// progress bar worth the name, block letters.
var (
	goodWidths  = []int{14, 18, 24, 34, 50}
	goodHeights = []int{1, 2, 4, 7, 12}
)

func quality(sizes []int, v int) int {
	q := 0
	for q < len(sizes) && v >= sizes[q] {
		q++
	}
	return q
}

// layout arranges n tiles in w cells and h lines. Columns are given by the
// fixture, or 0: then tiles become as telling as the window allows. Where not
// all fit, those around the chosen one are shown. None is narrower than least.
func layout(n, w, h, least, columns, chosen int) grid {
	best, bestScore := grid{}, math.Inf(-1)
	for cols := 1; cols <= n; cols++ {
		if columns > 0 && cols != min(columns, n) {
			continue
		}
		rows := (n + cols - 1) / cols
		g := grid{cols, rows, w / cols, h / rows, 0, n}
		q := min(quality(goodWidths, g.w), quality(goodHeights, g.h))
		if q == 0 || g.w < least {
			continue
		}
		// A cell is about half as wide as high: tiles look best about 3 to 1. A
		// last row with gaps does not look like a fixture.
		score := float64(q) - 0.1*math.Abs(math.Log(float64(g.w)/float64(g.h)/3)) - float64(cols*rows-n)/float64(cols*rows)
		if score > bestScore {
			best, bestScore = g, score
		}
	}
	if best.cols > 0 || n == 0 {
		return best
	}
	return page(n, w, h, least, chosen)
}

// page shows as many slots as fit, one line each.
func page(n, w, h, least, chosen int) grid {
	cols := max(1, w/max(least, 20))
	rows := max(h-1, 1) // the last line says which slots are shown
	per := cols * rows
	first := chosen / per * per
	return grid{cols, rows, w / cols, 1, first, min(per, n-first)}
}
