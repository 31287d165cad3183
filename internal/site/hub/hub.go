package hub

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"station/internal/site"
	"station/internal/site/replica"
)

// Hub answers benches and keeps what is known of each.
type Hub struct {
	Name string        // of the site
	Key  crypto.Signer // its witness's
	Tell func(string)

	holders holders
	conn    *nats.Conn   // by which benches and the admin ask
	store   *nats.Conn   // by which JetStream is reached
	reload  func() error // lets in and puts out
	copies  int          // of each stream

	replicas *replica.Set // the readable ledgers

	js     jetstream.JetStream
	known  jetstream.KeyValue // of each bench
	claims jetstream.KeyValue // who has which name
	quotas jetstream.KeyValue // who has which numbers of a lot
	// conflicts has what every bench is told of a device.
	conflicts jetstream.KeyValue
	tenant    *tenant       // of the cluster; nil where the copies are in the folder
	replaced  chan struct{} // closed when another process runs the site
	ctx       context.Context
	stop      context.CancelFunc
	busy      sync.WaitGroup
	gate      sync.Mutex // held while something begins, or all ends

	live   live
	stands *stands
	stuck  func() (at func(bench string) string) // as of Server

	mu      sync.Mutex
	mirrors map[string]*mirror
}

const (
	answerTime   = 30 * time.Second // for one question
	claimTime    = 5 * time.Second  // for a name, for which a device waits
	openTime     = 5 * time.Second  // for a bench's stream
	knownBucket  = "KNOWN"
	claimBucket  = "CLAIMS"
	quotaBucket  = "QUOTAS"
	noticeBucket = "CONFLICTS"
	adminTopic   = "site.admin." // and what the admin wants
)

func (h *Hub) start(ctx context.Context) (err error) {
	h.ctx, h.stop = context.WithCancel(context.WithoutCancel(ctx))
	h.mirrors, h.replaced = map[string]*mirror{}, make(chan struct{})
	if h.js, err = jetstream.New(h.store); err != nil {
		return err
	}
	if h.copies > 1 {
		if err = h.enter(ctx); err != nil {
			return err
		}
	}
	for name, bucket := range map[string]*jetstream.KeyValue{knownBucket: &h.known, claimBucket: &h.claims, quotaBucket: &h.quotas, noticeBucket: &h.conflicts} {
		if *bucket, err = h.bucket(ctx, name); err != nil {
			return err
		}
	}
	streams := h.js.StreamNames(ctx)
	for name := range streams.Name() {
		if bench, is := strings.CutPrefix(name, site.StreamOf("")); is {
			if _, err := h.mirror(ctx, bench); err != nil {
				return err
			}
		}
	}
	if err := streams.Err(); err != nil {
		return err
	}
	if _, err = h.conn.Subscribe(site.AskOf("*", "*"), h.each(h.asked)); err != nil {
		return err
	}
	if _, err = h.conn.Subscribe(site.LiveOf("*"), h.live.take); err != nil {
		return err
	}
	if _, err = h.conn.Subscribe(adminTopic+">", h.each(h.obey)); err != nil {
		return err
	}
	return h.conn.Flush()
}

func (h *Hub) close() {
	h.gate.Lock()
	h.stop()
	h.gate.Unlock()
	h.busy.Wait()
	h.replicas.Close()
	if h.sure() != nil { // what is known is somebody else's
		return
	}
	if h.tenant != nil {
		defer h.leave()
	}
	for _, m := range h.mirrors { // a start has to read nothing then
		m.mu.Lock()
		if err := m.save(); err != nil {
			h.Tell(err.Error())
		}
		m.mu.Unlock()
	}
}

func (h *Hub) leave() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), openTime)
	defer cancel()
	if err := h.tenant.leave(ctx); err != nil {
		h.Tell(err.Error())
	}
}

// each answers every message on its own, so that none waits for another.
func (h *Hub) each(answer func(context.Context, *nats.Msg) any) nats.MsgHandler {
	return func(m *nats.Msg) {
		if !asksItself(m.Reply, asker(m.Subject)) {
			return
		}
		h.gate.Lock()
		defer h.gate.Unlock()
		if h.ctx.Err() != nil {
			return
		}
		h.busy.Go(func() {
			ctx, cancel := context.WithTimeout(h.ctx, answerTime)
			defer cancel()
			data, err := json.Marshal(h.surely(func() any { return answer(ctx, m) }))
			if err == nil {
				err = m.Respond(data)
			}
			if err != nil && h.ctx.Err() == nil {
				h.Tell(fmt.Sprintf("answer to %s: %v", m.Subject, err))
			}
		})
	}
}

// surely answers where no other process runs the site, which may have answered otherwise.
func (h *Hub) surely(answer func() any) (said any) {
	err := h.sure()
	if err == nil {
		said = answer()
		err = h.sure()
	}
	if err != nil {
		return struct {
			Error string `json:"error"`
		}{err.Error()}
	}
	return said
}

// asker is who asks.
func asker(subject string) string {
	if strings.HasPrefix(subject, adminTopic) {
		return adminName
	}
	return strings.Split(subject, ".")[2]
}

// ofNames are the questions that are no matter of the bench's own mirror.
var ofNames = map[string]bool{site.Claim: true, site.Lease: true, site.Notices: true, site.Seek: true, site.Move: true}

// asked is a question of a bench.
func (h *Hub) asked(ctx context.Context, msg *nats.Msg) any {
	words := strings.Split(msg.Subject, ".")
	bench, question := words[2], words[3]
	m, err := h.mirror(ctx, bench)
	if err != nil {
		return site.Answer{Error: err.Error()}
	}
	if !ofNames[question] {
		m.turn.Lock()
		defer m.turn.Unlock()
	}
	a := m.answer(ctx, question, msg)
	a.Address = m.addressFor(question, msg.Data)
	return a
}

// answer is the answer to a question, also where it is why there is none.
func (m *mirror) answer(ctx context.Context, question string, msg *nats.Msg) (a site.Answer) {
	var err error
	switch question {
	case site.Meet:
		if err = m.isStuck(); err == nil {
			a, err = answered(ctx, msg.Data, m.meet)
		}
	case site.Go:
		a, err = answered(ctx, msg.Data, m.goOn)
	case site.Witness:
		a, err = answered(ctx, msg.Data, m.witness)
	case site.Claim:
		ctx, cancel := context.WithTimeout(ctx, claimTime)
		defer cancel()
		a, err = answered(ctx, msg.Data, m.claimed)
	case site.Move:
		ctx, cancel := context.WithTimeout(ctx, claimTime)
		defer cancel()
		a, err = answered(ctx, msg.Data, m.moving)
	case site.Seek:
		a, err = answered(ctx, msg.Data, m.sought)
	case site.Notices:
		a, err = answered(ctx, msg.Data, m.notices)
	case site.Lease:
		a, err = answered(ctx, msg.Data, m.leased)
	default:
		err = fmt.Errorf("the site has no answer to %q: is it older than the bench?", question)
	}
	if halt := new(site.Halt); errors.As(err, &halt) {
		return site.Answer{Halt: halt}
	}
	if err != nil {
		return site.Answer{Error: err.Error()}
	}
	return a
}

func answered[T any](ctx context.Context, data []byte, answer func(context.Context, T) (site.Answer, error)) (site.Answer, error) {
	question, err := site.Parse[T](data)
	if err != nil {
		return site.Answer{}, err
	}
	return answer(ctx, question)
}

// mirror is what is known of a bench; the first time its stream is made.
func (h *Hub) mirror(ctx context.Context, bench string) (*mirror, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.mirrors[bench]; m != nil {
		return m, nil
	}
	m := &mirror{hub: h, bench: bench, grown: make(chan struct{})}
	m.reading, m.stop = context.WithCancel(h.ctx)
	ctx, cancel := context.WithTimeout(ctx, openTime) // others wait for mu
	defer cancel()
	if err := m.open(ctx); err != nil {
		return nil, fmt.Errorf("mirror of %s: %w", bench, err)
	}
	h.mirrors[bench] = m
	h.busy.Go(func() { m.follow(func() uint64 { return m.state().Size }, m.take) })
	h.busy.Go(func() { m.follow(func() uint64 { return m.state().Settled }, m.settle) })
	h.busy.Go(m.replicate)
	return m, nil
}
