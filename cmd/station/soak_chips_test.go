package main

import (
	"slices"

	"station/internal/chip"
	"station/internal/sim"
)

// The chips of a soak, and what goes wrong with them.

// piece is a chip, between its visits without power.
type piece struct {
	mac   string
	words sim.Words
	held  map[int][]byte // sectors that are not erased
	size  int
	quiet bool // what became of it is known for certain
	twin  bool // it has the MAC of another one
}

const sector = 4096

func (p *piece) flash() []byte {
	all := make([]byte, p.size)
	for i := range all {
		all[i] = 0xff
	}
	for at, b := range p.held {
		copy(all[at:], b)
	}
	return all
}

func (p *piece) keep(words sim.Words, flash []byte) {
	p.words, p.held = words, map[int][]byte{}
	for at := 0; at < len(flash); at += sector {
		for _, b := range flash[at : at+sector] {
			if b != 0xff {
				p.held[at] = append([]byte(nil), flash[at:at+sector]...)
				break
			}
		}
	}
}

// newPiece is a chip as the factory made it.
func newPiece(mac chip.MAC) *piece {
	return &piece{mac: mac.String(), words: sim.FactoryWords(sim.Options{MAC: mac}), size: 1 << 20, quiet: true}
}

// bring lets one more chip wait, or two of one MAC.
func (sh *shift) bring() {
	switch n := sh.IntN(20); {
	case n < 7 && len(sh.pieces) > 0: // one that was here before
		p := sh.pieces[sh.IntN(len(sh.pieces))]
		for range 4 { // rather one that is not finished
			if sh.model.thing(p.mac).verdict() == "PASS" {
				p = sh.pieces[sh.IntN(len(sh.pieces))]
			}
		}
		if !slices.ContainsFunc(sh.all, func(v *turn) bool { return v.piece == p }) {
			sh.add(p)
		}
	case n == 7: // two with one MAC
		a := sh.newPiece()
		b := &piece{mac: a.mac, words: a.words, size: a.size, quiet: true}
		a.twin, b.twin = true, true
		sh.add(a)
		sh.add(b)
	case n == 8: // a blank one with the MAC of a sealed one
		for _, p := range sh.pieces {
			if mac, err := chip.ParseMAC(p.mac); err == nil && p.quiet && sh.model.thing(p.mac).sealed != "" && sh.IntN(3) == 0 {
				b := newPiece(mac)
				b.twin = true
				sh.pieces = append(sh.pieces, b)
				sh.add(b)
				return
			}
		}
	case n == 9: // somebody else's
		p := sh.newPiece()
		p.words[7] = 0x12345678
		sh.add(p)
	case n == 10:
		p := sh.newPiece()
		p.size = 512 << 10
		sh.add(p)
	default:
		sh.add(sh.newPiece())
	}
}

func (sh *shift) newPiece() *piece {
	sh.made++
	p := newPiece(chip.MAC{0x24, 0x0a, 0xc4, 1, byte(sh.made >> 8), byte(sh.made)})
	if sh.pieces = append(sh.pieces, p); len(sh.pieces) > 60 {
		i := sh.IntN(len(sh.pieces))
		sh.pieces = slices.Delete(sh.pieces, i, i+1)
	}
	return p
}

// add lets a chip wait, and decides what goes wrong with it.
func (sh *shift) add(p *piece) {
	g := sh.goods
	v := &turn{piece: p, visit: visit{mac: p.mac, job: g.name, digest: g.digest, kind: g.kind, escrow: g.escrow != "", serial: g.serial, batch: sh.batch}}
	if p.size < 1<<20 {
		v.unfit = "E-FLASH-SIZE"
	}
	sh.all, sh.waiting = append(sh.all, v), append(sh.waiting, v)
	if p.twin {
		return
	}
	switch sh.IntN(10) {
	case 0, 1:
		v.flaws, v.troubled = sh.mishaps(), true
		p.quiet = false
	case 2:
		v.flaws, v.ends = []sim.Fault{{Kind: sim.BootLoop, Times: -1}}, "E-BOOT-FAILED"
	case 3:
		v.flaws, v.ends, v.spoiled = []sim.Fault{{Kind: sim.LieMD5, Times: -1}}, "E-FLASH-VERIFY", true
	case 4:
		if at := 0x10000; p.held[at] != nil {
			p.held[at][0] ^= 1
			v.spoiled = true
		}
	}
}

// mishaps are cuts, pulls and broken frames anywhere in a visit.
func (sh *shift) mishaps() (list []sim.Fault) {
	kinds := []sim.Kind{sim.CutBefore, sim.CutAfter, sim.CutBurn, sim.Vanish, sim.DropReply, sim.ChangeByte, sim.DropFrame, sim.DoubleFrame, sim.RestartLoader, sim.RestartApp}
	for range 1 + sh.IntN(3) {
		f := sim.Fault{Kind: kinds[sh.IntN(len(kinds))], At: 1 + sh.IntN(400), Byte: sh.IntN(14)}
		if f.Kind == sim.CutBurn {
			var words sim.Words
			for i := range words {
				words[i] = sh.Uint32()
			}
			f.At, f.Words = 1+sh.IntN(6), &words
		}
		list = append(list, f)
	}
	return list
}
