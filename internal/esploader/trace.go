package esploader

import (
	"encoding/binary"
	"slices"

	"station/internal/chip"
)

const redacted = "****"

// holdsKey reports a register by which a key passes: where a block that may hold
// one is written, with its check words, and where it is read back.
func (l *Loader) holdsKey(addr uint32) bool {
	e := &l.family.Efuse
	if e.Check != 0 && touches(addr, e.Check, 3) {
		return true
	}
	for _, b := range e.Blocks {
		if b.Holds != chip.Words && (touches(addr, b.Read, b.Words) || touches(addr, b.Write, b.Words)) {
			return true
		}
	}
	return false
}

// touches reports that the word at addr has bytes of some words from first on.
func touches(addr, first uint32, words int) bool {
	return addr+3 >= first && addr < first+4*uint32(words)
}

// traceSent shows a request.
func (l *Loader) traceSent(payload []byte) {
	if l.opts.Trace == nil {
		return
	}
	shown := slices.Clone(payload)
	if shown[1] == cmdWriteReg.op {
		clear(shown[headerSize:])
		for at := headerSize; at+16 <= len(payload); at += 16 {
			copy(shown[at:at+16], payload[at:at+16])
			if l.holdsKey(binary.LittleEndian.Uint32(payload[at:])) {
				copy(shown[at+4:], redacted)
			}
		}
	}
	l.opts.Trace('>', shown)
}

// traceReceived shows a reply. The value of a READ_REG's answer is hidden by
// the address asked for; that of any other reply while the ROM repeats a word
// of the key in it.
func (l *Loader) traceReceived(frame []byte, answersRead bool) {
	if l.opts.Trace == nil {
		return
	}
	hide := l.tainted
	if answersRead && len(l.asked) > 0 && !l.dirty {
		hide = l.holdsKey(l.asked[0])
	}
	shown := slices.Clone(frame)
	if hide && len(shown) > 4 {
		copy(shown[4:min(8, len(shown))], redacted)
	}
	l.opts.Trace('<', shown)
}
