package esploader

import (
	"encoding/binary"
	"slices"
)

// The key passes over the wire where BLOCK1 is written (WDATA) and where it is
// read back (RDATA); the range runs from the one to the other.
const (
	keyFirst = 0x3ff5_a038
	keyLast  = 0x3ff5_a0b7
	redacted = "****"
)

func holdsKey(addr uint32) bool { return addr+3 >= keyFirst && addr <= keyLast }

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
			if holdsKey(binary.LittleEndian.Uint32(payload[at:])) {
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
		hide = holdsKey(l.asked[0])
	}
	shown := slices.Clone(frame)
	if hide && len(shown) > 4 {
		copy(shown[4:min(8, len(shown))], redacted)
	}
	l.opts.Trace('<', shown)
}
