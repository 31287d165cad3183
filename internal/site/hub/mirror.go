package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"station/internal/record"
	"station/internal/site"
	"station/internal/site/replica"
)

// known is what the site knows of a bench's ledger besides its entries.
type known struct {
	tree
	Origin    string     `json:"origin,omitempty"`
	Signers   [][]byte   `json:"signers,omitempty"` // keys that the log names, SubjectPublicKeyInfo
	Signed    []byte     `json:"signed,omitempty"`  // the newest checkpoint that both signed
	Halt      *site.Halt `json:"halt,omitempty"`
	Met       uint64     `json:"met,omitempty"`       // entries of the ledger when it came first
	Unleased  bool       `json:"unleased,omitempty"`  // it had come without numbers: what it has, this site has given it
	Settled   uint64     `json:"settled,omitempty"`   // entries of which the names are claimed
	Conflicts []Conflict `json:"conflicts,omitempty"` // that were found then
	Releases  []Release  `json:"releases,omitempty"`
	Last      time.Time  `json:"last,omitzero"`  // the time of the newest entry
	Knows     time.Time  `json:"knows,omitzero"` // since when the site is where the bench looks for it
}

// mirror is a bench's stream, and what was read of it.
type mirror struct {
	hub    *Hub
	bench  string
	stream jetstream.Stream
	turn   sync.Mutex // of its questions

	mu    sync.Mutex
	known known
	saved uint64        // entries, in what is stored of known
	grown chan struct{} // closed when known changes, or the replica
	stuck string        // why nothing of it was stored when it came last; "" is no reason

	replica     *replica.Replica // nil until it is held against the stream
	replicaSize uint64           // entries that it has
	kept        uint64           // entries under the checkpoint that it has

	reading context.Context // for as long as the stream goes on where it was
	stop    context.CancelFunc
}

// entriesStream is how the entries of a bench are kept.
func entriesStream(bench string, copies int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: site.StreamOf(bench), Subjects: []string{site.EntriesOf(bench)}, Storage: jetstream.FileStorage, Replicas: copies,
		MaxMsgs: -1, MaxBytes: -1, DenyDelete: true, DenyPurge: true, AllowAtomicPublish: true,
	}
}

// open finds or makes the stream, and reads what is known.
func (m *mirror) open(ctx context.Context) (err error) {
	want := entriesStream(m.bench, m.hub.copies)
	if m.stream, err = m.hub.js.CreateOrUpdateStream(ctx, want); err == nil {
		err = fits(m.stream.CachedInfo().Config, want)
	}
	if err != nil {
		return err
	}
	value, err := m.hub.known.Get(ctx, m.bench)
	if err == nil {
		err = json.Unmarshal(value.Value(), &m.known)
	}
	if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		return err
	}
	info, err := m.stream.Info(ctx)
	if err == nil && info.State.LastSeq < m.known.Size {
		m.forget()
	}
	m.saved = m.known.Size
	return err
}

// forget forgets what was read: the stream lost its end, and the bench fills it again.
// The caller holds mu, or is alone.
func (m *mirror) forget() {
	m.known = known{Signed: m.known.Signed, Halt: m.known.Halt, Releases: m.known.Releases, Conflicts: m.known.Conflicts, Knows: m.known.Knows}
	m.saved = 0
}

// whole makes sure that the stream still has what had been read of it.
func (m *mirror) whole(read, stored uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if stored < read && read <= m.known.Size {
		m.hub.Tell(fmt.Sprintf("mirror of %s: the servers have lost the end of it: %d entries of %d are there; it is read anew", m.bench, stored, read))
		m.forget()
		m.restart()
	}
}

// goesOn ends when the stream does not go on where it was.
func (m *mirror) goesOn() context.Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reading
}

// restart lets all who read the stream begin behind what is known. The caller holds mu.
func (m *mirror) restart() {
	m.stop()
	m.reading, m.stop = context.WithCancel(m.hub.ctx)
}

// saveEvery is after how many entries what is known is stored: a start has to read no
// more than these.
const saveEvery = 10_000

// heartbeat is how often the server says that there is nothing new: of one that is gone,
// two are missed, and another is asked.
const heartbeat = 2 * time.Second

// follow reads the stream for as long as the site runs, behind so many messages as
// have been read.
func (m *mirror) follow(have func() uint64, take func(n uint64, raw []byte, more bool) error) {
	for m.hub.ctx.Err() == nil {
		ctx := m.goesOn()
		err := m.read(ctx, have()+1, take)
		if ctx.Err() != nil {
			continue
		}
		m.hub.Tell(fmt.Sprintf("mirror of %s: %v", m.bench, err))
		select {
		case <-m.hub.ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// read reads from a message on; more tells that there are others behind it already.
func (m *mirror) read(ctx context.Context, from uint64, take func(n uint64, raw []byte, more bool) error) error {
	consumer, err := m.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(4096), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		about, err := msg.Metadata()
		if err != nil {
			return err
		}
		if err := take(about.Sequence.Stream, msg.Data(), about.NumPending > 0); err != nil {
			return err
		}
	}
}

// take reads one entry. A ledger in which it cannot stand is refused.
func (m *mirror) take(n uint64, raw []byte, _ bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n != m.known.Size+1 {
		return fmt.Errorf("message %d came behind %d entries", n, m.known.Size)
	}
	fault := m.known.take(raw)
	if fault != nil && m.known.Halt == nil {
		return m.halt(site.Meeting{Origin: m.known.Origin}, fmt.Sprintf("its entry %d: %v", n-1, fault))
	}
	m.wake()
	if m.known.Size-m.saved >= saveEvery {
		return m.save()
	}
	return nil
}

// take adds an entry to the tree, and learns from it.
func (k *known) take(raw []byte) error {
	n := k.Size
	k.add(raw)
	e, err := record.Decode(raw)
	switch {
	case err != nil:
		return err
	case e.Index != n:
		return fmt.Errorf("it calls itself entry %d", e.Index)
	case (e.Kind == record.LedgerCreated) != (n == 0):
		return errors.New("only the first entry creates a ledger")
	case n == 0:
		k.Origin = e.Origin
	case e.Kind == record.LedgerKey:
		k.Signers = append(k.Signers, slices.Clone(e.Public))
	}
	k.Last = e.Time
	return nil
}

// save stores what is known. The caller holds mu.
func (m *mirror) save() error {
	if err := m.hub.sure(); err != nil { // in place of what another process knows
		return err
	}
	data, err := json.Marshal(m.known)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.hub.ctx), answerTime)
	defer cancel()
	if _, err := m.hub.known.Put(ctx, m.bench, data); err != nil {
		return fmt.Errorf("store what is known of %s: %w", m.bench, err)
	}
	m.saved = m.known.Size
	return nil
}

// state is what is known now.
func (m *mirror) state() known {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.known
	k.Peaks = slices.Clone(k.Peaks)
	return k
}

// lookTime is how long a bench waits for the conflicts in what it has just sent. Those that
// are found later it hears at its next contact.
const lookTime = 10 * time.Second

// looked waits until the names of all that is stored were claimed, but no longer than that.
func (m *mirror) looked(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	if info, err := m.stream.Info(ctx); err == nil {
		_ = m.until(ctx, func() bool { return m.known.Settled >= info.State.LastSeq })
	}
}

// reach waits until all that is stored was read.
func (m *mirror) reach(ctx context.Context) (known, error) {
	read := m.state().Size
	info, err := m.stream.Info(ctx)
	if err != nil {
		return known{}, err
	}
	m.whole(read, info.State.LastSeq)
	var k known
	err = m.until(ctx, func() bool {
		k = m.known
		k.Peaks = slices.Clone(k.Peaks)
		return k.Halt != nil || k.Size >= info.State.LastSeq
	})
	switch {
	case k.Halt != nil:
		return k, k.Halt
	case err != nil:
		return k, fmt.Errorf("the site has read %d of %d entries: %w", k.Size, info.State.LastSeq, err)
	}
	return k, nil
}
