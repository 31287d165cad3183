package slip

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"
)

func decode(stream []byte) (frames [][]byte, d *Decoder) {
	d = new(Decoder)
	for _, b := range stream {
		if f, ok := d.Push(b); ok {
			frames = append(frames, bytes.Clone(f))
		}
	}
	return frames, d
}

// The streams are those of the mask ROM's trace (fixtures/rom/frames.json).
func TestDecoderHasTheROMsHabits(t *testing.T) {
	for _, c := range []struct{ name, stream, frames string }{
		{"plain", "c0000ac0", "000a"},
		{"no leading C0", "000ac0", ""},
		{"extra C0", "c0c0c0c0000ac0", "000a"},
		{"garbage before", "68656c6c6fc0000ac0", "000a"},
		{"back to back", "c001c0c002c0", "01 02"},
		{"shared C0", "c001c002c0", "01"},
		{"empty frames", "c0c0c0c0", ""},
		{"escapes", "c0dbdddbdcc0", "dbc0"},
		{"bad escape", "c0db00c0", "00"},
		{"stray C0 after a reply", "c001c0c0c0c002c0", "01 02"},
	} {
		stream, _ := hex.DecodeString(c.stream)
		frames, _ := decode(stream)
		var got string
		for i, f := range frames {
			if i > 0 {
				got += " "
			}
			got += hex.EncodeToString(f)
		}
		if got != c.frames {
			t.Errorf("%s: got %q, want %q", c.name, got, c.frames)
		}
	}
}

func TestDecoderCapsAFrame(t *testing.T) {
	d := Decoder{Max: 4}
	for _, b := range Append(nil, bytes.Repeat([]byte{1}, 100)) {
		if f, ok := d.Push(b); ok && (len(f) != 4 || !d.Damaged()) {
			t.Errorf("got %d bytes, damaged %v", len(f), d.Damaged())
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{0xc0, 0xdb, 0xdc, 0xdd}, []byte("noise"))
	f.Add([]byte{1}, []byte{0xdb})
	f.Fuzz(func(t *testing.T, payload, noise []byte) {
		frames, d := decode(Append(nil, payload))
		if len(payload) == 0 {
			if len(frames) != 0 {
				t.Fatalf("an empty payload became %x", frames)
			}
			return
		}
		if len(frames) != 1 || !bytes.Equal(frames[0], payload) || d.Damaged() {
			t.Fatalf("% x became % x", payload, frames)
		}
		// Whatever was received before, a frame after two C0 is read whole.
		frames, _ = decode(slices.Concat(noise, []byte{end, 1, end}, Append(nil, payload)))
		if len(frames) == 0 || !bytes.Equal(frames[len(frames)-1], payload) {
			t.Fatalf("% x after noise became % x", payload, frames)
		}
	})
}
