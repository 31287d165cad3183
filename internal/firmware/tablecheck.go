package firmware

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// check finds what the generator or the bootloader would refuse.
func (t *Table) check(f *faults, o TableOptions) {
	if len(t.Partitions) > maxRows {
		f.add("%d partitions, want at most %d", len(t.Partitions), maxRows)
	}
	for _, p := range t.Partitions {
		p.check(f)
		if o.FlashSize != 0 && p.End() > uint64(o.FlashSize) {
			f.at(p.line, "%s ends at %#x, beyond the flash of %d MB; make it smaller or set the right flash size",
				p.Name, p.End(), o.FlashSize>>20)
		}
	}
	t.checkNames(f)
	t.checkOverlaps(f)
	t.checkUnique(f, "ota")
	t.checkUnique(f, "tee_ota")
}

func (p Partition) check(f *faults) {
	if p.Size == 0 {
		f.at(p.line, "%s has size 0", p.Name)
	}
	if align := uint32(p.Type.alignment()); p.Offset%align != 0 {
		f.at(p.line, "%s begins at %#x, want a multiple of %#x; leave the offset empty", p.Name, p.Offset, align)
	}
	if p.Type == TypeApp && p.Size%SectorSize != 0 {
		f.at(p.line, "%s has size %#x, want a multiple of %#x", p.Name, p.Size, SectorSize)
	}
	readonly := p.Flags&FlagReadonly != 0
	if readonly && (p.Is("data", "ota") || p.Is("data", "coredump")) {
		f.at(p.line, "%s is always written to and cannot be readonly; drop the flag", p.Name)
	}
	if p.Is("data", "nvs") && p.Size < minReadWriteNVS && !readonly {
		f.at(p.line, "%s has size %#x, but nvs needs %#x unless it is readonly", p.Name, p.Size, minReadWriteNVS)
	}
	if !utf8.ValidString(p.Name) || strings.ContainsFunc(p.Name, unicode.IsControl) {
		f.at(p.line, "the name %q is not text", p.Name)
	}
}

func (t *Table) checkNames(f *faults) {
	first := map[string]Partition{}
	for _, p := range t.Partitions {
		other, taken := first[p.Name]
		switch {
		case !taken:
			first[p.Name] = p
		case other.line > 0:
			f.at(p.line, "the name %s is taken by line %d; every partition needs its own", p.Name, other.line)
		default:
			f.add("two partitions have the name %s", p.Name)
		}
	}
}

// checkOverlaps serves binary tables, whose rows may be in any order; rows of a
// CSV that are out of order have their fault already.
func (t *Table) checkOverlaps(f *faults) {
	sorted := slices.SortedStableFunc(slices.Values(t.Partitions), func(a, b Partition) int {
		return int(int64(a.Offset) - int64(b.Offset))
	})
	for n, p := range sorted {
		if p.misplaced {
			continue
		}
		if end := t.Offset + SectorSize; p.Offset < end && !p.fixed() {
			f.at(p.line, "%s begins at %#x, below the end of the partition table at %#x", p.Name, p.Offset, end)
		}
		if n > 0 && uint64(p.Offset) < sorted[n-1].End() {
			f.at(p.line, "%s at %#x overlaps %s, which ends at %#x", p.Name, p.Offset, sorted[n-1].Name, sorted[n-1].End())
		}
	}
}

// checkUnique: the bootloader knows one otadata partition, of two sectors.
func (t *Table) checkUnique(f *faults, subtype string) {
	found := 0
	for _, p := range t.Partitions {
		if !p.Is("data", subtype) {
			continue
		}
		if found++; found > 1 {
			f.at(p.line, "%s is a second partition of data/%s; there can be only one", p.Name, subtype)
		}
		if p.Size != OTADataSize {
			f.at(p.line, "%s has size %#x, but data/%s must have %#x", p.Name, p.Size, subtype, OTADataSize)
		}
	}
}
