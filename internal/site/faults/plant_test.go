package faults

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
	"station/internal/site/hub"
	"station/internal/site/outbox"
)

// plant is a site on a cluster.
type plant struct {
	*cluster
	folder *hub.Folder
	server *hub.Server
	door   *wire // from the benches to the site

	mu   sync.Mutex
	said []string // by the site
}

func newPlant(t *testing.T) *plant {
	t.Helper()
	c := newCluster(t)
	creds := filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(creds, c.seed, 0o600); err != nil {
		t.Fatal(err)
	}
	return newPlantOn(c, c.url(), creds, "")
}

func newPlantOn(on *cluster, url, creds, ca string) *plant {
	t := on.t
	t.Helper()
	p := &plant{cluster: on}
	c, err := hub.ReadCluster(url, creds, ca)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "site")
	if err := hub.Init(dir, hub.Config{Name: "plant-1", URL: "tls://localhost:4222", Listen: "127.0.0.1:0", Cluster: c}, nil, nil); err != nil {
		t.Fatal(err)
	}
	if p.folder, err = hub.Open(dir); err != nil {
		t.Fatal(err)
	}
	if p.server, err = p.folder.Start(t.Context(), p.tell); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.server.Close() })
	p.door = newWire(t)
	p.opens()
	return p
}

// opens lets benches come to the site.
func (p *plant) opens() { p.door.set(func() { p.door.to = p.server.Address() }) }

// copied is a copy of the site's folder.
func (p *plant) copied() *hub.Folder {
	p.t.Helper()
	dir := filepath.Join(p.t.TempDir(), "copy")
	err := p.folder.Backup(p.t.Context(), dir, p.tell)
	if err != nil {
		p.t.Fatal(err)
	}
	folder, err := hub.Open(dir)
	if err != nil {
		p.t.Fatal(err)
	}
	return folder
}

// replaced tells whether the site's process believes that another one runs the site.
func (p *plant) replaced() bool {
	select {
	case <-p.server.Replaced():
		return true
	default:
		return false
	}
}

func (p *plant) tell(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, text)
}

// heard is what the site has said.
func (p *plant) heard() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.said)
}

// bench is one of the plant's, with a ledger that is on the disk.
type bench struct {
	*outbox.Outbox
	t    *testing.T
	p    *plant
	key  *ecdsa.PrivateKey
	done chan struct{}
	stop context.CancelFunc
}

func (p *plant) bench(name string, skew time.Duration) *bench {
	p.t.Helper()
	dir := p.t.TempDir()
	if err := errors.Join(p.folder.Add(name, filepath.Join(dir, "pass"), false), p.folder.Apply(p.t.Context())); err != nil {
		p.t.Fatal(err)
	}
	pass, err := site.ReadPass(filepath.Join(dir, "pass"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(pass.Destroy)
	pass.URL = "tls://" + p.door.address()
	book, err := ledger.Open(filepath.Join(dir, "ledger.db"), ledger.Options{Create: true, Station: name, Software: "test", Simulated: true, Now: func() time.Time { return time.Now().Add(skew) }})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { book.Close() })
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	b := &bench{t: p.t, p: p, key: key, done: make(chan struct{}), Outbox: &outbox.Outbox{Pass: pass, Ledger: book, Again: 50 * time.Millisecond}}
	return b
}

// run connects it until end.
func (b *bench) run() {
	ctx, cancel := context.WithCancel(b.t.Context())
	b.stop = cancel
	go func() { defer close(b.done); b.Run(ctx) }()
}

func (b *bench) end() { b.stop(); <-b.done }

// work appends n entries.
func (b *bench) work(n int) error {
	var list []record.Entry
	for i := range n {
		list = append(list, record.Entry{Kind: record.DeviceSeen, MAC: chip.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}, Simulated: true})
	}
	_, err := b.Ledger.AppendAll(list)
	return err
}

// sign lets the ledger's own key sign what there is.
func (b *bench) sign() error {
	_, err := b.Ledger.Checkpoint(b.key)
	return err
}

// settled waits until the site has all, and has signed it.
func (b *bench) settled() {
	b.t.Helper()
	size, _, _ := b.Ledger.Head()
	b.p.until("the site has all of "+b.Pass.Bench, func() bool {
		signed, err := b.Ledger.LastCheckpoint()
		s := b.Status()
		if s.State == outbox.Halted {
			b.t.Fatalf("%s is refused: %v", b.Pass.Bench, s.Err)
		}
		return err == nil && s.State == outbox.Up && s.Mirrored == size && ledger.SignedBy(signed, b.Pass.Witness)
	})
}

// unanswered: the servers are between two leaders, which says nothing of what they have.
func unanswered(said string) bool {
	return strings.Contains(said, "deadline exceeded") || strings.Contains(said, "temporarily unavailable") || strings.Contains(said, "no responders")
}

// same compares the site's copy with the ledger, byte for byte, and lets the site do so
// with what it saw.
func (b *bench) same() {
	b.t.Helper()
	mirror, n := b.p.server.Mirror(b.t.Context(), b.Pass.Bench), uint64(0)
	for raw, err := range b.Ledger.Lines(0) {
		var got []byte
		var mirrorErr error
		b.p.until("an answer of the servers", func() bool {
			got, mirrorErr = mirror(n)
			return !unanswered(fmt.Sprint(mirrorErr))
		})
		if err != nil || mirrorErr != nil || !bytes.Equal(got, raw) {
			b.t.Errorf("%s: entry %d is %q, %v, want %q, %v", b.Pass.Bench, n, got, mirrorErr, raw, err)
			return
		}
		n++
	}
	if got, err := mirror(n); err == nil {
		b.t.Errorf("%s: an entry too many: %q", b.Pass.Bench, got)
	}
	var v hub.Verified
	var err error
	b.p.until("a verdict of the site", func() bool {
		v, err = b.p.folder.Verify(b.t.Context(), b.Pass.Bench)
		return !unanswered(fmt.Sprint(err, v.Faults))
	})
	if err != nil || len(v.Faults) > 0 || v.Size != n || v.Signed == 0 {
		b.t.Errorf("%s: %+v, %v", b.Pass.Bench, v, err)
	}
}
