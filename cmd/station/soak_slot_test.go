package main

import (
	"io"

	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/sim"
)

// The slots of a soak, and the chips in them.

// turn is a visit with its chip.
type turn struct {
	visit
	piece *piece
	flaws []sim.Fault
	chip  *sim.Chip // while it is in the slot
	event *flow.Event
	step  flow.StepID // that was begun last
}

// next puts the next chip into a slot.
func (sh *shift) next(slot string) (flow.Loader, error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.inSlot, slot)
	if len(sh.waiting) == 0 {
		return nil, io.EOF
	}
	v := sh.waiting[0]
	sh.waiting = sh.waiting[1:]
	if err := sh.put(v, slot); err != nil {
		return nil, err
	}
	wire, err := v.chip.Open()
	if err != nil {
		return nil, err
	}
	return &plugged{esploader.New(wire, esploader.Options{}), v}, nil
}

// put puts a chip into a slot.
func (sh *shift) put(v *turn, slot string) (err error) {
	for _, other := range sh.inSlot {
		if other.mac == v.mac {
			v.overlapped, other.overlapped = true, true
		}
	}
	v.slot = slot
	sh.inSlot[slot] = v
	sh.queue[slot] = append(sh.queue[slot], &v.visit)
	sh.model.open = append(sh.model.open, &v.visit)
	words := v.piece.words
	v.before = words
	v.chip, err = sim.New(sim.Options{Words: &words, Flash: v.piece.flash(), FlashSize: v.piece.size, Real: true, Faults: v.flaws})
	return err
}

// plugged is a chip that is looked at when it is taken out.
type plugged struct {
	*esploader.Loader
	v *turn
}

func (p *plugged) Close() error {
	err := p.Loader.Close()
	p.v.takeOut()
	return err
}

// takeOut looks at what became of the chip.
func (v *turn) takeOut() {
	m := v.chip.Meter()
	v.written = m.PagesProgrammed+m.SectorsErased+m.FuseBurns > 0
	v.after = v.chip.Fuses()
	v.piece.keep(v.after, v.chip.Flash())
}

// trouble says that anything may happen to the chip. What became of it is not
// known from outside, so none of its MAC may come again as another one.
func (v *turn) trouble() {
	v.troubled, v.piece.quiet = true, false
}
