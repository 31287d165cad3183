package outbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"station/internal/ledger"
	"station/internal/site"
)

// session is one connection at work.
type session struct {
	*Outbox
	conn     *nats.Conn
	mirrored uint64 // entries that the site has
	heard    uint64 // place of the newest notice
	cosigned uint64 // size of the last checkpoint that it signed
}

// answerTime is how long the site may take to answer.
const answerTime = time.Minute

// commitTime is how long the site may take to store a batch. What it stored and did not
// say so is known at the next contact. A variable for tests.
var commitTime = 15 * time.Second

// whyTime is how long the site may take to say why it stored nothing.
const whyTime = 15 * time.Second

// ask asks the site something.
func (s *session) ask(ctx context.Context, question string, v any) (a site.Answer, err error) {
	data, err := json.Marshal(v)
	if err != nil {
		return a, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	msg, err := s.conn.RequestWithContext(ctx, site.AskOf(s.Pass.Bench, question), data)
	if err == nil {
		a, err = site.Parse[site.Answer](msg.Data)
	}
	if a.Address != nil {
		s.moved(a.Address) // also where the site refuses
	}
	switch {
	case err != nil:
	case a.Halt != nil:
		err = a.Halt
	case a.Error != "":
		err = errors.New(a.Error)
	}
	if err != nil {
		return a, fmt.Errorf("site: %s: %w", question, err)
	}
	return a, nil
}

// meet finds out what the site has, and proves that the ledger begins with it.
func (s *session) meet(ctx context.Context) error {
	size, root, err := s.Ledger.Head()
	if err != nil {
		return err
	}
	m := site.Meeting{Origin: s.Ledger.Origin(), Size: size, Root: root}
	if m.Signed, err = s.Ledger.LastCheckpoint(); err != nil && !errors.Is(err, ledger.ErrNoCheckpoint) {
		return err
	}
	a, err := s.ask(ctx, site.Meet, site.Arrival{Meeting: m, Knows: s.knows()})
	if err != nil {
		return err
	}
	next := site.Continuation{Meeting: m, Knows: s.knows(), Mirrored: a.Size, Unleased: s.unleased()}
	if a.Size > 0 {
		if next.Path, err = s.Ledger.Extends(a.Size, size); err != nil {
			return err
		}
	}
	if _, err := s.ask(ctx, site.Go, next); err != nil {
		return err
	}
	s.mirrored = a.Size
	return nil
}

// unleased tells whether no site has given the ledger numbers. One whose sums cannot be read may have some.
func (s *session) unleased() bool {
	for lot, err := range s.Ledger.Lots() {
		if err != nil || lot.Leases > 0 {
			return false
		}
	}
	return true
}

func (s *session) knows() site.Knows { return site.Knows{Since: s.Pass.Since} }

func (s *session) moved(note []byte) {
	if s.Moved != nil {
		s.Moved(s.conn.ConnectedUrl(), note)
	}
}

// Bounds of what is sent at once, stored whole and synced once.
const (
	batchEntries = 1000 // the most that the server takes
	batchBytes   = 8 << 20
)

// push sends all entries that the site has not got.
func (s *session) push(ctx context.Context) error {
	for {
		size, _, err := s.Ledger.Head()
		if err != nil || size <= s.mirrored {
			return err
		}
		if err := s.pushFrom(ctx, s.mirrored); err != nil {
			return err
		}
	}
}

// why is why the site did not store what was sent: it knows better than NATS, or who waited in
// vain.
func (s *session) why(ctx context.Context, err error) error {
	if ctx.Err() != nil || !s.conn.IsConnected() {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, whyTime)
	defer cancel()
	if said := s.meet(ctx); said != nil && !errors.Is(said, context.DeadlineExceeded) {
		return said
	}
	return err
}

func (s *session) pushFrom(ctx context.Context, from uint64) error {
	var batch [][]byte
	bytes := 0
	for raw, err := range s.Ledger.Lines(from) {
		if err != nil {
			return err
		}
		if len(batch) == batchEntries || bytes+len(raw) > batchBytes && len(batch) > 0 {
			if err := s.send(ctx, batch); err != nil {
				return err
			}
			batch, bytes = nil, 0
		}
		batch, bytes = append(batch, raw), bytes+len(raw)
	}
	if len(batch) == 0 {
		return nil
	}
	return s.send(ctx, batch)
}

// send stores entries at the end of the mirror: all of them, there and nowhere else,
// or none.
func (s *session) send(ctx context.Context, batch [][]byte) error {
	id := rand.Text()
	for i, raw := range batch {
		msg := &nats.Msg{Subject: site.EntriesOf(s.Pass.Bench), Header: nats.Header{}, Data: raw}
		if i == 0 {
			msg.Header.Set(site.HeaderExpected, strconv.FormatUint(s.mirrored, 10))
		}
		if len(batch) > 1 {
			msg.Header.Set(site.HeaderBatch, id)
			msg.Header.Set(site.HeaderPlace, strconv.Itoa(i+1))
		}
		if i < len(batch)-1 {
			if err := s.conn.PublishMsg(msg); err != nil {
				return fmt.Errorf("site: send: %w", err)
			}
			continue
		}
		if i > 0 {
			msg.Header.Set(site.HeaderCommit, "1")
		}
		if err := s.commit(ctx, msg, s.mirrored+uint64(len(batch))); err != nil {
			return fmt.Errorf("site: send: %w", err)
		}
	}
	s.mirrored += uint64(len(batch))
	s.set(func(st *Status) { st.Mirrored = s.mirrored })
	return nil
}

// commit sends the last message of a batch, and makes sure where it was stored.
func (s *session) commit(ctx context.Context, msg *nats.Msg, want uint64) error {
	ctx, cancel := context.WithTimeout(ctx, commitTime)
	defer cancel()
	reply, err := s.conn.RequestMsgWithContext(ctx, msg)
	if err != nil {
		return err
	}
	var ack struct {
		Sequence uint64 `json:"seq"`
		Error    *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil {
		return err
	}
	if ack.Error != nil {
		return errors.New(ack.Error.Description)
	}
	if ack.Sequence != want {
		return fmt.Errorf("stored as message %d, not %d", ack.Sequence, want)
	}
	return nil
}

// cosign lets the site sign the newest checkpoint too, once it has all that is under it.
func (s *session) cosign(ctx context.Context) error {
	signed, err := s.Ledger.LastCheckpoint()
	if errors.Is(err, ledger.ErrNoCheckpoint) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := ledger.ReadCheckpoint(signed)
	if err != nil || c.Size > s.mirrored || ledger.SignedBy(signed, s.Pass.Witness) || c.Size == s.cosigned {
		return err
	}
	path, err := s.Ledger.Extends(c.Size, s.mirrored)
	if err != nil {
		return err
	}
	a, err := s.ask(ctx, site.Witness, site.Testimony{Signed: signed, Mirrored: s.mirrored, Path: path})
	if err != nil {
		return err
	}
	if !ledger.SignedBy(a.Signed, s.Pass.Witness) {
		return errors.New("site: witness: it signed with another key than that of the pass")
	}
	keep := s.Keep
	if keep == nil {
		keep = s.Ledger.KeepCosigned
	}
	if err := keep(a.Signed); err != nil {
		return err
	}
	s.cosigned = c.Size
	s.set(func(st *Status) { st.Signed = c.Size })
	return nil
}
