package esploader

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"station/internal/chip"
)

// SetBaud changes the speed of both ends and makes sure that they understand
// each other. After an error the chip's speed is unknown: Connect starts anew
// at 115200 baud. Through a port whose speed is not ours to set nothing changes,
// and the error is errors.ErrUnsupported.
func (l *Loader) SetBaud(ctx context.Context, baud int) error {
	if baud == l.baud {
		return nil
	}
	if baud <= 0 { // CHANGE_BAUDRATE 0 hangs the ROM
		return fmt.Errorf("set %d baud: not a speed", baud)
	}
	if l.fixed {
		return fmt.Errorf("set %d baud: %w", baud, errors.ErrUnsupported)
	}
	if err := l.changeBaud(ctx, baud); err != nil {
		l.dirty = false // of no use: the chip cannot be brought back into step
		return fmt.Errorf("set %d baud: %w", baud, errors.Join(err, l.hostBaud(InitialBaud)))
	}
	return nil
}

func (l *Loader) changeBaud(ctx context.Context, baud int) error {
	asked := baud
	if cal := l.family.Loader.Calibration; cal != 0 {
		v, err := l.ReadRegs(ctx, cal, regFuses+4*4)
		if err != nil {
			return err
		}
		asked = romBaud(baud, v[0], v[1])
	}
	if mhz := l.family.Loader.Assumes; mhz != 0 {
		v, err := l.ReadReg(ctx, l.family.Loader.Clkdiv)
		if err != nil {
			return err
		}
		asked = baud * mhz / l.family.Crystal(v, l.baud)
	}
	l.payload = appendChangeBaud(l.payload[:0], asked)
	if _, err := l.do(ctx, cmdChangeBaud, l.payload, cmdChangeBaud.timeout(0)); err != nil {
		return err
	}
	if err := l.awaitSwitch(); err != nil {
		return err
	}
	if err := l.hostBaud(baud); err != nil {
		return err
	}
	// A READ_REG that the ROM hears in part, while it is still switching, would
	// hang it. A SYNC cannot.
	if err := l.resync(); err != nil {
		return err
	}
	magic, err := l.readMagic(ctx)
	if err == nil && magic != l.magic {
		err = fmt.Errorf("%w: it answers %#08x", chip.ErrNoAnswer, magic)
	}
	return err
}

// awaitSwitch waits for the two C0 that the ROM sends at the old speed before
// it takes up the new one.
func (l *Loader) awaitSwitch() error {
	const stray, patience = 2, 20 * time.Millisecond
	deadline := time.Now().Add(patience)
	for n := len(l.have); n < stray; n += l.got {
		err := l.fill(deadline)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return err
		}
	}
	l.have = nil
	l.dec.Reset()
	return nil
}

// romBaud is the number to send for a speed. The ROM computes its divider from
// the crystal frequency that it has measured: the error of that is undone here.
func romBaud(baud int, cal, ck8m uint32) int {
	hz, crystal := measured(cal, ck8m)
	if crystal == 0 {
		return baud
	}
	return int(uint64(baud) * hz / (uint64(crystal) * 1e6))
}

// measured is the crystal's frequency as the ROM has measured it with an RC
// oscillator, which drifts, and the crystal (MHz) that it must be; 0 where it
// was never measured. cal is the register that holds the measurement, and ck8m
// fuse word 4, which holds the oscillator's own calibration.
func measured(cal, ck8m uint32) (hz uint64, crystal int) {
	hz = uint64(cal>>7&0x1ffffff) * 15625 * uint64(ck8m&0xff) / 40
	crystal = 26
	if hz > 33e6 {
		crystal = 40
	}
	if hz < uint64(crystal)*750e3 || hz > uint64(crystal)*1250e3 {
		return 0, 0
	}
	return hz, crystal
}
