package flow_test

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"station/internal/esploader"
	"station/internal/racetest"
	"station/internal/sim"
)

// The power of the device goes at every command of a whole run and inside every
// fuse programming. Put back, it is sealed with the key first assigned.
//
// One thing physics leaves: a device whose UART_DOWNLOAD_DIS has taken never
// tells its MAC again. If its power goes before it was seen to start, the
// ledger knows it by its MAC as set aside (E-CLOSED), and the device itself is
// turned away when it is put back.
func TestPowerCuts(t *testing.T) {
	all := products(t)
	var m matrix
	m.fill(t, func(l *lab, try tryFunc) {
		for _, name := range []string{"release and lock", "release, coding 3/4", "development", "release, random key"} {
			p := all[name]
			ref, err := l.undisturbed(p)
			if err != nil {
				t.Error(err)
				continue
			}
			cut := func(class string, f sim.Fault) { try(class, p, func() *trial { return l.cut(p, f) }) }
			n, stride := len(ref.sent), 1
			if name == "release, random key" { // as any other but for its key
				stride = 8
			}
			if racetest.Enabled {
				stride *= raceStride
			}
			for k := 1; k <= n; k += stride {
				cut("power goes before a command", sim.Fault{Kind: sim.CutBefore, At: k})
			}
			for k := 1; k <= n; k++ {
				if ref.sent[k-1].writes() && k%stride == 0 {
					cut("power goes after a command, before its reply", sim.Fault{Kind: sim.CutAfter, At: k})
				}
			}
			for k := 1; k <= n; k += 7 * stride {
				try("power dips at a command and is back at once", p, func() *trial { return l.dip(p, k) })
			}
			for at, fresh := range ref.burns {
				if name != "release and lock" && fresh[0]>>20&0x7f == 0 && !keyOnly(fresh) {
					continue // as there
				}
				for i, words := range subsets(fresh, at) {
					if i%stride == 0 {
						cut("power goes inside a fuse programming", sim.Fault{Kind: sim.CutBurn, At: 1 + at, Words: &words})
					}
				}
			}
			for seed := range max(1, 64/stride) {
				try("power goes in each of four visits, anywhere", p, func() *trial { return l.cutAgain(p, n, uint64(seed)) })
			}
		}
	})
	m.publish(t, "power")
}

// cut is one device whose power goes once.
func (l *lab) cut(p product, f sim.Fault) *trial {
	tr := l.trial(p, f)
	tr.visit()
	return tr
}

// dip is one device whose power goes for a moment, so that it restarts while
// the station still talks to it.
func (l *lab) dip(p product, k int) *trial {
	tr := l.trial(p, sim.Fault{Kind: sim.CutBefore, At: k})
	tr.wrap = func(port *sim.Port) esploader.Port { return recovering{port, tr.chip} }
	tr.visit()
	tr.wrap = nil
	return tr
}

// recovering gives a chip its power back as soon as somebody listens.
type recovering struct {
	*sim.Port
	chip *sim.Chip
}

func (r recovering) Read(p []byte) (int, error) {
	r.chip.PowerOn()
	return r.Port.Read(p)
}

// cutAgain is one device whose power goes in each of its first visits, at any
// command or inside any fuse programming.
func (l *lab) cutAgain(p product, n int, seed uint64) *trial {
	rnd := rand.New(rand.NewPCG(seed, 1))
	tr := l.trial(p)
	for range 4 {
		var words sim.Words
		for i := range words {
			words[i] = rnd.Uint32() & rnd.Uint32()
		}
		tr.putBack()
		if err := tr.chip.Inject(sim.Fault{Kind: sim.CutBefore, At: 1 + rnd.IntN(n)},
			sim.Fault{Kind: sim.CutBurn, At: 1 + rnd.IntN(6), Words: &words}); err != nil {
			panic(err)
		}
		tr.visit()
		if !tr.retried() {
			break
		}
	}
	return tr
}

// subsets are masks of what a torn programming leaves of the fresh bits: every
// subset of a few bits; of more none, all, each alone, all but each, and random
// ones. A key's bits are another device's; there masks are of the whole block.
func subsets(fresh sim.Words, seed int) (masks []sim.Words) {
	rnd := rand.New(rand.NewPCG(uint64(seed), 2))
	if keyOnly(fresh) {
		if slices.Max(fresh[15:23]) != 0 {
			return keySubsets(rnd, 15)
		}
		return keySubsets(rnd, 7)
	}
	var all []sim.Words // one bit each
	for i, w := range fresh {
		for ; w != 0; w &= w - 1 {
			var one sim.Words
			one[i] = w & -w
			all = append(all, one)
		}
	}
	if len(all) > 8 {
		panic("more bits than every subset of can be tried")
	}
	for n := range 1 << len(all) {
		var mask sim.Words
		for ; n != 0; n &= n - 1 {
			for i, w := range all[bits.TrailingZeros(uint(n))] {
				mask[i] |= w
			}
		}
		masks = append(masks, mask)
	}
	return masks
}

func keyOnly(fresh sim.Words) bool { return fresh[0]|fresh[5]|fresh[6] == 0 }

// keySubsets are of the key block whose words begin there: nothing, all, each word, each chunk of the 3/4
// coding in part, random bits.
func keySubsets(rnd *rand.Rand, from int) []sim.Words {
	var none, whole sim.Words
	for i := from; i < from+8; i++ {
		whole[i] = 0xffffffff
	}
	masks := []sim.Words{none, whole}
	for i := from; i < from+8; i++ {
		word, data, check := none, none, none
		word[i] = 0xffffffff
		chunk := from + (i-from)/2*2
		data[chunk], data[chunk+1] = 0xffffffff, 0x0000ffff
		check[chunk+1] = 0xff000000
		if (i-from)%2 == 0 {
			check[chunk+1] = 0x00ff0000
		}
		rest := whole
		rest[i] = 0
		masks = append(masks, word, data, check, rest)
	}
	for range 60 {
		mask := none
		for i := from; i < from+8; i++ {
			mask[i] = rnd.Uint32()
			switch rnd.IntN(3) {
			case 0:
				mask[i] &= rnd.Uint32()
			case 1:
				mask[i] |= rnd.Uint32()
			}
		}
		masks = append(masks, mask)
	}
	return masks
}
