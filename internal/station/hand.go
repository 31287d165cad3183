package station

import (
	"cmp"
	"time"

	"station/internal/flow"
)

// hand is what a slot wants of a person or the fixture. It belongs to the
// goroutine of its slot.
type hand struct {
	tell    func(do flow.Hand, until time.Time) // nil: nobody hears
	wanted  ask                                 // by the loader
	last    ask
	needed  bool // a hand was needed here before
	looking bool // for the next device
}

// ask is one thing to do, and until when somebody waits for it.
type ask struct {
	do    flow.Hand
	until time.Time
}

// loader hears what the loader wants: esploader.Options.ByHand.
func (h *hand) loader(what string, until time.Time) {
	h.wanted = ask{cmp.Or(flow.Hand(what), flow.HandNone), until}
	h.needed = h.needed || what != ""
	h.change()
}

// setLooking says whether the slot looks for its next device. It does so again and
// again; what it wants of the device does not change meanwhile, and it waits as
// long as it takes.
func (h *hand) setLooking(on bool) {
	h.looking = on
	h.change()
}

// change tells what is wanted now where that is something else than before.
func (h *hand) change() {
	now := h.wanted
	if h.looking && h.needed {
		now = ask{do: flow.HandLoader}
	}
	if h.tell == nil || now == h.last || now.none() && h.last.none() {
		return
	}
	h.last = now
	h.tell(now.do, now.until)
}

func (a ask) none() bool { return a.do == "" || a.do == flow.HandNone }
