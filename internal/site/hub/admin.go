package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"station/internal/chip"
	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/site"
)

// What the admin, a command on the site's own machine, wants of the running site.
const (
	topicReload  = "reload"
	topicList    = "list"
	topicRelease = "release"
	topicVerify  = "verify"
	topicSettle  = "settle"
	topicFree    = "free"
	topicCatchUp = "catch-up"

	topicUnsettled = "unsettled"
)

// Status is what the site has of a bench.
type Status struct {
	Bench  string     `json:"bench"`
	Origin string     `json:"origin,omitempty"` // of its ledger
	Size   uint64     `json:"entries"`
	Root   string     `json:"root,omitempty"`
	Last   time.Time  `json:"last,omitzero"` // entry's time
	Signed uint64     `json:"signed"`        // entries under the newest checkpoint that both signed
	Note   []byte     `json:"checkpoint,omitempty"`
	Halt   *site.Halt `json:"halt,omitempty"`
	// Stuck is why the site stores nothing of the bench; empty while it does.
	Stuck string `json:"stuck,omitempty"`
	// Settled is of how many entries the names are claimed.
	Settled uint64 `json:"settled,omitempty"`
	// Conflicts are names of this bench's devices that somebody else had.
	Conflicts []Conflict `json:"conflicts,omitempty"`
	// Releases are the halts that a person has explained, the oldest first.
	Releases []Release `json:"releases,omitempty"`
	// Knows is since when the site is where the bench looks for it, as the bench said last.
	Knows time.Time `json:"address_since,omitzero"`
}

// Release is a person's word that a halt is explained.
type Release struct {
	Time     time.Time  `json:"time"`
	Operator string     `json:"operator"`
	Reason   string     `json:"reason"`
	Halt     *site.Halt `json:"halt,omitempty"`
}

// said is the site's answer to its admin.
type said struct {
	Error   string   `json:"error,omitempty"`
	Refused bool     `json:"refused,omitempty"` // the error is a Refusal
	Benches []Status `json:"benches,omitempty"`

	Verified *Verified `json:"verified,omitempty"`
	Owner    string    `json:"owner,omitempty"` // of the device that was freed

	Unsettled []chip.MAC `json:"unsettled,omitempty"`
}

// Refusal is the site's no to what its admin asks for: it is not there, or may not be. No other
// try changes that.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// obey does what the admin wants.
func (h *Hub) obey(ctx context.Context, msg *nats.Msg) any {
	var a said
	var err error
	switch topic, about, _ := strings.Cut(strings.TrimPrefix(msg.Subject, adminTopic), "."); topic {
	case topicReload:
		err = h.reload()
	case topicList:
		a.Benches, err = h.listed(ctx)
	case topicUnsettled:
		a.Unsettled, err = h.unsettled(ctx)
	case topicCatchUp:
		err = h.caughtUp(h.ctx) // it takes as long as it takes
	case topicRelease:
		var r Release
		if r, err = site.Parse[Release](msg.Data); err == nil {
			err = h.release(about, r)
		}
	case topicSettle, topicFree:
		a.Owner, err = h.ruled(ctx, topic, about, msg.Data)
	case topicVerify:
		var m *mirror
		if m, err = h.come(about); err == nil {
			var v Verified
			v, err = m.verify(h.ctx) // it takes as long as it takes
			a.Verified = &v
		}
	default:
		err = fmt.Errorf("%q is not known", topic)
	}
	if err != nil {
		a.Error, a.Refused = err.Error(), errors.As(err, new(Refusal))
	}
	return a
}

// ruled does what a person says of a device; owner is whose one is that was freed.
func (h *Hub) ruled(ctx context.Context, topic, about string, data []byte) (owner string, err error) {
	s, err := site.Parse[site.Settled](data)
	if err != nil {
		return "", err
	}
	mac, err := chip.ParseMAC(about)
	if err != nil {
		return "", err
	}
	if topic == topicFree {
		return h.free(ctx, mac, s)
	}
	return "", h.settleConflict(ctx, mac, s)
}

// rule tells the running site what a person says of a device.
func (f *Folder) rule(ctx context.Context, topic string, mac chip.MAC, s site.Settled) (said, error) {
	a, err := f.tell(ctx, topic+"."+fmt.Sprintf("%x", mac[:]), s)
	return a, wrapped(topic, err)
}

// Benches are those of which the site has a ledger, in the order of their names.
func (h *Hub) Benches() (list []Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.mirrors {
		list = append(list, m.status())
	}
	slices.SortFunc(list, func(a, b Status) int { return strings.Compare(a.Bench, b.Bench) })
	return list
}

func (m *mirror) status() Status {
	k := m.state()
	s := Status{Bench: m.bench, Origin: k.Origin, Size: k.Size, Last: k.Last, Note: k.Signed, Halt: k.Halt, Releases: k.Releases, Settled: k.Settled, Conflicts: k.Conflicts, Knows: k.Knows}
	if k.Size > 0 {
		s.Root = k.root().String()
	}
	m.mu.Lock()
	s.Stuck = m.stuck
	m.mu.Unlock()
	if c, err := ledger.ReadCheckpoint(k.Signed); err == nil {
		s.Signed = c.Size
	}
	return s
}

// release lets a bench that was halted come again; who did so, and why, is kept.
func (h *Hub) release(bench string, r Release) error {
	m, err := h.come(bench)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known.Halt == nil {
		return Refusal(bench + " is not halted")
	}
	r.Time, r.Halt = now(), m.known.Halt
	m.known.Releases, m.known.Halt = append(m.known.Releases, r), nil
	return m.save()
}

// of is the mirror of a bench that there is.
func (h *Hub) of(bench string) (*mirror, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.mirrors[bench]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrNoBench, bench)
}

// come is the mirror of a bench that the admin means.
func (h *Hub) come(bench string) (*mirror, error) {
	m, err := h.of(bench)
	if !errors.Is(err, ErrNoBench) {
		return m, err
	}
	if _, unknown := h.holders.folder.Bench(bench); unknown == nil {
		err = fmt.Errorf("%s has never come: the site has nothing of it yet", bench)
	}
	return nil, Refusal(err.Error())
}

// ErrNotRunning: nobody runs the site on this machine.
var ErrNotRunning = errors.New("the site is not running on this machine")

// dial connects to the running site as its admin. Error: ErrNotRunning.
func (f *Folder) dial(ctx context.Context) (*nats.Conn, error) {
	address, err := keyfile.Read(f.path("address"), keyfile.SideFile)
	if err != nil {
		return nil, ErrNotRunning
	}
	pass, err := site.ReadPass(f.path("admin.pass"))
	if err != nil {
		return nil, err
	}
	defer pass.Destroy()
	at, err := url.Parse(pass.URL)
	if err != nil {
		return nil, err
	}
	pass.URL, pass.ServerName = "tls://"+string(address), at.Hostname()
	conn, err := pass.Connect(ctx)
	if errors.Is(err, syscall.ECONNREFUSED) {
		err = ErrNotRunning
	}
	return conn, err
}

// tell says something to the running site.
func (f *Folder) tell(ctx context.Context, topic string, about any) (a said, err error) {
	data, err := json.Marshal(about)
	if err != nil {
		return a, err
	}
	conn, err := f.dial(ctx)
	if err != nil {
		return a, err
	}
	defer conn.Close()
	msg, err := conn.RequestWithContext(ctx, adminTopic+topic, data)
	if err == nil {
		err = json.Unmarshal(msg.Data, &a)
	}
	switch {
	case err != nil || a.Error == "":
	case a.Refused:
		err = Refusal(a.Error)
	default:
		err = errors.New(a.Error)
	}
	return a, err
}

// Apply lets the running site let in and put out those whom the folder names now.
// ErrNotRunning: it will, when it starts.
func (f *Folder) Apply(ctx context.Context) error {
	_, err := f.tell(ctx, topicReload, nil)
	return wrapped("apply", err)
}

// List is what the running site has of each bench.
func (f *Folder) List(ctx context.Context) ([]Status, error) {
	a, err := f.tell(ctx, topicList, nil)
	return a.Benches, wrapped("list", err)
}

// Release lets a bench that was halted come again.
func (f *Folder) Release(ctx context.Context, bench string, r Release) error {
	if err := site.CheckName("bench", bench); err != nil {
		return wrapped("release", Refusal(err.Error()))
	}
	_, err := f.tell(ctx, topicRelease+"."+bench, r)
	return wrapped("release", err)
}

// Verify rereads what the running site has of a bench.
func (f *Folder) Verify(ctx context.Context, bench string) (Verified, error) {
	if err := site.CheckName("bench", bench); err != nil {
		return Verified{}, wrapped("verify", Refusal(err.Error()))
	}
	a, err := f.tell(ctx, topicVerify+"."+bench, nil)
	if err != nil || a.Verified == nil {
		return Verified{}, wrapped("verify", err)
	}
	return *a.Verified, nil
}

func wrapped(what string, err error) error {
	if err != nil {
		err = fmt.Errorf("site: %s: %w", what, err)
	}
	return err
}

// Mirror reads entries of a bench's mirror by their indexes.
func (s *Server) Mirror(ctx context.Context, bench string) func(n uint64) ([]byte, error) {
	return func(n uint64) ([]byte, error) {
		m, err := s.hub.mirror(ctx, bench)
		if err != nil {
			return nil, err
		}
		msg, err := m.stream.GetMsg(ctx, n+1)
		if err != nil {
			return nil, fmt.Errorf("entry %d of %s: %w", n, bench, err)
		}
		return msg.Data, nil
	}
}

// Member is a bench that belongs to the site, or did.
type Member struct {
	Bench
	Status
}

// Members are all benches with what the running site has of them, in the order of
// their names.
func (f *Folder) Members(ctx context.Context) (list []Member, err error) {
	benches, err := f.Benches()
	if err != nil {
		return nil, err
	}
	known, err := f.List(ctx)
	if err != nil {
		return nil, err
	}
	return members(benches, known), nil
}

func members(benches []Bench, known []Status) (list []Member) {
	for _, b := range benches {
		m := Member{b, Status{Bench: b.Name}}
		for _, s := range known {
			if s.Bench == b.Name {
				m.Status = s
			}
		}
		if b.Name != adminName {
			list = append(list, m)
		}
	}
	return list
}
