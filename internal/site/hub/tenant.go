package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// tenant keeps a second process out of a cluster that has the copies of a site. Who runs the site has a
// word of its own in a bucket, and writes it anew all the time, each time in place of the one before
// (compare-and-set). Who starts and finds a word that moves is refused; one that stands still is
// replaced, and whoever wrote it ends when it comes to write again. No two clocks are compared.
type tenant struct {
	bucket   jetstream.KeyValue
	word     string
	revision uint64 // of the word as it was written last
}

const (
	runBucket = "RUNS"
	runKey    = "site"
	// stillFor is how many times a word was not written when it is taken to stand still.
	stillFor = 4
)

// wordEvery is how often the word is written. A variable for tests.
var wordEvery = 2 * time.Second

// ErrReplaced: another process runs the site now.
var ErrReplaced = errors.New("another process runs this site on its cluster now; this one has ended")

// enter takes the bucket, or waits until nobody has it. Error: ErrRunning.
func enter(ctx context.Context, bucket jetstream.KeyValue) (*tenant, error) {
	t := &tenant{bucket: bucket, word: rand.Text()}
	had, err := bucket.Get(ctx, runKey)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		t.revision, err = bucket.Create(ctx, runKey, []byte(t.word))
	case err == nil:
		if err = still(ctx, bucket, had.Revision()); err == nil {
			t.revision, err = bucket.Update(ctx, runKey, []byte(t.word), had.Revision())
		}
	}
	if errors.Is(err, jetstream.ErrKeyExists) { // somebody was quicker
		err = ErrRunning
	}
	return t, err
}

// still waits until a word has not moved for long enough. Error: ErrRunning.
func still(ctx context.Context, bucket jetstream.KeyValue, revision uint64) error {
	w, err := bucket.Watch(ctx, runKey, jetstream.ResumeFromRevision(revision+1))
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }()
	enough := time.NewTimer(stillFor * wordEvery)
	defer enough.Stop()
	for {
		select {
		case e, more := <-w.Updates():
			if e != nil && e.Operation() == jetstream.KeyValuePut {
				return ErrRunning
			}
			if !more {
				return errors.New("the cluster was lost")
			}
		case <-enough.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hold writes the word until the context ends. Error: ErrReplaced. While the cluster does not
// answer it goes on: nothing else can be written there either.
func (t *tenant) hold(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wordEvery):
		}
		revision, err := t.bucket.Update(ctx, runKey, []byte(t.word), t.revision)
		if err == nil {
			t.revision = revision
			continue
		}
		if !errors.Is(err, jetstream.ErrKeyExists) {
			continue
		}
		has, err := t.bucket.Get(ctx, runKey)
		switch {
		case err == nil && string(has.Value()) == t.word: // the answer to an earlier one was lost
			t.revision = has.Revision()
		case err == nil, errors.Is(err, jetstream.ErrKeyNotFound):
			return ErrReplaced
		}
	}
}

// leave lets the next one in at once.
func (t *tenant) leave(ctx context.Context) error {
	err := t.bucket.Delete(ctx, runKey, jetstream.LastRevision(t.revision))
	if err != nil {
		err = fmt.Errorf("leave the cluster: %w", err)
	}
	return err
}

// enter keeps other processes out, and ends all work when one came in nevertheless.
func (h *Hub) enter(ctx context.Context) error {
	bucket, err := h.bucket(ctx, runBucket)
	if err != nil {
		return err
	}
	t, err := enter(ctx, bucket)
	if err != nil {
		return err
	}
	h.tenant = t
	h.busy.Go(func() {
		if err := t.hold(h.ctx); err != nil {
			h.Tell(err.Error())
			close(h.replaced)
			h.stop()
		}
	})
	return nil
}

// isReplaced tells whether another process runs the site.
func (h *Hub) isReplaced() bool {
	select {
	case <-h.replaced:
		return true
	default:
		return false
	}
}

// Replaced is closed when another process has taken the site over: this one answers nobody any more.
func (s *Server) Replaced() <-chan struct{} { return s.hub.replaced }
