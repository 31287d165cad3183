package firmware

import (
	"slices"
	"testing"
)

func TestErased(t *testing.T) {
	p := Plan{
		Table: &Table{Partitions: []Partition{
			{Name: "nvs", Type: TypeData, Subtype: 0x02, Offset: 0x9000, Size: 0x4000},
			{Name: "otadata", Type: TypeData, Subtype: 0x00, Offset: 0xd000, Size: 0x2000},
			{Name: "app", Type: TypeApp, Subtype: 0x00, Offset: 0x10000, Size: 0x10000},
			{Name: "own", Type: 0x40, Subtype: 0x02, Offset: 0x20000, Size: 0x1000},
			{Name: "nvs2", Type: TypeData, Subtype: 0x02, Offset: 0x21000, Size: 0x3000},
		}},
		Regions: []Region{
			{Address: 0x1000, Size: 100}, {Address: 0x8000, Size: 0xc00}, {Address: 0xa000, Size: 0x1001},
			{Address: 0x10000, Size: 0x3000}, {Address: 0x22000, Size: 0x2000},
		},
	}
	nvs := []Span{{0x9000, 0x1000, "nvs"}, {0xc000, 0x1000, "nvs"}, {0x21000, 0x1000, "nvs2"}}
	for e, want := range map[Erase][]Span{
		EraseImages: nil,
		EraseNVS:    nvs,
		EraseData:   {nvs[0], nvs[1], {0xd000, 0x2000, "otadata"}, nvs[2]},
		EraseChip: {{0, 0x1000, "flash"}, {0x2000, 0x6000, "flash"}, {0x9000, 0x1000, "flash"}, {0xc000, 0x4000, "flash"},
			{0x13000, 0xf000, "flash"}, {0x24000, 0xdc000, "flash"}},
	} {
		if got := p.Erased(e, 1<<20); !slices.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", e, got, want)
		}
	}
	p.Table = nil
	if got := p.Erased(EraseNVS, 1<<20); got != nil {
		t.Errorf("without a table: got %v", got)
	}
}
