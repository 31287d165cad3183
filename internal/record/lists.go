package record

// lists is memory for the lists in entries, so that not each of them asks for its own.
type lists struct {
	ahead  int // for how many lists memory is asked for at once; 0: each has its own
	keys   piece[Key]
	fuses  piece[Block]
	images piece[Image]
	burns  piece[FuseChange]
	texts  piece[string]
}

// alone is that of lines of which each list has memory of its own. Nobody writes to it.
var alone lists

// again uses the memory again: of what was made of it nothing is held any more.
func (l *lists) again() {
	l.keys.used, l.fuses.used, l.images.used, l.burns.used, l.texts.used = 0, 0, 0, 0, 0
}

// piece is memory of which lists are parts.
type piece[T any] struct {
	all  []T
	used int
}

// room is an empty list with room for n elements.
func (p *piece[T]) room(n, ahead int) []T {
	if ahead == 0 {
		return make([]T, 0, n)
	}
	if p.used+n > len(p.all) { // those who hold the old piece keep it
		p.all, p.used = make([]T, n*ahead), 0
	}
	from := p.used
	p.used += n
	return p.all[from:from:p.used]
}
