package station

import (
	"crypto"
	"errors"
	"sync"
	"sync/atomic"

	"station/internal/ledger"
	"station/internal/record"
)

// CheckpointEvery is after how many entries a running line lets the token sign
// the head of the ledger: a hundred devices or so.
const CheckpointEvery = 1000

// Signed is a ledger whose head is signed every so many entries and at the end
// of a run. Signing holds up neither entries nor devices: where it does not
// work, the next one covers what this one missed.
type Signed struct {
	*ledger.Ledger
	Key   crypto.Signer
	Every uint64

	begin  sync.Once
	round  atomic.Uint64 // the newest entry's index by Every
	busy   sync.Mutex    // held while the token signs
	signs  sync.WaitGroup
	mu     sync.Mutex
	size   uint64 // entries under the newest signature
	failed error
}

// Append implements flow.Ledger.
func (s *Signed) Append(e record.Entry) (record.Entry, error) {
	stored, err := s.Ledger.Append(e)
	if err == nil && s.due(stored.Index) && s.busy.TryLock() {
		s.signs.Go(func() {
			defer s.busy.Unlock()
			s.sign()
		})
	}
	return stored, err
}

// due tells whether the entry is the first in its round: the one that completes
// the round before may have been written by others.
func (s *Signed) due(index uint64) bool {
	s.begin.Do(func() { s.round.Store(index / s.Every) })
	was, is := s.round.Load(), (index+1)/s.Every
	return is > was && s.round.CompareAndSwap(was, is)
}

// Finish signs what has been written since the newest signature. The error is
// that of the last attempt.
func (s *Signed) Finish() error {
	s.signs.Wait()
	size, _, err := s.Head()
	if err != nil {
		return err
	}
	if size > s.size {
		s.sign()
	}
	return s.failed
}

func (s *Signed) sign() {
	_, err := s.Checkpoint(s.Key)
	size, _, headErr := s.Head()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed = errors.Join(err, headErr); s.failed == nil {
		s.size = size
	}
}
