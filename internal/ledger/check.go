package ledger

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"iter"
	"runtime"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/ledger/boltfile"
	"station/internal/record"
)

// Fault is one thing that is wrong with a ledger.
type Fault struct {
	Entry int64 // index of the entry that it is about; -1 for none
	Text  string
}

func (f Fault) Error() string {
	if f.Entry < 0 {
		return f.Text
	}
	return fmt.Sprintf("entry %d: %s", f.Entry, f.Text)
}

// Audit says what to hold a ledger against, and takes what was found. The zero
// value checks a ledger against itself.
type Audit struct {
	// Trusted are the keys that the checkpoints must be signed by. Without any,
	// the keys count that the log itself names.
	Trusted []*ecdsa.PublicKey
	// Kept are signed checkpoints that were kept elsewhere: printed, mailed, in
	// an export. Only they can show that a whole log was replaced or cut back.
	Kept [][]byte
	// Site, if not nil, is a witness's key: some checkpoint has to have its
	// signature too.
	Site *ecdsa.PublicKey
	// Indexes checks only whether what the indexes say is what the log says: not
	// the pages of the file, the form of the entries or the checkpoints. It takes
	// half of the time.
	Indexes bool
	// Log checks the log alone, as if its indexes were of another version: whether
	// they could be made anew from it.
	Log bool
	// Each, if not nil, sees every entry that can be read, in order. It keeps no
	// pointer to it.
	Each func(*record.Entry)
	// Progress, if not nil, is told now and then how many entries were read.
	Progress func(done, total uint64)
	// Pages is the same for the pages of the file, which are read before.
	Pages func(done, total uint64)

	// Set when the check has ended:

	Size        uint64 // entries
	Root        tlog.Hash
	Devices     int
	Checkpoints int
	Copy        bool   // it is a copy, which has those checkpoints alone that it was given
	Cosigned    uint64 // entries under the newest checkpoint, here or kept, that Site signed
	Newer       uint64 // entries of a newer version: hashes checked, meaning not
	// Stale: the projections are of another version, were not made to the end, or
	// were not asked for (Log). That is no fault: the log alone counts, and opening the ledger for writing
	// makes them anew.
	Stale bool
}

// Check rereads all of the ledger, beside a running station too, and yields
// every fault: pages, bytes and order of the entries, their hashes and the
// tree's, the devices' chains, the promises about keys, times, every
// projection against the log, checkpoints and their signatures. a may be nil.
func (l *Ledger) Check(a *Audit) iter.Seq[Fault] {
	return func(yield func(Fault) bool) {
		newAuditor(l.read, a, yield).run()
	}
}

// Check is Ledger.Check for a file that may be too damaged to be opened.
func Check(path string, a *Audit) iter.Seq[Fault] {
	return func(yield func(Fault) bool) {
		f, err := openFile(path)
		if err != nil {
			yield(Fault{-1, err.Error()})
			return
		}
		defer f.Close()
		newAuditor(&readers{f: f}, a, yield).run()
	}
}

// auditor is one check at work. It reads the log in pieces, each from the
// newest snapshot, so that it never asks a writer to keep old pages for long;
// since nothing in a log changes, the pieces fit together.
type auditor struct {
	*Audit
	r    *readers
	emit func(Fault) bool
	done bool // the consumer has seen enough

	unknown uint64 // version of the projections, where it is newer than this program's

	log logFold
	idx indexFold
}

func newAuditor(r *readers, a *Audit, yield func(Fault) bool) *auditor {
	if a == nil {
		a = new(Audit)
	}
	a.Size, a.Root, a.Devices, a.Checkpoints, a.Cosigned, a.Newer, a.Stale = 0, tlog.Hash{}, 0, 0, 0, 0, false
	u := &auditor{Audit: a, r: r, emit: yield}
	u.idx.init()
	return u
}

func (u *auditor) fault(entry int64, format string, args ...any) {
	if !u.done {
		u.done = !u.emit(Fault{entry, fmt.Sprintf(format, args...)})
	}
}

func (u *auditor) run() {
	if err := u.r.enter(); err != nil {
		u.fault(-1, "%v", err)
		return
	}
	defer u.r.leave()
	if !u.Indexes {
		if err := u.view(u.pages); err != nil {
			u.fault(-1, "%v", inFile(err))
			return
		}
	}
	if err := u.view(u.stale); err != nil {
		u.fault(-1, "state: %v", inFile(err))
		u.Stale = true // nothing can be said about the projections
	}
	total, err := u.extent()
	if err != nil {
		u.fault(-1, "%v", inFile(err))
		return
	}
	for c := range u.chunks(total) {
		u.fold(c)
		if u.done {
			return
		}
	}
	// What was written meanwhile, and then everything that is about the whole.
	for end := false; !end && !u.done; {
		var c *chunk
		err := u.view(func(s *snapshot) (err error) {
			c, end, err = u.rest(s)
			return err
		})
		if err != nil {
			u.fault(-1, "%v", inFile(err))
			return
		}
		u.fold(c)
		if end {
			u.conclude(c)
		}
	}
}

// view is Ledger.view for a file that may be damaged. fn may run again and must
// not report.
func (u *auditor) view(fn func(*snapshot) error) error { return u.r.view(fn) }

// pages checks the structure of the file. It reports at the end only, because
// a snapshot that was not kept looks damaged.
func (u *auditor) pages(s *snapshot) error {
	var list []string
	for err := range s.Snapshot.Check(u.Pages) {
		if list = append(list, err.Error()); len(list) > 1000 {
			break
		}
	}
	if !u.r.kept(s) {
		return nil
	}
	for _, text := range list {
		u.fault(-1, "file: %s", text)
	}
	return nil
}

// stale looks whether the projections are to be held against the log.
func (u *auditor) stale(s *snapshot) error {
	version, _, err := lookupNumber(s, inState, stateProjection)
	if err != nil {
		return err
	}
	_, busy, err := lookupNumber(s, inState, stateProjected)
	u.Stale = u.Log || busy || version != projection
	if err == nil && version > projection && !u.Log {
		u.unknown = version
	}
	return err
}

// extent is the number of entries, as far as it can be told.
func (u *auditor) extent() (n uint64, err error) {
	err = u.view(func(s *snapshot) (err error) {
		n, err = s.size()
		var page *boltfile.PageError
		if !errors.As(err, &page) && !errors.Is(err, ErrCorrupt) {
			return err
		}
		n = 0
		for it, err := range s.items(inEntries, "") {
			if err == nil && len(it.Key) == 8 {
				n = fromNumber(it.Key) + 1
			}
		}
		return nil
	})
	return n, err
}

const chunkSize = 256

// chunks yields the entries [0, total) in order, read ahead on all processors.
func (u *auditor) chunks(total uint64) func(func(*chunk) bool) {
	return func(yield func(*chunk) bool) {
		queue := make(chan chan *chunk, runtime.GOMAXPROCS(0))
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			defer close(queue)
			for n := uint64(0); n < total; n += chunkSize {
				out := make(chan *chunk, 1)
				select {
				case queue <- out:
				case <-stop:
					return
				}
				go func() { out <- u.load(n, min(n+chunkSize, total)) }()
			}
		}()
		for out := range queue {
			c := <-out
			to := c.to
			if !yield(c) {
				return
			}
			c.free()
			if u.Progress != nil {
				u.Progress(to, total)
			}
		}
	}
}
