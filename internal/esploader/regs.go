package esploader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"station/internal/esp32"
	"station/internal/slip"
)

const (
	// The chip's receive FIFO has 128 bytes, and a READ_REG takes at most 22 of
	// them: so many may be on their way while the ROM is busy with the first.
	readWindow = 4
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

// ReadRegs reads registers, several in one round trip. A lost reply is asked
// for again. The caller overwrites what is secret.
func (l *Loader) ReadRegs(ctx context.Context, addrs ...uint32) ([]uint32, error) {
	for _, a := range addrs {
		if a == 0 {
			return nil, errors.New("READ_REG: address 0 hangs the ROM")
		}
	}
	values := make([]uint32, len(addrs))
	for at := 0; at < len(addrs); at += readWindow {
		end := min(at+readWindow, len(addrs))
		err := l.readTogether(ctx, addrs[at:end], values[at:end])
		if err != nil && transient(err) && l.settle() == nil {
			l.stats.Retries++
			err = l.readSingly(ctx, addrs[at:end], values[at:end])
		}
		if err != nil {
			clear(values)
			return nil, err
		}
	}
	return values, nil
}

func (l *Loader) readSingly(ctx context.Context, addrs, values []uint32) error {
	for i := range addrs {
		err := l.again(func() error { return l.readTogether(ctx, addrs[i:i+1], values[i:i+1]) })
		if err != nil {
			return err
		}
	}
	return nil
}

// readTogether sends the requests at once and takes the replies in their
// order. Replies carry no address: where one is missing or one too many, all
// are worthless.
func (l *Loader) readTogether(ctx context.Context, addrs, values []uint32) error {
	if err := l.ready(ctx); err != nil {
		return fmt.Errorf("%s %#x: %w", cmdReadReg.name, addrs[0], err)
	}
	l.frame = l.frame[:0]
	for _, a := range addrs {
		l.payload = appendReadReg(l.payload[:0], a)
		l.frame = slip.Append(l.frame, l.payload)
		l.traceSent(l.payload)
		l.tainted = l.tainted || holdsKey(a)
	}
	l.stats.Commands[cmdReadReg.name] += len(addrs)
	l.stats.RoundTrips++
	if err := l.write(l.frame); err != nil {
		return fmt.Errorf("%s %#x: %w", cmdReadReg.name, addrs[0], err)
	}
	defer l.afterRead()
	timeout := cmdReadReg.timeout(0) + l.wireTime(len(l.frame)+maxReply)
	for i, a := range addrs {
		l.asked = addrs[i:]
		r, err := l.await(cmdReadReg, timeout)
		if err != nil {
			l.dirty = true
			clear(values)
			return fmt.Errorf("%#x: %w", a, err)
		}
		values[i], l.tainted = r.value, holdsKey(a)
	}
	if l.repliesLeft() {
		l.dirty = true
		clear(values)
		return fmt.Errorf("%s %#x: %w", cmdReadReg.name, addrs[0], errTooMany)
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

// WriteReg writes registers, all in one frame, in their order. It is never
// repeated here: where the answer is lost the error says so, and the caller
// must look whether the chip has carried it out.
func (l *Loader) WriteReg(ctx context.Context, writes ...esp32.RegWrite) error {
	if len(writes) == 0 || len(writes) > maxWrites {
		return fmt.Errorf("WRITE_REG: %d registers in one frame, want 1 to %d", len(writes), maxWrites)
	}
	var delay time.Duration
	for _, w := range writes {
		delay += w.Delay
	}
	if err := l.ready(ctx); err != nil {
		return fmt.Errorf("%s: %w", cmdWriteReg.name, err)
	}
	l.payload = appendWriteReg(l.payload[:0], writes)
	defer l.forget()
	_, err := l.do(ctx, cmdWriteReg, l.payload, cmdWriteReg.timeout(0)+delay)
	if errors.Is(err, esp32.ErrNoAnswer) || errors.Is(err, esp32.ErrPortGone) {
		err = fmt.Errorf("%w; the chip may have carried it out", err)
	}
	return err
}

// forget overwrites the last request: it may have held a key.
func (l *Loader) forget() {
	clear(l.payload[:cap(l.payload)])
	clear(l.frame[:cap(l.frame)])
}
