package esploader

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"station/internal/chip"
)

// step is one state of the modem lines. Both are active low at the chip: DTR
// asserted pulls GPIO0 low, RTS asserted pulls EN low. With the usual pair of
// transistors the two together do nothing.
type step struct {
	dtr, rts bool
	wait     time.Duration
}

const (
	holdReset = 100 * time.Millisecond
	// How long GPIO0 stays low after EN rises. The second is for boards whose
	// EN rises slowly.
	shortHold = 50 * time.Millisecond
	longHold  = 550 * time.Millisecond

	connectTries = 7
	syncTries    = 5 // after each reset
)

// tight never passes through a state that releases EN with GPIO0 high. It
// needs a port that changes both lines at one instant.
func tight(hold time.Duration) []step {
	return []step{{false, false, 0}, {true, true, 0}, {false, true, holdReset}, {true, false, hold}, {false, false, 0}, {false, false, 0}}
}

// classic changes one line at a time.
func classic(hold time.Duration) []step {
	return []step{{false, false, 0}, {false, true, holdReset}, {true, true, 0}, {true, false, hold}, {false, false, 0}}
}

// usbJTAG is for the chip's own USB-Serial-JTAG, which reads the lines as words:
// DTR alone sets a flag that the reset by RTS alone takes into the loader, none
// clears it, and both together say nothing.
func usbJTAG() []step {
	return []step{{false, false, holdReset}, {true, false, holdReset}, {true, true, 0}, {false, true, holdReset}, {false, false, 0}}
}

// strategies are the ways to reset into the loader, in the order in which they
// are tried.
func (l *Loader) strategies() [][]step {
	if l.ownUSB() {
		return [][]step{usbJTAG()}
	}
	ways := [][]step{tight(shortHold), tight(longHold), classic(shortHold), classic(longHold)}
	p, says := l.port.(interface{ LinesTogether() bool })
	if says && !p.LinesTogether() || !says && runtime.GOOS == "windows" {
		ways = ways[2:]
	}
	if l.keepsDTR() {
		return endWithDTR(ways)
	}
	return ways
}

// ownUSB reports a port that is the chip's own USB-Serial-JTAG.
func (l *Loader) ownUSB() bool {
	p, says := l.port.(interface{ USBJTAG() bool })
	return says && p.USBJTAG()
}

// drive goes through the steps. What the chip said before EN went low is
// thrown away. The lines are left released whatever happens.
func (l *Loader) drive(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if err := l.port.SetLines(s.dtr, s.rts); err != nil {
			if !errors.Is(err, errors.ErrUnsupported) {
				err = gone(err)
			}
			return fmt.Errorf("set DTR and RTS: %w", err)
		}
		if s.wait == 0 {
			continue
		}
		if err := pause(ctx, s.wait); err != nil {
			_ = l.port.SetLines(false, false)
			return err
		}
		if s.rts && !s.dtr {
			if err := l.discard(); err != nil {
				return err
			}
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// discard forgets what has arrived. A chip that goes on talking although EN is
// low is not wired to RTS: it is not waited for.
func (l *Loader) discard() error {
	l.have = nil
	l.dec.Reset()
	l.text.forget()
	for end := time.Now().Add(10 * time.Millisecond); time.Now().Before(end); {
		err := l.fill(time.Now().Add(time.Millisecond))
		l.have = nil
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// Connect brings the chip into its loader and into step with it, at 115200
// baud. With ResetManual, or through a port without modem lines, it waits until
// the loader answers or ctx ends.
//
// Errors: chip.ErrBootMode, ErrDeaf, ErrDownloadDisabled, ErrNoAnswer,
// ErrNotESP32, ErrPortGone.
func (l *Loader) Connect(ctx context.Context) error {
	err := l.connect(ctx)
	if err == nil {
		err = l.calm(ctx)
	}
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	l.text.forget()
	return nil
}

// calm stops what would reset a chip that is reached by a USB port of its own.
func (l *Loader) calm(ctx context.Context) error {
	writes := l.family.Loader.USB.Calm()
	if !l.ownUSB() || writes == nil {
		return nil
	}
	if err := l.WriteReg(ctx, writes...); err != nil {
		return fmt.Errorf("stop the watchdogs: %w", err)
	}
	return nil
}

func (l *Loader) connect(ctx context.Context) error {
	if err := l.hostBaud(InitialBaud); err != nil {
		return err
	}
	l.dirty, l.accepted, l.have = false, 0, nil
	l.dec.Reset()
	l.text.forget()
	if l.mute = l.opts.Reset == ResetManual; l.mute {
		return l.waitForLoader(ctx)
	}
	var seen console
	var err error
	for try, ways := 0, l.strategies(); try < connectTries; try++ {
		if err = l.drive(ctx, ways[try%len(ways)]); errors.Is(err, errors.ErrUnsupported) {
			l.mute = true
			return l.waitForLoader(ctx)
		}
		if err == nil {
			err = l.reach(ctx)
		}
		if err == nil || !errors.Is(err, chip.ErrNoAnswer) {
			return err
		}
		for _, b := range l.text.text {
			seen.add(b)
		}
		if why := seen.silence(); errors.Is(why, chip.ErrDownloadDisabled) {
			return why // no other way of resetting helps
		}
	}
	if errors.Is(err, errStub) {
		return err
	}
	return seen.silence()
}

// reach looks for the loader after one reset.
func (l *Loader) reach(ctx context.Context) error {
	var err error
	for range syncTries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err = l.greet(ctx); err == nil || !errors.Is(err, chip.ErrNoAnswer) {
			return err
		}
	}
	return err
}

// waitForLoader sends SYNCs until somebody has put the chip into its loader.
func (l *Loader) waitForLoader(ctx context.Context) error {
	defer l.handDone()
	var last error
	for {
		if err := ctx.Err(); err != nil {
			if last == nil || !errors.Is(last, errStub) {
				last = l.text.silence()
			}
			return fmt.Errorf("%w (%w)", last, err)
		}
		last = l.greet(ctx)
		if last == nil || !errors.Is(last, chip.ErrNoAnswer) {
			return last
		}
		l.byHand(ctx, ToLoader)
	}
}

var errStub = fmt.Errorf("%w: a program loaded into the chip answers instead of its ROM; reset it", chip.ErrNoAnswer)

// greet syncs and asks who answers. The answer to that question also tells
// that nothing older is on its way.
func (l *Loader) greet(ctx context.Context) error {
	r, err := l.sync(1)
	switch {
	case err != nil:
		l.dirty = false
		return err
	case r.stub || r.value == 0:
		return errStub
	}
	l.text.forget() // of the reset into the loader
	return l.recognise(ctx)
}

// recognise finds the chip's family: by its magic word, or by what it says it is.
func (l *Loader) recognise(ctx context.Context) error {
	magic, err := l.readMagic(ctx)
	if f := chip.ByMagic(magic); err == nil && f != nil {
		l.family, l.magic = f, magic
		return nil
	}
	closed := errors.Is(err, chip.ErrRefused) // as in secure download mode
	if err != nil && !closed {
		return err
	}
	if !closed {
		if twice, err := l.readMagic(ctx); err != nil || twice != magic {
			return fmt.Errorf("%w: its answers differ: check ground and cable", chip.ErrNoAnswer)
		}
	}
	info, err := l.securityInfo(ctx)
	switch f := chip.ByImageID(info.chipID); {
	case errors.Is(err, chip.ErrRefused), err == nil && f == nil && !closed:
		return fmt.Errorf("%w: chip magic %#08x, chip ID %d", chip.ErrNotESP32, magic, info.chipID)
	case err != nil:
		return err
	case closed || info.secure:
		return fmt.Errorf("%w: secure download mode", chip.ErrDownloadDisabled)
	default:
		l.family, l.magic = f, magic
		return nil
	}
}

func (l *Loader) readMagic(ctx context.Context) (uint32, error) {
	var v [1]uint32
	_, _, err := l.together(ctx, nil, []uint32{chip.MagicAddr}, v[:])
	return v[0], err
}

// securityInfo is the answer to GET_SECURITY_INFO, as far as it is used.
type securityInfo struct {
	chipID uint32
	secure bool // secure download mode: the loader reads and writes no registers
}

// An answer without a chip ID is that of an ESP32-S2, which is known by its magic word as
// long as it tells that.
const (
	noIDSize = 12 // bytes
	noChipID = 0xffff_ffff
)

func (l *Loader) securityInfo(ctx context.Context) (securityInfo, error) {
	return agree(func() (info securityInfo, err error) {
		err = l.again(func() error {
			l.payload = cmdSecurityInfo.words(l.payload[:0])
			r, err := l.do(ctx, cmdSecurityInfo, l.payload, cmdSecurityInfo.timeout(0))
			info = securityInfo{binary.LittleEndian.Uint32(r.data[12:]), binary.LittleEndian.Uint32(r.data[:])>>2&1 != 0}
			if r.n == noIDSize {
				info.chipID = noChipID
			}
			return err
		})
		return info, err
	})
}

// hostBaud sets this end's speed. Where that is somebody else's, the ROM takes
// it up from the first SYNC, and InitialBaud is what time-outs are made for.
func (l *Loader) hostBaud(baud int) error {
	err := l.port.SetBaud(baud)
	if l.fixed = errors.Is(err, errors.ErrUnsupported); err != nil && !l.fixed {
		return fmt.Errorf("set %d baud: %w", baud, err)
	}
	l.baud = baud
	return nil
}
