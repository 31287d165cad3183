package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// tenant keeps a second process out of a cluster that has the copies of a site. Who runs the site has a
// word of its own in a bucket, and writes it anew all the time, each time in place of the one before
// (compare-and-set). Who starts and finds a word that moves is refused; one that stands still is
// replaced, and whoever wrote it ends when it comes to write again. Until then he answers nobody: he knows
// for how long he could not write. No two clocks are compared.
type tenant struct {
	bucket   jetstream.KeyValue
	word     string
	revision uint64 // of the word as it was written last

	mu   sync.Mutex
	sent time.Time // when that was sent
}

const (
	runBucket = "RUNS"
	runKey    = "site"
	// stillFor is how many times a word was not written when it is taken to stand still.
	stillFor = 4
	// sureFor is how many times it may not be written before its owner answers nobody. It is
	// less: what he has begun ends before another one takes over.
	sureFor = 3
)

// wordEvery is how often the word is written. A variable for tests.
var wordEvery = 2 * time.Second

// ErrReplaced: another process runs the site now.
var ErrReplaced = errors.New("another process runs this site on its cluster now; this one has ended")

// errUnsure: another process may run the site by now.
var errUnsure = errors.New("the site cannot write into its cluster, and may have been replaced by another process: ask again")

// enter takes the bucket, or waits until nobody has it. Error: ErrRunning.
func enter(ctx context.Context, bucket jetstream.KeyValue) (*tenant, error) {
	t := &tenant{bucket: bucket, word: rand.Text()}
	sent := time.Now()
	had, err := bucket.Get(ctx, runKey)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		t.revision, err = bucket.Create(ctx, runKey, []byte(t.word))
	case err == nil:
		if err = still(ctx, bucket, had.Revision()); err == nil {
			sent = time.Now()
			t.revision, err = bucket.Update(ctx, runKey, []byte(t.word), had.Revision())
		}
	}
	if quicker(err) {
		err = ErrRunning
	}
	t.isSent(sent)
	return t, err
}

func (t *tenant) isSent(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent = at
}

// sure makes sure that nobody else runs the site. Both clocks of the machine count: one
// stands while it sleeps, the other can be set.
func (t *tenant) sure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if max(now.Sub(t.sent), now.Round(0).Sub(t.sent.Round(0))) > sureFor*wordEvery {
		return errUnsure
	}
	return nil
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
		if err := t.write(ctx); errors.Is(err, ErrReplaced) {
			t.isSent(time.Time{}) // never sure again
			return err
		}
	}
}

// write writes the word once more. Error: ErrReplaced; every other one says nothing of who has it.
func (t *tenant) write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, wordEvery)
	defer cancel()
	for {
		sent := time.Now()
		revision, err := t.bucket.Update(ctx, runKey, []byte(t.word), t.revision)
		if err == nil {
			t.revision = revision
			t.isSent(sent)
			return nil
		}
		if !quicker(err) {
			return err
		}
		has, err := t.bucket.Get(ctx, runKey)
		switch {
		case err == nil && string(has.Value()) == t.word: // the answer to an earlier one was lost
			t.revision = has.Revision()
		case err == nil, errors.Is(err, jetstream.ErrKeyNotFound):
			return ErrReplaced
		default:
			return err
		}
	}
}

// leave lets the next one in at once. What was written when the context of hold ended may
// have arrived, and its answer not.
func (t *tenant) leave(ctx context.Context) error {
	err := t.bucket.Delete(ctx, runKey, jetstream.LastRevision(t.revision))
	if quicker(err) {
		var has jetstream.KeyValueEntry
		if has, err = t.bucket.Get(ctx, runKey); err == nil && string(has.Value()) == t.word {
			err = t.bucket.Delete(ctx, runKey, jetstream.LastRevision(has.Revision()))
		}
	}
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

// sure makes sure that no other process runs the site.
func (h *Hub) sure() error {
	if h.tenant == nil {
		return nil
	}
	return h.tenant.sure()
}

// Replaced is closed when another process has taken the site over: this one answers nobody any more.
func (s *Server) Replaced() <-chan struct{} { return s.hub.replaced }
