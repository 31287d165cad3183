package esploader

import (
	"context"
	"encoding/binary"
	"fmt"

	"station/internal/chip"
)

// Registers that tell who an ESP32 is (Technical Reference Manual; ESP-IDF
// soc/esp32). Those of the other families are in their tables.
const (
	regFuses   = 0x3ff5_a000 // BLOCK0 word 0
	regDate    = 0x3ff6_607c // APB_CTRL_DATE: bit 31 belongs to the revision
	maxSetSize = 16 << 20    // the ROM addresses flash with 24 bits
)

// block0 is fuse BLOCK0. Word 0, the protections, is of no use here.
type block0 [7]uint32

func (w *block0) mac() (m chip.MAC, crc byte) {
	var b [8]byte
	binary.BigEndian.PutUint32(b[:], w[2])
	binary.BigEndian.PutUint32(b[4:], w[1])
	copy(m[:], b[2:])
	return m, b[1]
}

// revision puts the major number together from three places.
func (w *block0) revision(date uint32) chip.Revision {
	major := map[uint32]int{0: 0, 1: 1, 3: 2, 7: 3}[w[3]>>15&1|w[5]>>20&1<<1|date>>31<<2]
	return chip.Revision(100*major) + chip.Revision(w[5]>>24&3)
}

var packages = map[uint32]struct{ name, v3, singleCore string }{
	0: {"D0WDQ6", "D0WDQ6-V3", "S0WDQ6"},
	1: {"D0WD", "D0WD-V3", "S0WD"},
	2: {"D2WD", "", ""},
	4: {"U4WDH", "", ""},
	5: {"PICO-D4", "PICO-V3", ""},
	6: {"PICO-V3-02", "", ""},
	7: {"D0WDR2-V3", "", ""},
}

func (w *block0) pkg(rev chip.Revision) string {
	code := w[3]>>9&7 | w[3]>>2&1<<3
	p, known := packages[code]
	switch {
	case !known:
		return fmt.Sprintf("ESP32 (package %d)", code)
	case w[3]&1 != 0 && p.singleCore != "":
		return "ESP32-" + p.singleCore
	case rev.Major() == 3 && p.v3 != "":
		return "ESP32-" + p.v3
	}
	return "ESP32-" + p.name
}

// coding: the chip treats 3 as none.
func (w *block0) coding() chip.Coding {
	if c := chip.Coding(w[6] & 3); c != 3 {
		return c
	}
	return chip.CodingNone
}

// flashPins is SPI_ATTACH's argument: 0 for the usual pins, or those that the
// fuses name, five bits each as they are burned.
func (w *block0) flashPins() uint32 {
	clk, q, d, cs, hd := w[5]&31, w[5]>>5&31, w[5]>>10&31, w[5]>>15&31, w[3]>>4&31
	return hd<<24 | cs<<18 | d<<12 | q<<6 | clk
}

// crystal is the nearest of the two that exist, from the divider that the ROM
// found for this end's speed.
func crystal(clkdiv uint32, baud int) int {
	if uint64(clkdiv&0xfffff)*uint64(baud) > 33e6 {
		return 40
	}
	return 26
}

// Identify reads who the chip is (its family Connect has seen) and makes its
// flash ready: pins, chip, size.
// With chip.ErrMACCRC or chip.ErrFlashID the identity holds what is known.
// A flash of unknown size has FlashSize 0, and the ROM takes it for 2 MiB until
// SetFlashSize.
func (l *Loader) Identify(ctx context.Context) (chip.Identity, error) {
	identify := l.identity
	if l.family.Loader.Major != nil {
		identify = l.identityByFields
	}
	id, pins, err := identify(ctx)
	id.Chip = l.family.Name
	if err == nil {
		err = l.attachFlash(ctx, &id, pins)
	}
	if err != nil {
		return id, fmt.Errorf("identify: %w", err)
	}
	return id, nil
}

// identity reads who the chip is. A wrong crystal or coding scheme would cost it.
func (l *Loader) identity(ctx context.Context) (id chip.Identity, pins uint32, err error) {
	addrs := [9]uint32{regDate, l.family.Loader.Clkdiv, l.family.Loader.Calibration}
	var w block0
	for i := range w[1:] {
		addrs[3+i] = regFuses + 4*uint32(i+1)
	}
	v, err := agree(func() (v [9]uint32, err error) {
		got, err := l.ReadRegs(ctx, addrs[:]...)
		copy(v[:], got)
		return v, err
	})
	if err != nil {
		return id, 0, err
	}
	copy(w[1:], v[3:])
	id.Revision = w.revision(v[0])
	id.Crystal = crystal(v[1], l.baud)
	if _, mhz := measured(v[2], w[4]); l.fixed && mhz != 0 {
		id.Crystal = mhz // nobody here knows the speed that the divider stands for
	}
	id.Package = w.pkg(id.Revision)
	id.Coding = w.coding()
	mac, crc := w.mac()
	if id.MAC = mac; mac.CRC8() != crc {
		return id, 0, fmt.Errorf("%w: %v", chip.ErrMACCRC, mac)
	}
	if id.Simulated, err = l.simulated(ctx, mac); err != nil {
		return id, 0, err
	}
	return id, w.flashPins(), nil
}

// identityByFields reads who the chip is out of the fields that its table names.
// Its MAC has no check, so all of them are read twice.
func (l *Loader) identityByFields(ctx context.Context) (id chip.Identity, pins uint32, err error) {
	e := &l.family.Efuse
	mac, _ := e.Field("MAC")
	block := e.Blocks[mac.Block]
	addrs := make([]uint32, block.Words, block.Words+1)
	for w := range addrs {
		addrs[w] = block.Read + 4*uint32(w)
	}
	addrs = append(addrs, l.family.Loader.Clkdiv)
	type words [9]uint32
	v, err := agree(func() (v words, err error) {
		got, err := l.ReadRegs(ctx, addrs...)
		copy(v[:], got)
		return v, err
	})
	if err != nil {
		return id, 0, err
	}
	value := func(name string) (n uint64) {
		field, _ := e.Field(name)
		for i := range field.Width {
			bit := field.Bit + i
			n |= uint64(v[field.Word+bit/32]>>(bit%32)&1) << i
		}
		return n
	}
	id.Revision, id.Package = l.family.Revision(value), l.family.Package(uint32(value("PKG_VERSION")))
	id.Crystal = l.family.Crystal(v[block.Words], l.baud)
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], value("MAC"))
	copy(id.MAC[:], b[2:])
	if id.MAC.IsZero() {
		return id, 0, fmt.Errorf("%w: it is empty", chip.ErrMACCRC)
	}
	id.Simulated, err = l.simulated(ctx, id.MAC)
	return id, 0, err
}

// simulated asks the chip whether it is a virtual one. Where the answer does not
// go with the MAC it is asked again: the wire may have changed a bit.
func (l *Loader) simulated(ctx context.Context, mac chip.MAC) (bool, error) {
	mark := func() (bool, error) {
		v, err := l.ReadReg(ctx, chip.MarkAddr)
		return v == chip.Mark, err
	}
	is, err := mark()
	if err == nil && is != mac.Local() {
		is, err = agree(mark)
	}
	return is, err
}

// agree reads until two readings in a row are the same: replies have no
// checksum, and what the wire has changed once it seldom changes again.
func agree[T comparable](read func() (T, error)) (last T, err error) {
	for n := range 1 + attempts {
		now, err := read()
		if err != nil || n > 0 && now == last {
			return now, err
		}
		last = now
	}
	return last, fmt.Errorf("%w: its answers differ: check ground and cable", chip.ErrNoAnswer)
}

func (l *Loader) attachFlash(ctx context.Context, id *chip.Identity, pins uint32) error {
	err := l.again(func() error {
		l.payload = appendSPIAttach(l.payload[:0], pins)
		_, err := l.do(ctx, cmdSPIAttach, l.payload, cmdSPIAttach.timeout(0))
		return err
	})
	if err != nil {
		return err
	}
	if id.FlashID, err = l.flashID(ctx); err != nil {
		return err
	}
	if id.FlashID == 0 || id.FlashID == 0xffffff || id.FlashID == 0xffff3f {
		return fmt.Errorf("%w: it answers %06x", chip.ErrFlashID, id.FlashID)
	}
	if id.FlashSize = flashSize(id.FlashID); id.FlashSize == 0 {
		return nil
	}
	return l.SetFlashSize(ctx, id.FlashSize)
}

// SetFlashSize tells the ROM how large the flash is (bytes): it refuses what
// lies beyond, and addresses at most 16 MiB.
func (l *Loader) SetFlashSize(ctx context.Context, size uint32) error {
	return l.again(func() error {
		l.payload = appendSPISetParams(l.payload[:0], min(size, maxSetSize))
		_, err := l.do(ctx, cmdSPISetParams, l.payload, cmdSPISetParams.timeout(0))
		return err
	})
}
