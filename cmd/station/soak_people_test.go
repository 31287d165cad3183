package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"station/internal/chip"
	"station/internal/flow"
)

// The people beside the line of a soak, and their commands.

// people do something now and then while the line works.
func (sh *shift) people() {
	for range 2 + sh.IntN(4) {
		select {
		case <-sh.done:
			return
		case <-time.After(time.Duration(sh.IntN(300)) * time.Millisecond):
		}
		sh.something()
	}
}

func (sh *shift) something() {
	batch, mac := sh.anyBatch(), sh.anyMAC()
	b := func() *lot { return sh.model.batches[batch] }
	n := sh.commands
	switch sh.IntN(17) {
	case 0:
		sh.openBatch(sh.goods)
	case 1:
		sh.do(func() int { return pick(b() == nil, 0, 2) }, "batch", "open", batch, "--devices", "9", "--operator", "bob")
		sh.batches = append(sh.batches, batch)
	case 2:
		quota := sh.IntN(30)
		sh.do(func() int {
			return pick(b() != nil && b().frozen == nil && (quota == 0 || quota >= sh.model.account(batch).Passed), 0, 2)
		}, "batch", "amend", batch, "--quota", fmt.Sprint(quota), "--operator", "bob", "--reason", "other order")
	case 3:
		sh.do(always(2), "batch", "amend", batch, "--quota", "99", "--operator", "bob", "--reason", " ")
	case 4, 13:
		sh.do(func() int { return pick(b() != nil, 0, 2) }, "batch", "close", batch, "--operator", "carl", "--anyway", "enough", "--out", sh.file(fmt.Sprint("cert", n)))
	case 5, 6:
		if !sh.isHere(mac) {
			sh.do(func() int { return pick(sh.model.thing(mac).aside != "", 0, 2) }, "ledger", "release", mac, "--operator", "eve", "--reason", "looked at")
		}
	case 7:
		sh.do(func() int {
			d := sh.model.thing(mac)
			return pick(d.entries == 0 || sh.labelled[mac] && d.verdict() == "PASS", 2, pick(d.verdict() != "PASS", 1, 0))
		}, "label", mac, "--operator", "dan", "--out", sh.file(fmt.Sprint("label", n, ".zpl")))
	case 8:
		sh.do(always(0), "ledger", "checkpoint", "--out", sh.file(fmt.Sprint("head", n)))
	case 9:
		sh.do(always(0), "ledger", "verify")
	case 10:
		sh.do(always(0), "ledger", "export", "--table", "entries", "--out", sh.file(fmt.Sprint("entries", n, ".csv")))
	case 11, 12:
		sh.pull()
	case 14, 15:
		said := sh.do(func() int { return pick(sh.model.thing(mac).entries > 0, 0, 2) }, "ledger", "show", mac)
		for line := range strings.Lines(said) {
			sh.model.must(strings.Contains(line, mac) || strings.HasPrefix(line, "station: "), "ledger show %s: %s", mac, line)
		}
	case 16:
		known := sh.IntN(2) == 0
		sh.do(always(pick(known, 0, 2)), "key", "note", pick(known, "station-master", "nobody"), "--operator", "eve")
	}
}

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

// pull takes a chip out of its slot while it is worked on.
func (sh *shift) pull() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(sh.inSlot)) {
		if v := sh.inSlot[name]; !v.piece.twin && v.chip != nil && v.event == nil {
			v.trouble()
			v.chip.Unplug()
			sh.pulled++
			return
		}
	}
}

// scan gives the device in a slot a number once it waits for one, mostly at once
// a good one.
func (sh *shift) scan(v *turn) {
	serials := sh.works.line().Serials
	for {
		sh.mu.Lock()
		gone := v.step != "bind" || v.event != nil
		sh.scanned++
		serial := fmt.Sprintf("S%06d", pick(sh.IntN(4) == 0, sh.IntN(sh.scanned), sh.scanned))
		owner := sh.model.serials[serial]
		sh.mu.Unlock()
		if gone {
			return
		}
		var why *flow.SerialError
		switch err := serials.Scan(v.slot, serial); {
		case err == nil:
			sh.model.must(owner == "", "%s can be scanned for %s, and belongs to %s", serial, v.mac, owner)
			return
		case !errors.As(err, &why):
			sh.model.wrong("scan %s: %v", serial, err)
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (sh *shift) isHere(mac string) bool {
	return slices.ContainsFunc(sh.all, func(v *turn) bool { return v.mac == mac })
}

func (s *soak) anyMAC() string {
	n := 1 + s.IntN(s.made)
	return chip.MAC{0x24, 0x0a, 0xc4, 1, byte(n >> 8), byte(n)}.String()
}

func (s *soak) anyBatch() string {
	if len(s.batches) == 0 || s.IntN(8) == 0 {
		return "typo"
	}
	return s.batches[len(s.batches)-1-s.IntN(min(len(s.batches), 4))]
}

func (s *soak) openBatch(g *goods) string {
	name := fmt.Sprint("b", len(s.batches))
	s.batches = append(s.batches, name)
	args := []string{"batch", "open", name, "--devices", fmt.Sprint(3 * s.IntN(12)), "--operator", "bob"}
	if s.IntN(2) == 0 {
		args = append(args, "--job", g.path)
	}
	s.do(always(0), args...)
	return name
}

// someBatch is the batch of a shift, opened for it or not.
func (s *soak) someBatch(g *goods) string {
	switch s.IntN(8) {
	case 0, 1:
		return ""
	case 2, 3, 4:
		return s.openBatch(g)
	}
	return s.anyBatch()
}
