package efuse

import (
	"fmt"
	"slices"
	"strconv"

	"station/internal/chip"
	"station/internal/record"
)

// Named tells a block of words, as entries keep it, by its fields: those that are or
// were set, and words with bits that no field has. It is empty where the block is
// not one of the family's, or has another form.
func Named(family *chip.Family, was, now record.Block) (list []record.FuseChange) {
	e := &known(family).Efuse
	block := slices.IndexFunc(e.Blocks, func(b chip.Block) bool { return b.Name == now.Name })
	before, after := numbers(was.Words), numbers(now.Words)
	if block < 0 || len(after) == 0 || len(before) != len(after) {
		return nil
	}
	rest := [2][]uint32{slices.Clone(before), slices.Clone(after)}
	for _, f := range e.Fields {
		if f.Block != block || f.Word+(f.Bit+f.Width-1)/32 >= len(after) {
			continue
		}
		if old, new := value(f, before), value(f, after); old != 0 || new != 0 {
			list = append(list, record.FuseChange{Field: f.Name, Old: shown(f, old), New: shown(f, new)})
		}
		for i := range f.Width {
			bit := f.Bit + i
			rest[0][f.Word+bit/32] &^= 1 << (bit % 32)
			rest[1][f.Word+bit/32] &^= 1 << (bit % 32)
		}
	}
	for i := range after {
		if old, new := rest[0][i], rest[1][i]; old != 0 || new != 0 {
			list = append(list, record.FuseChange{Field: fmt.Sprintf("%s word %d", now.Name, i), Old: fmt.Sprintf("%08x", old), New: fmt.Sprintf("%08x", new)})
		}
	}
	return list
}

// FieldOf is the value of a field as entries keep its block; it is not known where
// they keep no words of it.
func FieldOf(family *chip.Family, fuses record.Fuses, name string) (v uint64, known bool) {
	f, ok := family.Efuse.Field(name)
	words := numbers(fuses.Block(family.Efuse.Blocks[f.Block].Name).Words)
	if !ok || f.Word+(f.Bit+f.Width-1)/32 >= len(words) {
		return 0, false
	}
	return value(f, words), true
}

// shown is a number as people count it, and a long field as bits.
func shown(f chip.Field, v uint64) string {
	if f.Width > 8 {
		return fmt.Sprintf("%#x", v)
	}
	return strconv.FormatUint(v, 10)
}

// numbers are words of hexadecimal digits; nil where one is none.
func numbers(words []string) (list []uint32) {
	for _, w := range words {
		n, err := strconv.ParseUint(w, 16, 32)
		if err != nil {
			return nil
		}
		list = append(list, uint32(n))
	}
	return list
}
