package faults

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"golang.org/x/sys/unix"
)

// at does something once when bytes are about to reach any server, or have just been
// sent to one; fired waits for it.
func (p *plant) at(bytes string, after bool, do func()) (fired func()) {
	done := make(chan struct{})
	once := sync.OnceFunc(func() { do(); close(done) })
	for _, w := range p.client {
		w.set(func() {
			w.up.watch = []byte(bytes)
			if after {
				w.up.after = once
			} else {
				w.up.before = once
			}
		})
	}
	return func() {
		p.t.Helper()
		select {
		case <-done:
		case <-time.After(patience):
			p.t.Errorf("%q was never said", bytes)
		}
		for _, w := range p.client {
			w.set(func() { w.up.watch = nil })
		}
	}
}

// killAt kills a server at a message, and lets it come back, or another in its place.
// Every second one is killed when the message has just been sent, the others before.
func (p *plant) killAt(bytes string, victim int, empty bool) func() {
	fired := p.at(bytes, empty, func() { p.kill(victim) })
	return func() {
		p.t.Helper()
		fired()
		time.Sleep(time.Second) // the others go on alone
		if empty {
			p.empty(victim)
		}
		if p.servers[victim] == nil {
			p.start(victim)
		}
		p.ready()
	}
}

func (p *plant) empty(victim int) {
	if err := os.RemoveAll(filepath.Join(p.dirs[victim], "jetstream")); err != nil {
		p.t.Error(err)
	}
}

func (p *plant) killAll(bytes string) func() {
	fired := p.at(bytes, true, func() {
		for i := range nodes {
			p.unplug(i)
		}
		for i := range nodes {
			p.kill(i)
		}
	})
	return func() {
		p.t.Helper()
		fired()
		for i := range nodes {
			p.start(i)
		}
		p.ready()
	}
}

// cutOff lets nothing arrive that a server sends, or is sent to it, or lets it take its time.
func (p *plant) cutOff(victim int, out, in bool, late time.Duration) func() {
	set := func(out, in bool, late time.Duration) {
		for i := range nodes {
			for _, w := range []*wire{p.client[victim], p.routes[i][victim]} {
				w.set(func() {
					w.up.stalled, w.down.stalled, w.up.late, w.down.late = in && late == 0, out && late == 0, late, late
				})
			}
			w := p.routes[victim][i]
			w.set(func() {
				w.up.stalled, w.down.stalled, w.up.late, w.down.late = out && late == 0, in && late == 0, late, late
			})
		}
	}
	return func() {
		time.Sleep(200 * time.Millisecond) // the benches are at work
		set(out, in, late)
		time.Sleep(5 * time.Second)
		set(false, false, 0)
	}
}

// fill lets a server come back with a disk that is soon full, and later with a large one.
func (p *plant) fill(victim int) func() {
	p.kill(victim)
	p.empty(victim)
	small := p.dirs[victim]
	if err := os.MkdirAll(small, 0o700); err != nil {
		p.t.Fatal(err)
	}
	mounted := unix.Mount("tmpfs", small, "tmpfs", 0, "size=600k") == nil
	config := p.config
	if !mounted { // who may not mount lets the server itself hold that it is full
		p.config = strings.Replace(config, "sync_interval: always", "max_file_store: 600K\n  sync_interval: always", 1)
	}
	p.start(victim)
	p.config = config
	return func() {
		p.t.Helper()
		p.until("the disk is full", func() bool { return !p.servers[victim].JetStreamEnabled() || free(small) < 8<<10 || !mounted })
		time.Sleep(time.Second)
		p.kill(victim)
		if mounted {
			if err := unix.Unmount(small, unix.MNT_DETACH); err != nil {
				p.t.Error(err)
			}
		}
		p.empty(victim)
		p.start(victim)
		p.ready()
	}
}

// takeOver cuts the site's process off until another one runs the site. When the first one is
// there again it ends, and the benches, which are still connected to it, come to the other one.
func (p *plant) takeOver() func() {
	return func() {
		p.t.Helper()
		time.Sleep(200 * time.Millisecond) // the benches are at work
		stall := func(is bool) {
			for _, w := range p.client {
				w.set(func() { w.up.stalled, w.down.stalled = is, is })
			}
		}
		stall(true)
		folder := p.copied()
		folder.Cluster.URL = urlOf(p.spare)
		server, err := folder.Start(p.t.Context(), p.tell)
		if err != nil {
			p.t.Fatal(err)
		}
		stall(false)
		p.until("the first process ends", p.replaced)
		first := p.server
		p.folder, p.server = folder, server
		p.client, p.spare = p.spare, p.client
		p.opens()
		first.Close()
	}
}

func free(path string) uint64 {
	var s unix.Statfs_t
	if unix.Statfs(path, &s) != nil {
		return 0
	}
	return s.Bavail * uint64(s.Bsize)
}

// reaches waits until the site has so many entries of a bench.
func (p *plant) reaches(b *bench, n uint64) {
	for end := time.Now().Add(patience); b.Status().Mirrored < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Errorf("the site never has %d entries of %s: %+v", n, b.Pass.Bench, b.Status())
			return
		}
	}
}

// healthy waits until every stream is on three servers again.
func (p *plant) healthy() {
	p.t.Helper()
	pair, err := nkeys.FromSeed(p.seed)
	if err != nil {
		p.t.Fatal(err)
	}
	public, _ := pair.PublicKey()
	conn, err := nats.Connect(p.url(), nats.Nkey(public, pair.Sign), nats.MaxReconnects(-1))
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		p.t.Fatal(err)
	}
	p.until("each stream is on three servers", func() bool {
		n := 0
		all := js.ListStreams(p.t.Context())
		for s := range all.Info() {
			n++
			if s.Cluster == nil || s.Cluster.Leader == "" || len(s.Cluster.Replicas) != nodes-1 {
				return false
			}
			for _, r := range s.Cluster.Replicas {
				if !r.Current || r.Offline || r.Lag > 0 {
					return false
				}
			}
		}
		return all.Err() == nil && n > 2
	})
}
