package faults

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"
)

// wire is a way to a server that can be cut, in one direction or both.
type wire struct {
	l net.Listener

	mu       sync.Mutex
	changed  *sync.Cond
	to       string
	open     map[net.Conn]bool
	up, down way
}

// way is one direction of a wire.
type way struct {
	stalled bool          // what is sent arrives when it is not any more
	late    time.Duration // how long each piece takes
	watch   []byte        // once a piece has this in it,
	before  func()        // this is done before it goes on,
	after   func()        // or after it
}

func newWire(t *testing.T) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{l: l, open: map[net.Conn]bool{}}
	w.changed = sync.NewCond(&w.mu)
	t.Cleanup(func() { l.Close(); w.set(func() { w.up, w.down = way{}, way{} }); w.cut() })
	go w.serve()
	return w
}

func (w *wire) address() string { return w.l.Addr().String() }

// set changes the wire.
func (w *wire) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	w.changed.Broadcast()
}

// cut closes all that goes over the wire, and lets nothing new over it until it leads
// somewhere again.
func (w *wire) cut() {
	w.set(func() {
		w.to = ""
		for c := range w.open {
			c.Close()
		}
		clear(w.open)
	})
}

func (w *wire) serve() {
	for {
		c, err := w.l.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		to := w.to
		w.mu.Unlock()
		s, err := net.Dial("tcp", to)
		if to == "" || err != nil {
			c.Close()
			continue
		}
		w.set(func() { w.open[c], w.open[s] = true, true })
		go w.carry(s, c, &w.up)
		go w.carry(c, s, &w.down)
	}
}

func (w *wire) carry(to, from net.Conn, way *way) {
	defer to.Close()
	defer from.Close()
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if err != nil {
			return
		}
		before, after, late := w.pass(way, piece[:n])
		before()
		time.Sleep(late)
		if _, err := to.Write(piece[:n]); err != nil {
			return
		}
		after()
	}
}

// pass waits until a piece may go on.
func (w *wire) pass(way *way, piece []byte) (before, after func(), late time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for way.stalled {
		w.changed.Wait()
	}
	before, after = func() {}, func() {}
	if way.watch != nil && bytes.Contains(piece, way.watch) {
		if way.before != nil {
			before = way.before
		}
		if way.after != nil {
			after = way.after
		}
		way.watch, way.before, way.after = nil, nil, nil
	}
	return before, after, way.late
}
