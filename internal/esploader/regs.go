package esploader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"station/internal/chip"
	"station/internal/slip"
)

const (
	// The chip's receive FIFO, in bytes: so much of what follows a frame may be
	// on its way while the ROM is busy with that frame.
	fifo = 128
	// As long as a frame of FLASH_DATA is by far.
	maxWrites = 64
)

// ReadReg reads a register of the chip.
func (l *Loader) ReadReg(ctx context.Context, addr uint32) (uint32, error) {
	v, err := l.ReadRegs(ctx, addr)
	if err != nil {
		return 0, err
	}
	return v[0], nil
}

// ReadRegs reads registers, as many in one round trip as the chip's FIFO
// holds. A lost reply is asked for again. The caller overwrites what is secret.
func (l *Loader) ReadRegs(ctx context.Context, addrs ...uint32) ([]uint32, error) {
	if err := readable(addrs); err != nil {
		return nil, err
	}
	values := make([]uint32, len(addrs))
	if err := l.readRest(ctx, addrs, values); err != nil {
		clear(values)
		return nil, err
	}
	return values, nil
}

func readable(addrs []uint32) error {
	if slices.Contains(addrs, 0) {
		return errors.New("READ_REG: address 0 hangs the ROM")
	}
	return nil
}

// WriteReg writes registers, all in one frame, in their order. It is never
// repeated here: where the answer is lost the error says so, and the caller
// must look whether the chip has carried it out.
func (l *Loader) WriteReg(ctx context.Context, writes ...chip.RegWrite) error {
	_, err := l.WriteRead(ctx, writes)
	return err
}

// WriteRead is WriteReg and then ReadRegs, with the first of the registers read
// in the same round trip. Without the answer to the writes nothing is read.
func (l *Loader) WriteRead(ctx context.Context, writes []chip.RegWrite, addrs ...uint32) ([]uint32, error) {
	if len(writes) == 0 || len(writes) > maxWrites {
		return nil, fmt.Errorf("WRITE_REG: %d registers in one frame, want 1 to %d", len(writes), maxWrites)
	}
	if err := readable(addrs); err != nil {
		return nil, err
	}
	values := make([]uint32, len(addrs))
	n, written, err := l.together(ctx, writes, addrs, values)
	if !written {
		return nil, err
	}
	if err = l.readAgain(ctx, addrs[:n], values, err); err == nil {
		err = l.readRest(ctx, addrs[n:], values[n:])
	}
	if err != nil {
		clear(values)
		return nil, err
	}
	return values, nil
}

// readRest reads registers, window by window. Each round reads some or ends.
func (l *Loader) readRest(ctx context.Context, addrs, values []uint32) error {
	for len(addrs) > 0 {
		n, _, err := l.together(ctx, nil, addrs, values)
		if n == 0 { // nothing was sent, so there is nothing to ask again
			return err
		}
		if err := l.readAgain(ctx, addrs[:n], values, err); err != nil {
			return err
		}
		addrs, values = addrs[n:], values[n:]
	}
	return nil
}

// readAgain reads one by one where reading together failed with err.
func (l *Loader) readAgain(ctx context.Context, addrs, values []uint32, err error) error {
	if err == nil || !transient(err) || l.settle() != nil {
		return err
	}
	l.stats.Retries++
	for i := range addrs {
		err := l.again(func() error {
			_, _, err := l.together(ctx, nil, addrs[i:i+1], values[i:i+1])
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// together sends writes, if any, and as many reads as fit behind them, and
// takes the replies in their order. Replies carry no address: where one is
// missing or one too many, all values are worthless. It returns how many reads
// were sent, and whether the chip has confirmed the writes.
func (l *Loader) together(ctx context.Context, writes []chip.RegWrite, addrs, values []uint32) (n int, written bool, err error) {
	first := cmdReadReg.name
	if len(writes) > 0 {
		first = cmdWriteReg.name
	}
	if err := l.ready(ctx); err != nil {
		return 0, false, fmt.Errorf("%s: %w", first, err)
	}
	l.frame = l.frame[:0]
	var delay time.Duration
	if len(writes) > 0 {
		defer l.forget()
		for _, w := range writes {
			delay += w.Delay
		}
		l.stats.Commands[cmdWriteReg.name]++
		l.payload = appendWriteReg(l.payload[:0], writes)
		l.traceSent(l.payload)
		l.frame = slip.Append(l.frame, l.payload)
	}
	n = l.frameReads(addrs)
	l.stats.RoundTrips++
	if err := l.write(l.frame); err != nil {
		return n, false, unsure(writes, fmt.Errorf("%s: %w", first, err))
	}
	timeout := cmdReadReg.timeout(0) + delay + l.wireTime(len(l.frame)+maxReply)
	if len(writes) > 0 {
		_, err := l.await(ctx, cmdWriteReg, timeout)
		l.wipe()
		if err != nil {
			l.dirty = l.dirty || n > 0
			return n, false, unsure(writes, err)
		}
	}
	if n == 0 {
		return 0, true, nil
	}
	return n, true, l.takeReads(ctx, addrs[:n], values[:n], timeout)
}

// unsure says of writes without an answer what is not known of them.
func unsure(writes []chip.RegWrite, err error) error {
	if len(writes) > 0 && (errors.Is(err, chip.ErrNoAnswer) || errors.Is(err, chip.ErrPortGone)) {
		err = fmt.Errorf("%w; the chip may have carried it out", err)
	}
	return err
}

// frameReads appends so many READ_REGs as the FIFO holds.
func (l *Loader) frameReads(addrs []uint32) (n int) {
	begin := len(l.frame)
	for _, a := range addrs {
		end := len(l.frame)
		l.payload = appendReadReg(l.payload[:0], a)
		l.frame = slip.Append(l.frame, l.payload)
		if len(l.frame)-begin > fifo {
			l.frame = l.frame[:end]
			break
		}
		l.traceSent(l.payload)
		l.tainted = l.tainted || l.holdsKey(a)
		n++
	}
	l.stats.Commands[cmdReadReg.name] += n
	return n
}

func (l *Loader) takeReads(ctx context.Context, addrs, values []uint32, timeout time.Duration) error {
	defer l.afterRead()
	for i, a := range addrs {
		l.asked = addrs[i:]
		r, err := l.await(ctx, cmdReadReg, timeout)
		if err != nil {
			l.dirty = true
			clear(values)
			return fmt.Errorf("%#x: %w", a, err)
		}
		values[i], l.tainted = r.value, l.holdsKey(a)
	}
	if l.repliesLeft() {
		l.dirty = true
		clear(values)
		return fmt.Errorf("%s: %w", cmdReadReg.name, errTooMany)
	}
	return nil
}

// afterRead leaves nothing of the values behind. Of a reply that lost its first
// C0 they went to the console.
func (l *Loader) afterRead() {
	l.asked = nil
	l.wipe()
	if l.tainted && l.text.restart() == "" {
		l.text.forget()
	}
}

// forget overwrites the last request: it may have held a key.
func (l *Loader) forget() {
	clear(l.payload[:cap(l.payload)])
	clear(l.frame[:cap(l.frame)])
}
