package esploader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"station/internal/chip"
	"station/internal/slip"
)

const (
	syncReplies = 8
	// The replies to one SYNC follow each other at once. After so long a
	// silence no more will come.
	syncGap     = 50 * time.Millisecond
	settleTries = 5
	// An answer that is on its way when ctx ends is taken: what a stop waits for.
	parting = time.Second
	// A reply that arrived damaged will not arrive again.
	afterDamage = 100 * time.Millisecond
	attempts    = 3 // of a command that may be sent again
)

// do carries out one command: one frame out, one reply in. The reply is a
// refusal or an answer to this command; older ones are left behind. No command is
// sent after the end of ctx; the answer to one before it is awaited for parting.
func (l *Loader) do(ctx context.Context, c *command, payload []byte, timeout time.Duration) (reply, error) {
	if err := l.send(ctx, c, payload); err != nil {
		return reply{}, err
	}
	return l.receive(ctx, c, timeout)
}

func (l *Loader) send(ctx context.Context, c *command, payload []byte) error {
	if err := l.ready(ctx); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	l.stats.Commands[c.name]++
	l.stats.RoundTrips++
	l.frame = slip.Append(l.frame[:0], payload)
	l.traceSent(payload)
	if err := l.write(l.frame); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

// receive takes the answer to what was sent last.
func (l *Loader) receive(ctx context.Context, c *command, timeout time.Duration) (reply, error) {
	r, err := l.await(ctx, c, timeout+l.wireTime(len(l.frame)+maxReply))
	l.wipe()
	return r, err
}

// ready makes sure that the next reply belongs to the next command.
func (l *Loader) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.settle(); err != nil {
		return err
	}
	if err := l.leaveBehind(); err != nil {
		return err
	}
	if why := l.text.restart(); why != "" {
		return restarted(why)
	}
	return nil
}

// leaveBehind takes what has come unasked. Console text is kept, frames are
// not: a second copy of a reply must not be taken for the next one. A chip that
// talks without end is not listened to for ever.
func (l *Loader) leaveBehind() error {
	for range lateReads {
		for frame := l.buffered(); frame != nil; frame = l.buffered() {
			clear(frame[:cap(frame)])
		}
		if err := l.fill(time.Now()); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// repliesLeft reports a frame that has arrived behind the last reply.
func (l *Loader) repliesLeft() bool {
	frame := l.buffered()
	if frame == nil && l.fill(time.Now()) == nil {
		frame = l.buffered()
	}
	clear(frame[:cap(frame)])
	return frame != nil
}

func (l *Loader) write(frame []byte) error {
	n, err := l.port.Write(frame)
	l.stats.Sent += int64(n)
	if err != nil {
		return gone(err)
	}
	return nil
}

// gone marks an error of the port that is no timeout, whatever the port calls it.
func gone(err error) error {
	if errors.Is(err, chip.ErrPortGone) {
		return err
	}
	return fmt.Errorf("%w: %w", chip.ErrPortGone, err)
}

func (l *Loader) wireTime(bytes int) time.Duration {
	return time.Duration(bytes) * 10 * time.Second / time.Duration(l.baud)
}

// await reads until the answer to c.
func (l *Loader) await(ctx context.Context, c *command, timeout time.Duration) (reply, error) {
	wait := patience{deadline: time.Now().Add(timeout), stopped: ctx.Done()}
	var damage error
	for {
		frame, err := l.next(&wait)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			l.dirty = true
			if ctx.Err() != nil {
				return reply{}, fmt.Errorf("%s: %w", c.name, ctx.Err())
			}
			return reply{}, l.unanswered(c, damage)
		}
		if err != nil {
			return reply{}, fmt.Errorf("%s: %w", c.name, err)
		}
		r, err := parseReply(frame)
		l.traceReceived(frame, c == cmdReadReg && r.op == c.op)
		clear(frame[:cap(frame)])
		var mine bool
		if err == nil {
			mine, err = r.answers(c, l.accepted)
		}
		switch {
		case mine && err == nil:
			l.accepted = c.op
			return r, nil
		case mine:
			l.dirty = l.dirty || r.op == cmdSync.op // seven more of these follow
			return r, err
		case err == errDamaged && r.op == c.op:
			damage = err
			wait.deadline = sooner(wait.deadline, time.Now().Add(afterDamage))
		}
	}
}

func sooner(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (l *Loader) unanswered(c *command, damage error) error {
	err := fmt.Errorf("%s: %w", c.name, chip.ErrNoAnswer)
	if damage != nil {
		err = fmt.Errorf("%w: %w", err, damage)
	}
	if why := l.text.restart(); why != "" {
		err = fmt.Errorf("%s: %w", c.name, restarted(why))
	}
	return err
}

// restarted: a loader begun anew knows nothing of the flash and of the speed,
// even where it answers.
func restarted(why string) error {
	return fmt.Errorf("%w: the chip restarted (%s)", chip.ErrNoAnswer, why)
}

// patience is how long an answer is awaited.
type patience struct {
	deadline time.Time
	late     int             // reads past it
	stopped  <-chan struct{} // nobody wants the answer any more; nil once that was seen
}

// until is when the next read has to end.
func (p *patience) until() time.Time {
	now := time.Now()
	select {
	case <-p.stopped:
		p.stopped, p.deadline = nil, sooner(p.deadline, now.Add(parting))
	default:
	}
	if now.After(p.deadline) {
		p.late++
	}
	if p.stopped == nil {
		return p.deadline
	}
	return sooner(p.deadline, now.Add(look))
}

// lateReads is how often a port that still has bytes past a deadline is read:
// they may hold the reply. One that floods is not listened to for ever.
const lateReads = 32

// next returns the next frame.
func (l *Loader) next(wait *patience) ([]byte, error) {
	for {
		if frame := l.buffered(); frame != nil {
			return frame, nil
		}
		until := wait.until()
		if wait.late > lateReads {
			return nil, os.ErrDeadlineExceeded
		}
		err := l.fill(until)
		if errors.Is(err, os.ErrDeadlineExceeded) && until.Before(wait.deadline) {
			continue
		}
		if err != nil {
			return nil, err
		}
	}
}

// buffered returns the next frame of the bytes at hand, nil where none ends in
// them. Bytes outside frames go to the console.
func (l *Loader) buffered() []byte {
	for i, b := range l.have {
		if frame, ok := l.dec.Push(b); ok {
			l.have = l.have[i+1:]
			return frame
		}
		if !l.dec.Inside() {
			l.text.add(b)
		}
	}
	l.have = nil
	return nil
}

// fill reads from the port.
func (l *Loader) fill(deadline time.Time) error {
	l.wipe()
	if err := l.port.SetReadDeadline(deadline); err != nil {
		return gone(err)
	}
	n, err := l.port.Read(l.rx)
	l.got, l.have = n, l.rx[:n]
	l.stats.Received += int64(n)
	switch {
	case n > 0:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case err == nil: // against Port's contract
		err = io.ErrNoProgress
	}
	return gone(err)
}

// wipe overwrites the bytes received that have been looked at: register values
// may be words of a key.
func (l *Loader) wipe() { clear(l.rx[:l.got-len(l.have)]) }

// settle puts commands and replies back in step after one was lost: the ROM
// answers in order, so everything that arrives before the answer to a SYNC is
// old. It fails where the ROM does not answer any more, or has started anew.
func (l *Loader) settle() error {
	if why := l.text.restart(); why != "" {
		return restarted(why)
	}
	if !l.dirty {
		return nil
	}
	l.stats.Resyncs++
	return l.resync()
}

// resync ends when the ROM has answered a SYNC.
func (l *Loader) resync() error {
	for sent := 1; sent <= settleTries; sent++ {
		r, err := l.sync(sent)
		switch {
		case err == nil && !r.stub:
			return nil
		case err != nil && !errors.Is(err, chip.ErrNoAnswer):
			return err
		}
	}
	return fmt.Errorf("%s: %w", cmdSync.name, chip.ErrNoAnswer)
}

var (
	syncPayload = appendSync(nil)
	syncFrame   = slip.Append(nil, syncPayload)
)

// sync sends one SYNC and takes the replies to this and the sent-1 before it,
// as far as they come. It returns the first.
func (l *Loader) sync(sent int) (reply, error) {
	l.stats.Commands[cmdSync.name]++
	l.stats.RoundTrips++
	l.traceSent(syncPayload)
	if err := l.write(syncFrame); err != nil {
		return reply{}, fmt.Errorf("%s: %w", cmdSync.name, err)
	}
	timeout := cmdSync.timeout(0) + l.wireTime(len(syncFrame)+maxReply)
	first, err := l.await(context.Background(), cmdSync, timeout)
	for range syncReplies {
		if !refusedWith(err) { // refusals are of something older; the SYNC's own answer follows
			break
		}
		first, err = l.await(context.Background(), cmdSync, timeout)
	}
	if err != nil {
		return reply{}, err
	}
	for range sent*syncReplies - 1 {
		if _, err := l.await(context.Background(), cmdSync, syncGap+l.wireTime(maxReply)); errors.Is(err, chip.ErrPortGone) {
			return reply{}, err
		} else if errors.Is(err, chip.ErrNoAnswer) {
			break
		}
	}
	l.wipe()
	l.dirty, l.tainted = false, false
	return first, nil
}

// again repeats what may be carried out more than once, while the ROM is in
// step and nothing but the wire can be the reason.
func (l *Loader) again(f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if err == nil || try == attempts || !transient(err) || l.settle() != nil {
			return err
		}
		l.stats.Retries++
	}
}

// transient reports an error that the wire alone can cause.
func transient(err error) bool {
	return errors.Is(err, chip.ErrNoAnswer) || refusedWith(err, badMessage, badChecksum)
}
