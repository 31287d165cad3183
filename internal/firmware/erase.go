package firmware

import "slices"

// Erase says what is emptied besides the images.
type Erase string

// What a job may erase. Whatever is said, no sector that holds part of an image
// is touched.
const (
	EraseImages Erase = "images" // nothing else
	EraseNVS    Erase = "nvs"    // partitions of type nvs
	EraseData   Erase = "data"   // all data partitions
	EraseChip   Erase = "chip"   // the whole flash
)

// Span is whole sectors of flash.
type Span struct {
	Address uint32 `json:"address"`
	Size    int    `json:"size"`
	Name    string `json:"name"` // the partition, or "flash"
}

const sector = 0x1000

// Erased are the sectors that the device must have empty, by address: those
// of e that no image lies in. A plan without a table has no partitions to empty.
func (p *Plan) Erased(e Erase, flashSize uint32) []Span {
	var spans []Span
	switch {
	case e == EraseChip:
		spans = []Span{{0, int(flashSize), "flash"}}
	case p.Table != nil && e != EraseImages:
		for _, part := range p.Table.Partitions {
			if part.Type == TypeData && (e == EraseData || part.Is("data", "nvs")) {
				spans = append(spans, Span{part.Offset, int(part.Size) / sector * sector, part.Name})
			}
		}
	}
	slices.SortFunc(spans, func(a, b Span) int { return int(int64(a.Address) - int64(b.Address)) })
	var out []Span
	for _, s := range spans {
		out = append(out, s.without(p.Regions)...)
	}
	return out
}

// without is what is left of the span beside the sectors of regions, which are
// in order of their addresses.
func (s Span) without(regions []Region) (left []Span) {
	at, end := s.Address, s.Address+uint32(s.Size)
	add := func(to uint32) {
		if to > at {
			left = append(left, Span{at, int(to - at), s.Name})
		}
	}
	for _, r := range regions {
		first := r.Address / sector * sector
		last := (r.Address + uint32(r.Size) + sector - 1) / sector * sector
		if last <= at || first >= end {
			continue
		}
		add(first)
		at = max(at, last)
	}
	add(end)
	return left
}
