// Package outlet carries what the program tells to files that somebody else
// reads: pipes, terminals, logs. Who reads slowly, or not at all, keeps nobody
// waiting; what is lost by that is counted and told.
package outlet

import (
	"errors"
	"io"
	"sync"
	"time"
)

const (
	maxQueued = 1 << 20                // bytes that wait to be read; more are dropped
	patience  = 250 * time.Millisecond // with a reader that has kept up so far
	silence   = 800 * time.Millisecond // of a reader, after which nobody waits for the rest
	goodbye   = 3 * time.Second        // for the rest, however slowly it is read
)

// Goodbye is when a program that ends stops waiting for its readers. All of its
// outlets share one, which begins to count when the first of them is flushed: so
// many slow readers hold up the end no longer than one. The zero value is ready.
type Goodbye struct {
	once sync.Once
	by   time.Time
}

func (g *Goodbye) until() time.Time {
	g.once.Do(func() { g.by = time.Now().Add(goodbye) })
	return g.by
}

// Outlet is a file behind a bounded queue. Each Write is a message of its own:
// it is written whole or not at all.
type Outlet struct {
	w io.Writer
	// Missed is told before the first message after some that were dropped,
	// and at the end, how many; what it returns is written in their place.
	missed func(messages int) []byte

	mu      sync.Mutex
	queue   [][]byte
	queued  int           // bytes of the queue
	writing bool          // a message is being written
	behind  bool          // the reader does not keep up
	dropped int           // messages since the last that was told
	lost    int           // in all
	err     error         // of the first write that failed: the last
	moved   chan struct{} // closed when a message was written, or failed
	wake    chan struct{} // holds one: there is a message
}

// New begins to write to w. missed may be nil.
func New(w io.Writer, missed func(messages int) []byte) *Outlet {
	o := &Outlet{w: w, missed: missed, moved: make(chan struct{}), wake: make(chan struct{}, 1)}
	go o.run()
	return o
}

// Write takes one message. While the reader keeps up it waits until the message is
// written. Once the reader is behind it waits no longer: the message is queued, or
// dropped and counted where the queue is full. After a write has failed it returns
// that error.
func (o *Outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	if !o.put(p) {
		o.dropped++
		o.lost++
		return len(p), nil
	}
	if !o.behind {
		o.behind = !o.idleWithin(patience)
	}
	if o.err != nil {
		return 0, o.err
	}
	return len(p), nil
}

// put queues a message, behind what is to be said of those before it that were
// dropped. The caller holds mu.
func (o *Outlet) put(p []byte) bool {
	if o.queued > 0 && o.queued+len(p) > maxQueued {
		return false
	}
	if o.dropped > 0 && o.queued > maxQueued/2 {
		return false // told once in a while, not after each
	}
	if o.dropped > 0 {
		o.add(o.notice())
	}
	o.add(append([]byte(nil), p...))
	return true
}

func (o *Outlet) notice() []byte {
	n := o.dropped
	o.dropped = 0
	if o.missed == nil {
		return nil
	}
	return o.missed(n)
}

func (o *Outlet) add(p []byte) {
	if len(p) == 0 {
		return
	}
	o.queue, o.queued = append(o.queue, p), o.queued+len(p)
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// idleWithin waits until everything is written; false: it took longer. The
// caller holds mu.
func (o *Outlet) idleWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for o.err == nil && (len(o.queue) > 0 || o.writing) {
		moved := o.moved
		o.mu.Unlock()
		late := false
		select {
		case <-moved:
		case <-timer.C:
			late = true
		}
		o.mu.Lock()
		if late {
			return false
		}
	}
	return true
}

func (o *Outlet) run() {
	for range o.wake {
		for o.next() {
		}
	}
}

// next writes one message.
func (o *Outlet) next() bool {
	o.mu.Lock()
	if len(o.queue) == 0 || o.err != nil {
		o.behind = false
		o.mu.Unlock()
		return false
	}
	p := o.queue[0]
	o.queue, o.queued = o.queue[1:], o.queued-len(p)
	o.writing = true
	o.mu.Unlock()
	_, err := o.w.Write(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = false
	if err != nil {
		o.err, o.queue, o.queued = err, nil, 0
	}
	close(o.moved)
	o.moved = make(chan struct{})
	return true
}

// ErrUnread means that nobody has read the rest.
var ErrUnread = errors.New("nobody reads it")

// Flush waits for the rest to be written, as long as somebody reads and until it
// is time to say goodbye; nil is a goodbye of its own. It returns how many messages
// were dropped in all, and why the rest was not written.
func (o *Outlet) Flush(g *Goodbye) (dropped int, err error) {
	if g == nil {
		g = new(Goodbye)
	}
	end := g.until()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dropped > 0 && o.err == nil {
		o.add(o.notice())
	}
	for {
		left := len(o.queue)
		if o.idleWithin(min(silence, time.Until(end))) {
			return o.lost, o.err
		}
		if len(o.queue) == left || time.Now().After(end) {
			return o.lost + len(o.queue), ErrUnread
		}
	}
}
