package flow_test

import (
	"math/rand/v2"

	"station/internal/sim"
)

// What goes wrong with the devices of a soak.

// patient makes the next device, one in five with a defect of its own or
// somebody else's fuses.
func (s *soak) patient() *patient {
	rnd := rand.New(rand.NewPCG(s.seed, uint64(s.lab.made.Load())))
	product := s.products[rnd.IntN(len(s.products))]
	var defects []sim.Fault
	switch n := rnd.IntN(20); {
	case n < 3:
		defects = lies[rnd.IntN(len(lies))].faults
	case n == 3:
		odd := foreignChips[rnd.IntN(len(foreignChips))]
		product.before = func(o *sim.Options) { o.Words = words(*o, odd.set) }
	}
	p := &patient{trial: s.lab.trial(product, defects...), rnd: rnd, odd: defects != nil || product.before != nil, visits: 1}
	p.inject(defects == nil)
	return p
}

// disturb puts a device back with other faults, and after a few visits with none.
func (s *soak) disturb(p *patient) {
	p.putBack()
	p.visits++
	p.inject(p.visits < 5)
}

// commandsOfARun is about how many commands a whole run takes.
const commandsOfARun = 1300

func (p *patient) inject(more bool) {
	if !more {
		return
	}
	k := 1 + p.rnd.IntN(commandsOfARun)
	var words sim.Words
	for i := range words {
		words[i] = p.rnd.Uint32()
	}
	var list []sim.Fault
	switch p.rnd.IntN(6) {
	case 0:
	case 1:
		list = faults(sim.Fault{Kind: sim.CutBefore, At: k})
	case 2:
		list = faults(sim.Fault{Kind: sim.CutAfter, At: k})
	case 3:
		list = faults(sim.Fault{Kind: sim.CutBurn, At: 1 + k%8, Words: &words})
	default:
		for range 1 + p.rnd.IntN(6) {
			f := wireFaults[p.rnd.IntN(len(wireFaults))].fault(k, 14)
			f.At = 1 + p.rnd.IntN(commandsOfARun)
			list = append(list, f)
		}
	}
	if err := p.chip.Inject(list...); err != nil {
		panic(err)
	}
}
