package sim

import "station/internal/chip"

// Words are all fuse words of a chip as they are read: its blocks one after
// another. The ESP32 has 31, coded as the coding scheme wants; the chips after it
// 84, without the check words of their blocks.
type Words [84]uint32

// SetField sets the low bits of a named field of the ESP32 (at most 32) in all
// fuse words. It panics for a name that no field has: the caller's table is wrong.
func SetField(w *Words, name string, value uint32) { SetFieldOf(chip.ESP32, w, name, value) }

// SetFieldOf is SetField for any family.
func SetFieldOf(f *chip.Family, w *Words, name string, value uint32) {
	i := 0
	for bit := range bitsOf(f, fieldNamed(f, name)) {
		mask := uint32(1) << (bit % 32)
		w[bit/32] &^= mask
		if i < 32 && value>>i&1 != 0 {
			w[bit/32] |= mask
		}
		i++
	}
}

// FieldOf is the low 32 bits of a family's named field, out of all fuse words.
func FieldOf(f *chip.Family, w *Words, name string) (v uint32) {
	i := 0
	for bit := range bitsOf(f, fieldNamed(f, name)) {
		if i < 32 {
			v |= w[bit/32] >> (bit % 32) & 1 << i
		}
		i++
	}
	return v
}

func fieldNamed(f *chip.Family, name string) chip.Field {
	if field, ok := f.Efuse.Field(name); ok {
		return field
	}
	panic("sim: no fuse field of the " + f.Title + " is named " + name)
}

// bitsOf ranges over the bits of a field as word*32+bit of all words.
func bitsOf(f *chip.Family, field chip.Field) func(func(int) bool) {
	start, _ := wordsOf(f)
	return func(yield func(int) bool) {
		first := (start[field.Block]+field.Word)*32 + field.Bit
		for i := range field.Width {
			if !yield(first + i) {
				return
			}
		}
	}
}
