package station

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"station/internal/board"
	"station/internal/flow"
	"station/internal/job"
	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
	"station/internal/site/outbox"
)

// SiteFile is the site that the bench belongs to.
type SiteFile struct {
	Pass    string  `toml:"pass"`    // as "station site add" makes it, relative to the station file
	Offline Offline `toml:"offline"` // what is done while the site is away
	// Numbers is how many numbers of a quota the bench asks for at a time; 0 is usualLease.
	Numbers int `toml:"numbers"`
}

// Offline is what a bench does while its site is away; empty is to go on, and to ask
// the site for nothing.
type Offline string

// What a bench can do while its site is away.
const (
	// OfflineStop makes nothing without the site's word that nobody else has a device's names.
	OfflineStop Offline = "stop"
	// OfflineLease makes as many devices as the bench has numbers in hand.
	OfflineLease Offline = "lease"
)

// UnmarshalText reads what is done.
func (o *Offline) UnmarshalText(b []byte) error {
	w, err := job.Word(b, string(OfflineStop), string(OfflineLease))
	*o = Offline(w)
	return err
}

// Site is the bench's way to its site.
type Site struct {
	*outbox.Outbox
	// Faults has E-LEDGER-SITE in it when the site begins to refuse the ledger.
	Faults chan *flow.Failure

	offline Offline // empty: the site is asked for nothing
	numbers *numbers
	heard   site.Heard   // of another address of the site
	where   string       // the file that keeps it
	stuck   string       // why it is not kept, as it was told
	halts   string       // the file that keeps why it refuses
	tell    func(string) // to the engineer

	mu      sync.Mutex
	state   outbox.State
	refused error // since the site refused the ledger until it takes it, also while it is away
	saved   error // of that file

	live live

	stop context.CancelFunc
	done chan struct{}
	end  chan struct{} // closed when all is mirrored, or cannot be now
	word chan struct{} // closed when the site was reached, or could not be
}

// ErrNoSite: the bench belongs to none.
var ErrNoSite = errors.New("the station file has no [site] with a pass")

// OpenSite reads the pass of the bench; book is its ledger. It connects to nobody.
func OpenSite(file *File, book *ledger.Ledger, tell func(string)) (*Site, error) {
	if file.Site.Pass == "" {
		return nil, ErrNoSite
	}
	pass, err := site.ReadPass(file.Site.Pass)
	if err == nil && pass.Bench != file.ID {
		pass.Destroy()
		err = fmt.Errorf("pass of the site %s: it is for %s, and this is %s", file.Site.Pass, pass.Bench, file.ID)
	}
	if err != nil {
		return nil, err
	}
	s := &Site{Outbox: &outbox.Outbox{Pass: pass, Ledger: book}, Faults: make(chan *flow.Failure, 1), where: addressPath(file.Ledger), halts: haltPath(file.Ledger), tell: tell,
		offline: file.Site.Offline, word: make(chan struct{})}
	if err := s.recall(); err != nil {
		pass.Destroy()
		return nil, err
	}
	s.numbers = newNumbers(s, file.Site.Numbers)
	s.Told, s.Notice, s.Moved = s.changed, s.notice, s.moved
	return s, nil
}

func haltPath(ledgerPath string) string { return besideLedger(ledgerPath, ".site-halt.json") }

func addressPath(ledgerPath string) string { return besideLedger(ledgerPath, ".site-address.json") }

func besideLedger(ledgerPath, end string) string {
	return strings.TrimSuffix(ledgerPath, filepath.Ext(ledgerPath)) + end
}

// Refused is why the site refused this ledger at the last contact: E-LEDGER-SITE.
func (s *Site) Refused() error {
	data, err := keyfile.Read(s.halts, keyfile.SideFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	halt := new(site.Halt)
	if err == nil {
		err = json.Unmarshal(data, halt)
	}
	if err == nil {
		err = halt
	}
	return s.failure(err)
}

// failure is E-LEDGER-SITE with what to do.
func (s *Site) failure(err error) error {
	return flow.Fail("E-LEDGER-SITE", fmt.Errorf("%w; both proofs are in %s; when it is explained, \"station site release %s\" at the site and \"station site push\" here let the bench go on", err, s.halts, s.Pass.Bench))
}

// changed hears of every change: what a person has to know is told once.
func (s *Site) changed(now outbox.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil && s.settled(now) {
		close(s.end)
		s.end = nil
	}
	if now.State == s.state {
		return
	}
	if s.state == "" {
		close(s.word)
	}
	s.state = now.State
	switch now.State {
	case outbox.Up:
		s.refused = nil
		if s.saved = os.Remove(s.halts); errors.Is(s.saved, fs.ErrNotExist) {
			s.saved = nil
		}
		s.tell(fmt.Sprintf("site %s: connected", s.Pass.Site))
	case outbox.Halted:
		data, err := ledger.Indented(now.Halt())
		if err == nil {
			err = keyfile.Replace(s.halts, 0o640, data)
		}
		s.saved, s.refused = err, s.failure(now.Err)
		select {
		case s.Faults <- flow.FailureFrom(s.refused):
		default:
		}
	case outbox.Away:
		goesOn := "the line goes on; its entries are sent later"
		switch s.offline {
		case OfflineStop:
			goesOn = "no device is begun"
		case OfflineLease:
			goesOn = fmt.Sprintf("the line goes on with the numbers that it has (%d)", s.numbers.left())
		}
		s.tell(fmt.Sprintf("site %s: away, and %s: %v", s.Pass.Site, goesOn, now.Err))
	}
}

// settled tells whether there is nothing to wait for. The caller holds mu.
func (s *Site) settled(now outbox.Status) bool {
	if now.State != outbox.Up {
		return true
	}
	size, _, err := s.Ledger.Head()
	signed, noneErr := s.Ledger.LastCheckpoint()
	return err != nil || now.Mirrored >= size && (noneErr != nil || ledger.SignedBy(signed, s.Pass.Witness))
}

// Start begins to fill the mirror, beside whatever else goes on.
func (s *Site) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop, s.done = cancel, make(chan struct{})
	go s.tellLive(ctx)
	go func() {
		defer close(s.done)
		s.Run(ctx)
	}()
}

// lastEntries is how long the end of a line waits until the site has its last entries.
const lastEntries = 2 * time.Second

// Close ends the mirroring. A site that is there gets the last entries before.
func (s *Site) Close() error {
	if s.stop != nil {
		s.finish()
		s.sayLive(true)
		s.stop()
		<-s.done
	}
	s.Pass.Destroy()
	return nil
}

func (s *Site) finish() {
	s.mu.Lock()
	end := make(chan struct{})
	if now := s.Status(); now.State != "" && s.settled(now) {
		close(end)
	} else {
		s.end = end
	}
	s.mu.Unlock()
	select {
	case <-end:
	case <-time.After(lastEntries):
	}
}

// asks tells whether the site is asked for the names and numbers of each device.
func (s *Site) asks() bool { return s != nil && s.offline != "" }

// Healthy is E-LEDGER-SITE while the site refuses the ledger.
func (s *Site) Healthy() error {
	if s == nil {
		return nil
	}
	now := s.Status()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused != nil {
		return s.refused
	}
	switch err := cmp.Or(now.Err, outbox.ErrAway); {
	case now.State == outbox.Up:
	case s.offline == OfflineStop:
		return away(err)
	case s.offline == OfflineLease && s.numbers.left() == 0:
		return away(fmt.Errorf("%w, and %w", record.ErrNumbers, err))
	}
	return s.saved
}

func away(err error) error { return flow.Fail("E-SITE", err) }

// claims is a ledger in which a device gets no names that another device of the site has.
type claims struct {
	flow.Ledger
	site *Site
}

// claimTime is how long the site may take to say whose a name is.
const claimTime = 10 * time.Second

// Append implements flow.Ledger. The site's word comes first.
func (c claims) Append(e record.Entry) (record.Entry, error) {
	if e.Kind == record.Moved {
		if err := c.move(e); err != nil {
			return e, err
		}
		return c.Ledger.Append(e)
	}
	names, err := site.NamesOf(e)
	if err == nil && len(names.List) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), claimTime) // a device that was begun comes to a verdict
		err = c.site.Claim(ctx, names)
		cancel()
	}
	taken := new(site.Taken)
	switch {
	case errors.As(err, &taken):
		return e, flow.Fail("E-CLAIMED", fmt.Errorf("%s: %w", e.Kind, err))
	case errors.Is(err, outbox.ErrAway) && c.site.offline == OfflineLease: // claimed when the site reads the entry
	case err != nil:
		return e, away(fmt.Errorf("%s: %w", e.Kind, err))
	}
	return c.Ledger.Append(e)
}

// Health is how far the mirror is, in a few words.
func (s *Site) Health() board.Part {
	if s == nil {
		return board.Part{}
	}
	now := s.Status()
	s.mu.Lock()
	refused := s.refused != nil
	s.mu.Unlock()
	size, _, _ := s.Ledger.Head()
	wait := size - min(size, now.Mirrored)
	switch {
	case refused:
		return board.Part{Words: "refuses"}
	case now.State != outbox.Up && s.offline == OfflineLease:
		return board.Part{Words: fmt.Sprintf("away; numbers left: %d", s.numbers.left())}
	case now.State != outbox.Up && now.Mirrored == 0: // it has not been heard of since the start
		return board.Part{Words: "away"}
	case now.State != outbox.Up:
		return board.Part{Words: fmt.Sprintf("away, %d wait", wait)}
	case wait > 0:
		return board.Part{OK: true, Words: fmt.Sprintf("%d to send", wait)}
	}
	return board.Part{OK: true, Words: "ok"}
}

// PushSite fills the mirror once from a ledger, also beside its line. What the site signed and
// what it tells of devices is written where change opens the ledger, and told.
func PushSite(ctx context.Context, file *File, book *ledger.Ledger, change func(func(*ledger.Ledger) error) error, tell func(string)) (outbox.Status, error) {
	s, err := OpenSite(file, book, func(string) {})
	if err != nil {
		return outbox.Status{}, err
	}
	defer s.Close()
	s.Keep = func(signed []byte) error {
		return change(func(b *ledger.Ledger) error { return b.KeepCosigned(signed) })
	}
	s.Notice = func(n site.Notice) error {
		if e, err := unheard(book, n); err != nil || e == nil { // and most are not
			return err
		}
		return change(func(b *ledger.Ledger) error { return s.noticeIn(b, n, tell) })
	}
	now, err := s.Push(ctx)
	if now.Halt() != nil {
		err = s.failure(err)
	}
	return now, errors.Join(err, s.saved)
}
