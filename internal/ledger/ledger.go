package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"time"

	"go.etcd.io/bbolt"

	"station/internal/keyfile"
	"station/internal/ledger/boltfile"
	"station/internal/record"
)

// Options say how a ledger is opened.
type Options struct {
	// ReadOnly opens beside a running station, without blocking it or waiting
	// for it.
	ReadOnly bool
	// Create makes the ledger if there is none, real or simulated as Simulated
	// says.
	Create bool
	// Recover opens a ledger of whose two header pages one is damaged. The
	// newest entry may then be lost without a trace in this file, which is
	// why a person has to ask for it. It becomes an entry (record.Recovered).
	Recover bool

	Station, Software string // for entries that do not name them
	// Simulated is what the entries will be: a ledger of the other kind is
	// refused (record.ErrMixed) unless it is opened for reading.
	Simulated bool
	// Now is the station's clock; nil is time.Now.
	Now func() time.Time
}

// Ledger is an open ledger. Its methods may be called by several goroutines
// at the same time.
type Ledger struct {
	path  string
	opt   Options
	first record.Entry
	read  *readers
	w     *writer // nil when it is open for reading only, or another process writes for this one
	guest *guest  // of that process; nil where there is none
	door  *door   // where this one writes for others; may be nil

	damaged bool // one of the headers was
	grown   chan struct{}
}

// Open opens the ledger at path. Errors: fs.ErrNotExist, ErrLocked,
// ErrForeign, ErrNewer, ErrCorrupt, ErrDisk, record.ErrMixed.
func Open(path string, o Options) (*Ledger, error) {
	return open(context.Background(), path, o, false)
}

// OpenGuest opens the ledger for a few entries of those that OpenDoor allows:
// for writing if nobody else does, otherwise beside the process of this machine
// that has the ledger open, which writes them. ctx ends the waiting for that
// process, now and with each entry.
func OpenGuest(ctx context.Context, path string, o Options) (*Ledger, error) {
	return open(ctx, path, o, true)
}

func open(ctx context.Context, path string, o Options, beside bool) (*Ledger, error) {
	l, err := openOrCreate(ctx, path, o, beside)
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	return l, nil
}

func openOrCreate(ctx context.Context, path string, o Options, beside bool) (*Ledger, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	l, err := openRead(path, o)
	if errors.Is(err, fs.ErrNotExist) && o.Create && !o.ReadOnly {
		first := record.Entry{Station: o.Station, Software: o.Software, Simulated: o.Simulated}
		if err := create(path, first); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		l, err = openRead(path, o)
	}
	if err == nil && o.ReadOnly {
		l.refresh()
	}
	if err != nil || o.ReadOnly {
		return l, err
	}
	if l.first.Simulated != o.Simulated {
		err = record.ErrMixed
	} else {
		err = l.take(ctx, beside)
	}
	if err == nil && l.w != nil {
		err = l.catchUp()
	}
	if err == nil && l.w != nil && l.damaged {
		_, err = l.Append(record.Entry{Kind: record.Recovered, Simulated: o.Simulated,
			Message: "a header of the file was damaged; the newest entries may be lost"})
	}
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// refresh makes the indexes anew for a reader who cannot use those that are
// there. Where somebody has the right to write, he has done so, or does; where
// this user has not, whoever asks the indexes is told.
func (l *Ledger) refresh() {
	err := l.project(func(*snapshot) error { return nil })
	if !errors.Is(err, ErrIndexes) {
		return
	}
	if w, err := Open(l.path, Options{Simulated: l.first.Simulated}); err == nil {
		_ = w.Close()
	}
}

// take gets the right to write. A guest who finds another process with it gets
// it at that one's door. That process may be about to open its door, or to end,
// or be a short command itself: all that is a matter of moments.
func (l *Ledger) take(ctx context.Context, beside bool) (err error) {
	g := &guest{ctx: ctx, ledger: l}
	for range patience {
		if l.w, err = openWriter(l.path, l.first.Simulated, l.read.f); !errors.Is(err, ErrLocked) {
			return err
		}
		refused()
		noDoor := g.knockOnce()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case beside && noDoor == nil:
			l.guest = g
			return nil
		case beside:
			err = fmt.Errorf("%w, and %w", ErrLocked, noDoor)
		}
		if !errors.Is(noDoor, errNoDoor) { // a line, which keeps it, or the wrong one
			return err
		}
	}
	if beside {
		err = fmt.Errorf("%w: it is an older version, or runs on another machine, or another command is at work for long; try again on the machine of the line, or stop the line for a moment", err)
	}
	return err
}

// patience is how often the lock is tried, some 50 ms each time: who has it and
// no door may be a command that is about to end. A variable for tests.
var patience = 20

// refused is called when another process had the lock. A variable for tests.
var refused = func() {}

// openRead opens the file for reading and makes sure that it is a ledger that can
// be used.
func openRead(path string, o Options) (*Ledger, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	l := &Ledger{path: path, opt: o, read: &readers{f: f}, grown: make(chan struct{}, 1)}
	if err := l.view(l.inspect); err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

// openFile opens a regular file for reading; nothing else is waited for.
func openFile(path string) (*os.File, error) {
	f, err := keyfile.Open(path, keyfile.Ledger)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return f, err
	case errors.Is(err, keyfile.ErrKind):
		return nil, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return nil, onDisk(err)
}

func (l *Ledger) inspect(s *snapshot) error {
	if n := s.Cut(); n > 0 {
		return corrupt("%d bytes are missing at its end: restore a backup", n)
	}
	bad := s.Damaged()
	if l.damaged = len(bad) > 0; l.damaged && !l.opt.Recover && !l.opt.ReadOnly {
		return corrupt("header page %d; the newest entry may be lost: restore a backup, or recover on your own decision", bad[0])
	}
	if !l.opt.ReadOnly {
		// bbolt trusts its list of free pages and would write over live ones.
		if _, err := s.FreePages(); err != nil {
			return corrupt("%w", err)
		}
	}
	if format, found, err := lookupNumber(s, inState, stateFormat); errors.Is(err, boltfile.ErrNoBucket) || err == nil && !found {
		return fmt.Errorf("%w: it belongs to another program", ErrForeign)
	} else if err != nil {
		return err
	} else if format > record.Version && !l.opt.ReadOnly {
		return ErrNewer
	}
	for _, name := range buckets {
		if _, err := s.bucket(name); err != nil {
			return err
		}
	}
	raw, err := entryAt(s, 0)
	if err != nil {
		return err
	}
	if l.first, err = decode(raw); err != nil || l.first.Kind != record.LedgerCreated {
		return corrupt("entry 0 does not create a ledger: %w", err)
	}
	return nil
}

// Path is the file's name.
func (l *Ledger) Path() string { return l.path }

// Origin is the log's own name, which its checkpoints carry.
func (l *Ledger) Origin() string { return l.first.Origin }

// Simulated tells whether the ledger holds what was made on virtual devices.
func (l *Ledger) Simulated() bool { return l.first.Simulated }

// Guest tells whether another process has the ledger open for writing and
// appends for this one.
func (l *Ledger) Guest() bool { return l.guest != nil }

// Close ends all use of the ledger. Entries are on disk before, always.
func (l *Ledger) Close() error {
	var err error
	l.door.close()
	if l.w != nil {
		err = l.w.close()
	}
	return errors.Join(err, l.read.close())
}

// mapSize is how much address space the writer maps: so much that it never has
// to map again, because it could not while its own pins are open. 32-bit
// machines have less to give.
func mapSize(file int64) int {
	const small, large = 1 << 29, 1 << 36
	if bits.UintSize == 32 {
		return small
	}
	return int(min(file+large, 1<<46))
}

// boltOptions are bbolt's for writing; opened tells the file that it opens.
func boltOptions(size int64, opened func(*os.File)) *bbolt.Options {
	return &bbolt.Options{
		Timeout:         100 * time.Millisecond, // for the lock: at once, or never
		FreelistType:    bbolt.FreelistArrayType,
		InitialMmapSize: mapSize(size),
		MaxSize:         mapSize(size) - 1<<26,
		PageSize:        pageSize,
		NoStatistics:    true,
		OpenFile: func(name string, _ int, _ os.FileMode) (*os.File, error) {
			// Not bbolt's flags: it would make a file that is absent.
			f, err := os.OpenFile(name, os.O_RDWR, 0)
			if err == nil {
				opened(f)
			}
			return f, err
		},
	}
}
