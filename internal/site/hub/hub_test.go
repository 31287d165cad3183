package hub

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
)

// started is a site that runs.
func started(t *testing.T) (*Folder, *Server) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	if err := Init(dir, Config{Name: "plant-1", URL: "tls://localhost:4222", Listen: "127.0.0.1:0"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.Start(t.Context(), func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	return f, s
}

// meeting is the bucket of claims, in which two who ask have both looked before either
// takes anything.
type meeting struct {
	jetstream.KeyValue
	looked sync.WaitGroup
}

func (m *meeting) Get(ctx context.Context, key string) (jetstream.KeyValueEntry, error) {
	e, err := m.KeyValue.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		m.looked.Done()
		m.looked.Wait()
	}
	return e, err
}

// Of two who ask at the very same instant one gets the name.
func TestClaimAtTheSameInstant(t *testing.T) {
	_, s := started(t)
	defer s.Close()
	bucket := &meeting{KeyValue: s.hub.claims}
	s.hub.claims = bucket
	bucket.looked.Add(2)
	answers := make(chan error, 2)
	for _, bench := range []string{"bench-1", "bench-2"} {
		go func() {
			answers <- s.hub.claim(t.Context(), bench, site.Names{MAC: "02:00:00:00:00:01", List: []site.Name{{Kind: site.NameMAC, Value: "02:00:00:00:00:01"}}})
		}()
	}
	one, two := <-answers, <-answers
	if taken := new(site.Taken); (one == nil) == (two == nil) || !errors.As(errors.Join(one, two), &taken) {
		t.Errorf("got %v and %v", one, two)
	}
}

// A copy that is no longer what came is found: on the disk, and behind the back of what
// the disk checks. What came just now is in it, whether or not the site has read it yet.
func TestVerify(t *testing.T) {
	f, s := started(t)
	book, err := ledger.Open(filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Create: true, Simulated: true})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	for range 20 {
		if _, err := book.Append(record.Entry{Kind: record.DeviceSeen, Message: "as it came", Simulated: true}); err != nil {
			t.Fatal(err)
		}
	}
	fill := func(bench string, change func(n int, raw []byte) []byte) {
		n := 0
		for raw, err := range book.Lines(0) {
			if err == nil {
				_, err = s.hub.js.PublishMsg(t.Context(), &nats.Msg{Subject: site.EntriesOf(bench), Data: change(n, raw)})
			}
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	behind, err := s.hub.mirror(t.Context(), "bench-1")
	if err != nil {
		t.Fatal(err)
	}
	behind.mu.Lock() // the site does not come to read
	fill("bench-1", func(_ int, raw []byte) []byte { return raw })
	time.AfterFunc(50*time.Millisecond, behind.mu.Unlock)
	v, err := f.Verify(t.Context(), "bench-1")
	if err != nil || v.Size != 21 || len(v.Faults) > 0 {
		t.Errorf("as it came: %+v, %v", v, err)
	}
	if _, err := f.Verify(t.Context(), "bench-2"); err == nil || !strings.Contains(err.Error(), ErrNoBench.Error()) {
		t.Errorf("a bench that there is not: %v", err)
	}
	s.Close()
	blocks, err := filepath.Glob(filepath.Join(f.Dir, "jetstream", "jetstream", "*", "streams", site.StreamOf("bench-1"), "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatal(blocks, err)
	}
	data, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, []byte("as it came"))
	data[at] = 'A'
	if err := os.WriteFile(blocks[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = f.Start(t.Context(), func(text string) { t.Log(text) }); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if v, err = f.Verify(t.Context(), "bench-1"); err != nil || len(v.Faults) != 1 || !strings.HasPrefix(v.Faults[0], "entry 1 cannot be read") {
		t.Errorf("a byte that changed on the disk: %+v, %v", v, err)
	}
	// What the disk's own check does not see: whoever has the server can store what he likes.
	was, err := s.hub.mirror(t.Context(), "bench-3")
	if err != nil {
		t.Fatal(err)
	}
	fill("bench-3", func(_ int, raw []byte) []byte { return raw })
	if _, err := was.reach(t.Context()); err != nil {
		t.Fatal(err)
	}
	was.mu.Lock()
	was.known.Peaks[0][0] ^= 1
	was.mu.Unlock()
	if v, err = f.Verify(t.Context(), "bench-3"); err != nil || len(v.Faults) != 1 || !strings.HasPrefix(v.Faults[0], "the root of its 21 entries is") {
		t.Errorf("another entry than the one that came: %+v, %v", v, err)
	}
}
