// Package slip frames packets for the ESP32 ROM loader:
//
//	C0  payload with C0 as DB DC and DB as DB DD  C0
//
// The decoder has the ROM's own habits (seen on the mask ROM): bytes outside a
// frame are skipped, extra C0 are ignored, a frame needs a C0 of its own on
// each side, and DB followed by anything else stands for that byte.
package slip

const (
	end    = 0xc0
	esc    = 0xdb
	escEnd = 0xdc
	escEsc = 0xdd
)

// Append appends payload to dst as one frame.
func Append(dst, payload []byte) []byte {
	dst = append(dst, end)
	for _, b := range payload {
		switch b {
		case end:
			dst = append(dst, esc, escEnd)
		case esc:
			dst = append(dst, esc, escEsc)
		default:
			dst = append(dst, b)
		}
	}
	return append(dst, end)
}

// Decoder finds frames in a stream of bytes. The zero value is ready and takes
// frames of any length.
type Decoder struct {
	// Max is the longest payload kept; bytes of a frame past it are dropped. 0 is no limit.
	Max int

	buf      []byte
	inside   bool
	escaped  bool
	mangled  bool
	overflow bool
}

// Push takes the next byte of the stream. When it ends a frame with a payload,
// Push returns that payload, valid until the next call, and true.
func (d *Decoder) Push(b byte) (frame []byte, ok bool) {
	switch {
	case b == end && d.inside && (len(d.buf) > 0 || d.escaped):
		d.inside, d.escaped = false, false
		return d.buf, true
	case b == end:
		d.inside, d.mangled, d.overflow = true, false, false
		d.buf = d.buf[:0]
	case !d.inside:
	case d.escaped:
		d.escaped = false
		switch b {
		case escEnd:
			b = end
		case escEsc:
			b = esc
		default:
			d.mangled = true
		}
		d.keep(b)
	case b == esc:
		d.escaped = true
	default:
		d.keep(b)
	}
	return nil, false
}

func (d *Decoder) keep(b byte) {
	if d.Max > 0 && len(d.buf) >= d.Max {
		d.overflow = true
		return
	}
	d.buf = append(d.buf, b)
}

// Inside reports whether the last byte pushed was inside a frame: bytes
// outside are console text or noise.
func (d *Decoder) Inside() bool { return d.inside }

// Damaged reports whether the frame returned last held an unknown escape or
// more bytes than Max.
func (d *Decoder) Damaged() bool { return d.mangled || d.overflow }

// Reset forgets a frame begun.
func (d *Decoder) Reset() { *d = Decoder{Max: d.Max, buf: d.buf[:0]} }
