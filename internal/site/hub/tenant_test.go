package hub

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"station/internal/site"
	"station/internal/site/outbox"
)

// A process that may have been replaced answers nobody, and keeps nothing; when it could write
// its word again it answers as before.
func TestUnsure(t *testing.T) {
	f, s := started(t)
	defer s.Close()
	b := newShop(t, f, "bench-1")
	b.push(s)
	m, err := s.hub.mirror(t.Context(), b.name)
	if err != nil {
		t.Fatal(err)
	}
	pass, err := site.ReadPass(b.pass)
	if err != nil {
		t.Fatal(err)
	}
	defer pass.Destroy()
	pass.URL = "tls://" + s.Address()
	push := func() error {
		_, err := (&outbox.Outbox{Pass: pass, Ledger: b.book}).Push(t.Context())
		return err
	}
	bucket, err := s.hub.bucket(t.Context(), runBucket)
	if err != nil {
		t.Fatal(err)
	}
	of, err := enter(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	s.hub.gate.Lock()
	s.hub.tenant = of
	s.hub.gate.Unlock()
	save := func() error { m.mu.Lock(); defer m.mu.Unlock(); return m.save() }
	of.isSent(time.Now().Add(-sureFor * wordEvery))
	if err := push(); err == nil || !strings.Contains(err.Error(), errUnsure.Error()) {
		t.Errorf("a bench hears %v", err)
	}
	if _, err := f.List(t.Context()); err == nil || !strings.Contains(err.Error(), errUnsure.Error()) {
		t.Errorf("the admin hears %v", err)
	}
	if err := save(); !errors.Is(err, errUnsure) {
		t.Errorf("what it knows is kept: %v", err)
	}
	if err := errors.Join(of.write(t.Context()), save(), push()); err != nil {
		t.Errorf("when it is sure again: %v", err)
	}
}

// Of two processes on one cluster one runs the site. Who was away while its word stood still, and was
// replaced, ends; who leaves lets the next one in at once.
func TestOneProcess(t *testing.T) {
	defer func(d time.Duration) { wordEvery = d }(wordEvery)
	const moves, stands = 500 * time.Millisecond, 10 * time.Millisecond // nobody has to be quick
	wordEvery = moves
	_, s := started(t)
	defer s.Close()
	bucket, err := s.hub.bucket(t.Context(), runBucket)
	if err != nil {
		t.Fatal(err)
	}
	first, err := enter(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	hold := func(of *tenant) { ended <- of.hold(ctx) }
	go hold(first)
	if _, err := enter(t.Context(), bucket); !errors.Is(err, ErrRunning) {
		t.Errorf("beside one that runs: %v", err)
	}
	stop() // it hangs
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	wordEvery = stands
	second, err := enter(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	if first.sure() == nil {
		t.Error("the first one is sure that it runs alone")
	}
	if wordEvery = moves; second.sure() != nil {
		t.Errorf("the second one is not sure that it runs alone: %v", second.sure())
	}
	ctx, stop = context.WithCancel(t.Context())
	defer stop()
	go hold(first) // it goes on
	if err := <-ended; !errors.Is(err, ErrReplaced) {
		t.Errorf("one that was replaced: %v", err)
	}
	if _, err := bucket.Update(t.Context(), runKey, []byte(second.word), second.revision); err != nil { // the answer was lost
		t.Fatal(err)
	}
	go hold(second)
	if _, err := enter(t.Context(), bucket); !errors.Is(err, ErrRunning) {
		t.Errorf("beside one that lost an answer: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Update(t.Context(), runKey, []byte(second.word), second.revision); err != nil { // this one, too
		t.Fatal(err)
	}
	if err := second.leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	wordEvery = time.Hour // who waited would wait for long
	if _, err := enter(t.Context(), bucket); err != nil {
		t.Errorf("behind one that left: %v", err)
	}
}
