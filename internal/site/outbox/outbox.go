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
	wait := o.Again
	if wait == 0 {
		wait = again
	}
	for ctx.Err() == nil {
		err := o.session(ctx, true)
		if ctx.Err() != nil {
			return // which is no news of the site
		}
		o.ended(err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
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
	o.up(s)
	defer o.up(nil)
	o.set(func(st *Status) { *st = Status{State: Up, Mirrored: s.mirrored} })
	for {
		if err := s.push(ctx); err != nil {
			return err
		}
		if err := s.cosign(ctx); err != nil {
			return err
		}
		if !stay {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-lost:
			return errLost
		case <-o.Ledger.Grown():
		}
	}
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
	o.mu.Lock()
	s := o.at
	o.mu.Unlock()
	if s == nil {
		return ErrAway
	}
	a, err := s.ask(ctx, site.Claim, names)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrAway, err)
	case a.Taken != nil:
		return a.Taken
	}
	return nil
}

var errLost = errors.New("the connection to the site was lost")
