package firmware

import (
	"bytes"
	"cmp"
	"slices"

	"station/internal/filefault"
)

// CryptAlign is what encrypted regions are padded to: the span of flash that
// shares one tweaked key.
const CryptAlign = 32

// Filled is what a line encrypts of a file: with FF behind it up to the end of such a span.
func Filled(file []byte) []byte { return pad(file, CryptAlign) }

// cryptLimit is the first address that flash encryption cannot reach.
const cryptLimit = 0x1000000

// inspect checks one image by itself and against its partition.
func (p *planner) inspect(x *piece) {
	switch {
	case p.isBootloader(x):
		p.inspectBootloader(x)
	case p.isTable(x):
		if !bytes.HasPrefix(x.data, rowMagic) {
			p.in(x.File, "is %s; name a CSV as partition_table, which makes the table of it, or write the build's partition-table.bin here", kindOfText(x.data))
		}
		if over := len(x.data) - SectorSize; over > 0 {
			p.in(x.File, "the partition table is %d bytes too big for its sector", over)
		}
		if len(x.data) < TableSize { // a table signed for secure boot V1 is longer
			x.data = pad(x.data, TableSize)
		}
	case x.partition != nil:
		p.inspectPartition(x)
	}
	if x.Address%SectorSize != 0 {
		p.in(x.File, "address %#x is not on a sector; use a multiple of %#x", x.Address, SectorSize)
	}
	if p.scope(x); x.encrypt {
		x.data = Filled(x.data)
		if uint64(x.Address)+uint64(len(x.data)) > cryptLimit {
			p.in(x.File, "ends beyond %#x, which flash encryption of the ESP32 cannot reach", cryptLimit)
		}
	}
}

// inspectBootloader also patches it: only its header counts for the ROM.
func (p *planner) inspectBootloader(x *piece) {
	if !p.parse(x, "the bootloader") {
		return
	}
	if over := int64(x.Address) + int64(len(x.data)) - int64(p.TableOffset); over > 0 {
		p.in(x.File, "the bootloader is %d bytes too big: the partition table begins at %#x", over, p.TableOffset)
	}
	size := p.FlashSize
	if p.KeepSize {
		size = 0
	}
	patched, err := Patch(x.data, p.Mode, p.Freq, size)
	if err != nil {
		p.in(x.File, "%v", err)
		return
	}
	if !bytes.Equal(patched, x.data) && signed(x) {
		p.in(x.File, "the bootloader is signed, and other flash settings would break its signature; build it with the job's settings, or write keep into the job")
		return
	}
	x.data = patched
}

// signed reports a secure boot V2 signature sector behind the image
// (ESP-IDF, "Secure Boot V2", signature block format).
func signed(x *piece) bool {
	sector := (x.image.Length + SectorSize - 1) / SectorSize * SectorSize
	return len(x.data) >= sector+2 && x.data[sector] == 0xe7 && x.data[sector+1] == 2
}

func (p *planner) inspectPartition(x *piece) {
	part := *x.partition
	if kind := kindOfText(x.data); kind != notKnown && part.Type <= TypeTable {
		p.in(x.File, "is %s, which the firmware cannot use as it is; write the binary that is made of it", kind)
		return
	}
	if over := int64(x.Address) + int64(len(x.data)) - int64(part.End()); over > 0 {
		p.in(x.File, "is %d bytes too big for the partition %s (%#x bytes at %#x); make the partition larger or the image smaller",
			over, part.Name, part.Size, part.Offset)
	}
	switch {
	case part.Type == TypeApp || part.Type == TypeBootloader:
		if x.Address != part.Offset {
			p.in(x.File, "address %#x is within the partition %s; an app begins with its partition, at %#x", x.Address, part.Name, part.Offset)
		}
		p.parse(x, "the app")
	case part.Is("data", "ota"):
		if _, err := ParseOTAData(x.data); err != nil {
			p.each(x.File, err)
		}
	}
}

// parse reads an image and refuses one for another chip.
func (p *planner) parse(x *piece, what string) bool {
	image, err := ParseImage(x.data)
	if err != nil {
		p.each(x.File, err)
		return false
	}
	if image.ChipID != p.chip.ImageID {
		p.in(x.File, "%s is built for %s, not for the %s; use the right build", what, chipName(image.ChipID), p.chip.Title)
		return false
	}
	x.image = image
	return true
}

// each files the faults of an image under its name.
func (p *planner) each(file string, err error) {
	for _, f := range filefault.All(err) {
		p.in(file, "%s", f.Text)
	}
}

// checkPlaces finds images that share sectors, cross partitions or leave the
// flash.
func (p *planner) checkPlaces() {
	slices.SortStableFunc(p.pieces, func(a, b *piece) int { return cmp.Compare(a.Address, b.Address) })
	for n, x := range p.pieces {
		if p.FlashSize != 0 && x.end() > uint64(p.FlashSize) {
			p.in(x.File, "ends at %#x, beyond the flash of %d MB", x.end(), p.FlashSize>>20)
		}
		if n > 0 && p.pieces[n-1].end() > uint64(x.Address) {
			before := p.pieces[n-1]
			p.in(x.File, "at %#x overlaps %s, which takes the flash up to %#x; move one of them", x.Address, before.File, before.end())
		}
		if p.Plan.Table != nil && x.partition == nil {
			p.checkOutside(x)
		}
	}
}

// checkOutside is for what is in no partition.
func (p *planner) checkOutside(x *piece) {
	for _, part := range p.Plan.Table.Partitions {
		if !part.fixed() && x.Address < part.Offset && x.end() > uint64(part.Offset) {
			p.in(x.File, "reaches into the partition %s at %#x", part.Name, part.Offset)
		}
	}
}

// end is the first address after the sectors of the piece.
func (x *piece) end() uint64 {
	return (uint64(x.Address) + uint64(len(x.data)) + SectorSize - 1) / SectorSize * SectorSize
}

// checkBoot makes sure that the chip finds something to start, and gives it an
// empty otadata where it has none.
func (p *planner) checkBoot() {
	if !slices.ContainsFunc(p.pieces, p.isBootloader) && !p.named(p.chip.Bootloader) && p.Lost == 0 {
		p.add("there is no bootloader; name the build's bootloader.bin for %#x", p.chip.Bootloader)
	}
	if p.Plan.Table == nil {
		return
	}
	var apps int
	var chosen OTAData
	filled := map[string]bool{}
	for _, x := range p.pieces {
		if x.partition == nil {
			continue
		}
		filled[x.partition.Name] = true
		if x.partition.Type == TypeApp {
			apps++
		}
		if x.partition.Is("data", "ota") {
			chosen, _ = ParseOTAData(x.data)
		}
	}
	p.checkChoice(chosen, filled)
	switch first := p.firstApp(chosen); {
	case p.lost > 0: // an image with another fault may be the one
	case apps == 0:
		p.add("there is no app: no app partition gets an image")
	case first != nil && !filled[first.Name]:
		p.unstarted(*first, chosen)
	}
}

// firstApp is the partition that the bootloader looks at first: what otadata
// chooses, else factory, else the first slot. (ESP-IDF, bootloader_utility.c)
func (p *planner) firstApp(chosen OTAData) *Partition {
	var slots []Partition
	var factory *Partition
	for _, part := range p.Plan.Table.Partitions {
		if part.otaSlot() >= 0 {
			slots = append(slots, part)
		}
		if part.Is("app", "factory") {
			factory = &part
		}
	}
	slices.SortFunc(slots, func(a, b Partition) int { return cmp.Compare(a.Subtype, b.Subtype) })
	slot, ok := chosen.Slot(len(slots))
	switch {
	case ok:
		return &slots[slot]
	case factory != nil:
		return factory
	case len(slots) > 0:
		return &slots[0]
	}
	return nil
}

// unstarted is the fault of a first app that gets no image. The bootloader
// would go on to another one, but with an error at each start.
func (p *planner) unstarted(first Partition, chosen OTAData) {
	if !chosen.empty() {
		p.add("otadata starts %s, which gets no image; add one or leave otadata out", first.Name)
		return
	}
	p.add("the app partition %s gets no image, and the bootloader looks for it first; give it one, take it out of the table, or add an otadata image that chooses the app", first.Name)
}

// checkChoice gives the chip an empty otadata where it has none, and warns of
// one that is neither empty nor chooses anything.
func (p *planner) checkChoice(chosen OTAData, filled map[string]bool) {
	for _, x := range p.pieces {
		if x.partition != nil && x.partition.Is("data", "ota") && chosen.empty() && !bytes.Equal(x.data, EmptyOTAData()) {
			p.Warnings = append(p.Warnings, x.File+": no entry of this otadata has a right CRC: the bootloader takes it for empty")
		}
	}
	for _, part := range p.Plan.Table.Partitions {
		if part.Is("data", "ota") && !filled[part.Name] {
			p.pieces = append(p.pieces, &piece{
				ImageFile: ImageFile{Name: part.Name, Address: part.Offset},
				data:      EmptyOTAData(), partition: &part, encrypt: p.Encrypted,
			})
		}
		if part.Is("data", "nvs") && part.Flags&FlagEncrypted != 0 && p.Encrypted {
			p.Warnings = append(p.Warnings, part.Name+" has the flag encrypted; the NVS library refuses such a partition on a chip with flash encryption; drop the flag")
		}
	}
}

// named reports an image for the address that was left out for another fault.
func (p *planner) named(addr uint32) bool {
	return slices.ContainsFunc(p.Images, func(i ImageFile) bool { return i.Partition == "" && i.Address == addr })
}

// finish makes the regions.
func (p *planner) finish() {
	slices.SortStableFunc(p.pieces, func(a, b *piece) int { return cmp.Compare(a.Address, b.Address) })
	for _, x := range p.pieces {
		r := Region{Name: x.Name, Address: x.Address, Encrypted: x.encrypt}
		r.Hold(x.data)
		r.FileSHA256 = x.digest
		if x.partition != nil {
			r.Partition = x.partition.Name
			if x.partition.Type == TypeApp {
				r.Slot = x.partition.SubtypeName()
			}
		}
		if x.image != nil {
			r.MinRevision, r.MaxRevision = x.image.MinRevision, x.image.MaxRevision
			if app := x.image.App; app != nil {
				r.Project, r.Version, r.SecureVersion = app.Project, app.Version, &app.SecureVersion
			}
		}
		p.Regions = append(p.Regions, r)
	}
}
