package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"station/internal/ledger"
	"station/internal/record"
)

// Replica is the readable ledger of one bench. One goroutine fills it.
type Replica struct {
	set   *Set
	bench string
	dir   string

	mu    sync.Mutex
	book  *ledger.Ledger // nil before its first entry
	times *times         // nil before they are asked for
}

// Fill is the replica of a bench for the site to fill: as it is on the disk, or empty.
// One that cannot be opened is made anew.
func (s *Set) Fill(bench string) (*Replica, error) {
	if r := s.of(bench); r != nil {
		return r, nil
	}
	r := &Replica{set: s, bench: bench, dir: filepath.Join(s.dir, bench)}
	err := os.MkdirAll(r.dir, 0o750)
	if err == nil {
		err = r.open()
	}
	if errors.Is(err, ledger.ErrCorrupt) || errors.Is(err, ledger.ErrForeign) {
		err = r.Forget()
	}
	if err != nil {
		return nil, fmt.Errorf("replica of %s: %w", bench, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replicas[bench] = r
	return r, nil
}

func (r *Replica) path() string { return filepath.Join(r.dir, "ledger.db") }

// open opens the ledger, if there is one.
func (r *Replica) open() error {
	reader, err := ledger.Open(r.path(), ledger.Options{ReadOnly: true})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	simulated := reader.Simulated()
	_ = reader.Close()
	l, err := ledger.Open(r.path(), ledger.Options{Simulated: simulated})
	if err == nil {
		r.use(l)
	}
	return err
}

// use takes a ledger as that of the bench.
func (r *Replica) use(l *ledger.Ledger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.book, r.times = l, nil
}

// Ledger is the bench's ledger; nil before its first entry.
func (r *Replica) Ledger() *ledger.Ledger {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.book
}

// Size is how many entries it has.
func (r *Replica) Size() (uint64, error) {
	if l := r.Ledger(); l != nil {
		size, _, err := l.Head()
		return size, err
	}
	return 0, nil
}

// Add appends entries as they came.
func (r *Replica) Add(lines [][]byte) error {
	err := r.add(lines)
	if errors.Is(err, ledger.ErrCorrupt) || errors.Is(err, ledger.ErrElsewhere) {
		err = errors.Join(err, r.Forget())
	}
	if err != nil {
		return fmt.Errorf("replica of %s: %w", r.bench, err)
	}
	r.set.tell(r.bench)
	return nil
}

func (r *Replica) add(lines [][]byte) error {
	l := r.Ledger()
	if l == nil && len(lines) > 0 {
		if err := ledger.CreateCopy(r.path(), lines[0]); err != nil {
			return err
		}
		if err := r.open(); err != nil {
			return err
		}
		l, lines = r.Ledger(), lines[1:]
	}
	r.mu.Lock()
	err := r.timed()
	r.mu.Unlock()
	if err == nil {
		err = l.Copy(lines)
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, raw := range lines {
		e, err := record.Decode(raw)
		if err != nil {
			return err
		}
		r.times.add(e)
	}
	return r.times.save(r.dir, l.Origin())
}

// Keep keeps a checkpoint that the bench and the site have signed, so that what is
// proved from here can be believed. One that was emptied meanwhile is given it again.
func (r *Replica) Keep(signed []byte) error {
	l := r.Ledger()
	if l == nil {
		return nil
	}
	err := l.KeepCosigned(signed)
	if err != nil {
		err = fmt.Errorf("replica of %s: %w", r.bench, err)
	}
	return err
}

// Forget takes the ledger away: it is to be filled from its first entry on. Who reads
// the old one reads on.
func (r *Replica) Forget() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.book != nil {
		_ = r.book.Close()
	}
	r.book, r.times = nil, nil
	for _, name := range []string{r.path(), filepath.Join(r.dir, timesFile)} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (r *Replica) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.book != nil {
		_ = r.book.Close()
	}
}
