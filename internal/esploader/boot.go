package esploader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

const (
	// A minute and a half at 115200 baud. Only a chip that repeats itself says
	// more, and what it says then is known.
	maxLog = 1 << 20
	// How long a read waits before the end of ctx is seen.
	look = 100 * time.Millisecond
)

// Boot resets the chip into its application and returns its console from the
// reset on. It ends when done, which sees the whole log after each piece, says
// so; when ctx ends first, the log so far comes with its error. done may be nil.
// With ResetManual, or through a port without modem lines, it waits for whoever
// resets the chip. The chip is not in its loader any more, whatever happens.
func (l *Loader) Boot(ctx context.Context, done func(log []byte) bool) ([]byte, error) {
	log, err := l.boot(ctx, done)
	if err != nil {
		err = fmt.Errorf("boot: %w", err)
	}
	return log, err
}

// SetConsole says at which rate Boot reads: that of the firmware's console. The
// ROM prints at InitialBaud always; at another rate its text is noise.
func (l *Loader) SetConsole(baud int) { l.console = baud }

func (l *Loader) boot(ctx context.Context, done func(log []byte) bool) ([]byte, error) {
	if err := l.hostBaud(cmp.Or(l.console, InitialBaud)); err != nil {
		return nil, err
	}
	err := errors.ErrUnsupported
	if l.opts.Reset != ResetManual {
		if err = l.drive(ctx, l.intoApp()); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return nil, err
		}
	}
	if err != nil && len(l.have) == 0 {
		l.byHand(ctx, ToApp)
		defer l.handDone()
	}
	log := slices.Clone(l.have)
	l.have, l.dirty = nil, false
	for len(log) == 0 || done == nil || !done(log) {
		if err := l.listen(ctx); err != nil {
			return log, err
		}
		log = append(log, l.have...)
		l.have = nil
		l.handDone() // it starts
		if len(log) > maxLog {
			return log, errors.New("the console does not end")
		}
	}
	return log, nil
}

// listen waits for the next bytes or the end of ctx.
func (l *Loader) listen(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		now := time.Now()
		deadline := now.Add(look)
		if end, ok := ctx.Deadline(); ok {
			if !now.Before(end) {
				return context.DeadlineExceeded
			}
			deadline = sooner(deadline, end)
		}
		if err := l.fill(deadline); !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}
