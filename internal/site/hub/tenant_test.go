package hub

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Of two processes on one cluster one runs the site. Who was away while its word stood still, and was
// replaced, ends; who leaves lets the next one in at once.
func TestOneProcess(t *testing.T) {
	defer func(d time.Duration) { wordEvery = d }(wordEvery)
	wordEvery = 10 * time.Millisecond
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
	second, err := enter(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
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
	if err := errors.Join(<-ended, second.leave(t.Context())); err != nil {
		t.Fatal(err)
	}
	wordEvery = time.Hour // who waited would wait for long
	if _, err := enter(t.Context(), bucket); err != nil {
		t.Errorf("behind one that left: %v", err)
	}
}
