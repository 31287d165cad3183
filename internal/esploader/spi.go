package esploader

import (
	"context"
	"errors"

	"station/internal/chip"
)

// Bits of SPI1, the controller through which the loader reaches the flash.
const (
	spiCmdUser     = 1 << 18 // runs the command that USER describes; 0 when done
	spiUserCommand = 1 << 31
	spiUserMISO    = 1 << 28
	spiPolls       = 10

	rdid     = 0x9f
	rdidBits = 24
)

// flashID reads the flash chip's JEDEC identification, the manufacturer in the
// low byte. The SPI registers are left as they were.
func (l *Loader) flashID(ctx context.Context) (uint32, error) {
	spi := l.family.Loader.SPI
	before, err := l.ReadRegs(ctx, spi.User, spi.User2)
	if err != nil {
		return 0, err
	}
	id, err := agree(func() (id uint32, err error) {
		err = l.again(func() error {
			id, err = l.runRDID(ctx)
			return err
		})
		return id, err
	})
	if err != nil {
		return 0, err
	}
	err = l.again(func() error {
		return l.WriteReg(ctx, chip.Set(spi.User, before[0]), chip.Set(spi.User2, before[1]))
	})
	return id, err
}

// runRDID may be repeated: all it changes is set anew each time.
func (l *Loader) runRDID(ctx context.Context) (uint32, error) {
	spi := l.family.Loader.SPI
	err := l.WriteReg(ctx,
		chip.Set(spi.MISOLen, rdidBits-1),
		chip.Set(spi.User, spiUserCommand|spiUserMISO),
		chip.Set(spi.User2, 7<<28|rdid), // eight bits of command
		chip.Set(spi.W0, 0),
		chip.Set(spi.Cmd, spiCmdUser))
	if err != nil {
		return 0, err
	}
	for range spiPolls {
		v, err := l.ReadRegs(ctx, spi.Cmd, spi.W0) // in this order: the data are good if the command was done before
		if err != nil {
			return 0, err
		}
		if v[0]&spiCmdUser == 0 {
			return v[1] & (1<<rdidBits - 1), nil
		}
	}
	return 0, errors.New("read flash ID: the SPI controller does not finish")
}

const (
	adesto = 0x1f
	kib    = 1 << 10
	mib    = 1 << 20
)

// The capacity byte of a JEDEC ID is mostly the power of two; some
// manufacturers count from other numbers.
var capacities = map[byte]uint32{
	0x20: 64 * mib, 0x21: 128 * mib, 0x22: 256 * mib,
	0x32: 256 * kib, 0x33: 512 * kib, 0x34: 1 * mib, 0x35: 2 * mib, 0x36: 4 * mib, 0x37: 8 * mib,
	0x38: 16 * mib, 0x39: 32 * mib, 0x3a: 64 * mib,
}

// flashSize is the size in bytes that a JEDEC ID stands for, 0 if unknown.
func flashSize(id uint32) uint32 {
	if byte(id) == adesto {
		if density := id >> 8 & 0x1f; density >= 4 && density <= 9 {
			return 512 * kib << (density - 4)
		}
		return 0
	}
	capacity := byte(id >> 16)
	if capacity >= 0x12 && capacity <= 0x1c {
		return 1 << capacity
	}
	return capacities[capacity]
}
