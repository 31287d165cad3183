// Package outbox fills the site's mirror of a bench's ledger from that ledger
// itself: it reads behind what the site has, and keeps nothing of its own. Who
// writes the ledger never waits for it.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
)

// Outbox is a bench's way to its site.
type Outbox struct {
	Pass   *site.Pass
	Ledger *ledger.Ledger
	// Told, if not nil, hears of every change of the status. Who is told holds up
	// the outbox, and nobody else.
	Told func(Status)
	// Keep keeps a checkpoint that the site signed too; nil is Ledger.KeepCosigned.
	Keep func(signed []byte) error
	// Refill, if not nil, sees to it that the bench has numbers of a quota in hand,
	// whenever the site is there and the ledger has grown.
	Refill func(ctx context.Context) error
	// Notice, if not nil, takes what the site tells of devices.
	Notice func(site.Notice) error
	// Moved, if not nil, hears where the site was reached, and the note in which it says
	// where it is from now on; nil where that is no news.
	Moved func(at string, note []byte)
	// Again is how long it waits before it tries to reach the site once more; 0 is 5 s.
	Again time.Duration

	mu     sync.Mutex
	status Status
	at     *session // the one that is Up
}

// Status is how far the mirror is.
type Status struct {
	State    State
	Mirrored uint64 // entries that the site has said it has
	Signed   uint64 // entries under the newest checkpoint that both signed, of this run
	Err      error  // why it is not Up
}

// Halt is why the site refuses the ledger; nil while it does not.
func (s Status) Halt() *site.Halt {
	halt := new(site.Halt)
	if errors.As(s.Err, &halt) {
		return halt
	}
	return nil
}

// State is how the site and the bench stand to each other.
type State string

// The states.
const (
	Away   State = "away"   // it cannot be reached; the entries wait
	Up     State = "up"     // connected, and it goes on with this ledger
	Halted State = "halted" // it refuses this ledger
)

// Status is how far the mirror is now.
func (o *Outbox) Status() Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.status
}

func (o *Outbox) set(change func(*Status)) {
	o.mu.Lock()
	change(&o.status)
	now := o.status
	o.mu.Unlock()
	if o.Told != nil {
		o.Told(now)
	}
}

const again = 5 * time.Second

// Run keeps the mirror filled until ctx ends.
func (o *Outbox) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := o.session(ctx, true)
		if ctx.Err() != nil {
			return // which is no news of the site
		}
		o.ended(err)
		select {
		case <-ctx.Done():
		case <-time.After(o.wait()):
		}
	}
}

// wait is how long the site is left alone where nothing has happened here.
func (o *Outbox) wait() time.Duration {
	if o.Again == 0 {
		return again
	}
	return o.Again
}

// Push fills the mirror once, as far as the ledger goes.
func (o *Outbox) Push(ctx context.Context) (Status, error) {
	err := o.session(ctx, false)
	o.ended(err)
	return o.Status(), err
}

// ended takes why a session has ended.
func (o *Outbox) ended(err error) {
	if err == nil {
		return
	}
	o.set(func(s *Status) {
		if s.State, s.Err = Away, err; s.Halt() != nil {
			s.State = Halted
		}
	})
}

// session is one connection: it begins with what the site has, because nobody knows
// what of the last one arrived.
func (o *Outbox) session(ctx context.Context, stay bool) error {
	lost := make(chan struct{})
	conn, err := o.Pass.Connect(ctx, nats.ClosedHandler(func(*nats.Conn) { close(lost) }))
	if err != nil {
		return err
	}
	defer conn.Close()
	s := &session{Outbox: o, conn: conn}
	if err := s.meet(ctx); err != nil {
		return err
	}
	s.moved(nil)
	o.up(s)
	defer o.up(nil)
	if err := errors.Join(s.hear(ctx, false), s.refill(ctx)); err != nil {
		return err
	}
	o.set(func(st *Status) { *st = Status{State: Up, Mirrored: s.mirrored} })
	for {
		if err := s.push(ctx); err != nil {
			return s.why(ctx, err)
		}
		if err := s.cosign(ctx); err != nil {
			return err
		}
		if !stay {
			return errors.Join(s.hear(ctx, true), s.push(ctx))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-lost:
			return errLost
		case <-o.Ledger.Grown():
		case <-time.After(o.wait()):
		}
		if err := errors.Join(s.hear(ctx, false), s.refill(ctx)); err != nil {
			return err
		}
	}
}

// hear takes what the site has to tell of devices since it was asked last; read, also of
// what it was sent just now.
func (s *session) hear(ctx context.Context, read bool) error {
	for s.Notice != nil {
		a, err := s.ask(ctx, site.Notices, site.Told{Place: s.heard, Read: read, Knows: s.knows()})
		for _, n := range a.Notices {
			err = errors.Join(err, s.Notice(n))
		}
		if err != nil || len(a.Notices) == 0 {
			return err
		}
		s.heard = a.Place
	}
	return nil
}

func (s *session) refill(ctx context.Context) error {
	if s.Refill == nil {
		return nil
	}
	return s.Refill(ctx)
}

func (o *Outbox) up(s *session) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.at = s
}

// ErrAway: the site cannot be asked now.
var ErrAway = errors.New("the site cannot be reached")

// Claim asks the site for names of a device, and waits for its word: *site.Taken
// where somebody else has one of them, ErrAway where it says nothing.
func (o *Outbox) Claim(ctx context.Context, names site.Names) error {
	a, err := o.askNow(ctx, site.Claim, names)
	if err == nil && a.Taken != nil {
		return a.Taken
	}
	return err
}

// Lease asks the site for numbers of a lot: site.ErrFull where the quota is used up,
// ErrAway where the site says nothing.
func (o *Outbox) Lease(ctx context.Context, w site.LeaseWanted) (record.Lease, error) {
	a, err := o.askNow(ctx, site.Lease, w)
	switch {
	case err != nil:
		return record.Lease{}, err
	case a.Lease == nil:
		return record.Lease{}, site.Full(a.Full)
	}
	return *a.Lease, nil
}

// Sought asks the site what another bench knows of a device; nil is nothing.
func (o *Outbox) Sought(ctx context.Context, q site.Sought) (*site.Known, error) {
	a, err := o.askNow(ctx, site.Seek, q)
	return a.Known, err
}

// Move asks the site for a device that another bench has begun: *site.Taken where that one
// has gone on with it, or where it is not its any more; ErrAway where the site says nothing.
func (o *Outbox) Move(ctx context.Context, q site.Moving) error {
	a, err := o.askNow(ctx, site.Move, q)
	if err == nil && a.Taken != nil {
		return a.Taken
	}
	return err
}

// askNow asks the site, if it is there; every other end than its answer is ErrAway.
func (o *Outbox) askNow(ctx context.Context, question string, v any) (a site.Answer, err error) {
	o.mu.Lock()
	s := o.at
	o.mu.Unlock()
	if s == nil {
		return a, ErrAway
	}
	if a, err = s.ask(ctx, question, v); err != nil {
		err = fmt.Errorf("%w: %w", ErrAway, err)
	}
	return a, err
}

// Live tells the site what the bench does now. It waits for no answer.
func (o *Outbox) Live(state []byte) error {
	o.mu.Lock()
	s := o.at
	o.mu.Unlock()
	if s == nil {
		return ErrAway
	}
	return s.conn.Publish(site.LiveOf(o.Pass.Bench), state)
}

var errLost = errors.New("the connection to the site was lost")
