package outbox

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
	"station/internal/site/hub"
)

// running is a site with its folder.
type running struct {
	*hub.Folder
	*hub.Server
}

var (
	plantDir string
	plants   []running // the last one runs
)

// plant is the site of all tests here, each with benches of its own.
func plant() (running, error) {
	if len(plants) == 0 {
		return anew()
	}
	return plants[len(plants)-1], nil
}

// anew starts another site in its place.
func anew() (p running, err error) {
	if n := len(plants); n > 0 {
		plants[n-1].Close()
	}
	dir := filepath.Join(plantDir, fmt.Sprint("site-", len(plants)))
	if err = hub.Init(dir, hub.Config{Name: "plant-1", URL: "tls://localhost:4222", Listen: "127.0.0.1:0"}, nil, nil); err != nil {
		return p, err
	}
	if p.Folder, err = hub.Open(dir); err != nil {
		return p, err
	}
	p.Server, err = p.Folder.Start(context.Background(), func(text string) { fmt.Fprintln(os.Stderr, text) })
	if err == nil {
		plants = append(plants, p)
	}
	return p, err
}

func TestMain(m *testing.M) {
	var err error
	if plantDir, err = os.MkdirTemp("", "plant"); err != nil {
		panic(err)
	}
	code := m.Run()
	if p, err := plant(); err == nil {
		p.Close()
	}
	os.RemoveAll(plantDir)
	os.Exit(code)
}

// bench is one with a ledger and a pass.
type bench struct {
	*Outbox
	t    testing.TB
	path string
	key  *ecdsa.PrivateKey

	about string // which each entry tells
}

func newBench(t testing.TB) *bench {
	t.Helper()
	name := strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())
	name = name[max(0, len(name)-32):]
	p, err := plant()
	if err == nil {
		if _, had := p.Bench(name); had == nil { // the test runs again, and wants to find nothing
			p, err = anew()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pass")
	if err := errors.Join(p.Add(name, file, false), p.Apply(t.Context())); err != nil {
		t.Fatal(err)
	}
	pass, err := site.ReadPass(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pass.Destroy)
	pass.URL = "tls://" + p.Address()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, path: filepath.Join(t.TempDir(), "ledger.db"), key: key, Outbox: &Outbox{Pass: pass, Again: time.Millisecond}}
	b.open(b.path)
	return b
}

// open takes another file as the bench's ledger.
func (b *bench) open(path string) {
	b.t.Helper()
	if b.Ledger != nil {
		b.Ledger.Close()
	}
	l, err := ledger.Open(path, ledger.Options{Create: true, Station: b.Pass.Bench, Software: "test", Simulated: true})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { l.Close() })
	b.Ledger = l
}

// work appends n entries of devices.
func (b *bench) work(n int) {
	b.t.Helper()
	var list []record.Entry
	for i := range n {
		list = append(list, record.Entry{Kind: record.DeviceSeen, MAC: chip.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}, Message: b.about, Simulated: true})
	}
	if _, err := b.Ledger.AppendAll(list); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) sign() {
	b.t.Helper()
	if _, err := b.Ledger.Checkpoint(b.key); err != nil {
		b.t.Fatal(err)
	}
}

// push fills the mirror, which is then what the ledger is.
func (b *bench) push() {
	b.t.Helper()
	if _, err := b.Push(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.same()
}

// same compares the mirror with the ledger, byte for byte.
func (b *bench) same() {
	b.t.Helper()
	p, _ := plant()
	n := uint64(0)
	mirror := p.Mirror(b.t.Context(), b.Pass.Bench)
	for raw, err := range b.Ledger.Lines(0) {
		if err != nil {
			b.t.Fatal(err)
		}
		got, err := mirror(n)
		if err != nil || !bytes.Equal(got, raw) {
			b.t.Fatalf("entry %d of the mirror is %q, %v, want %q", n, got, err, raw)
		}
		n++
	}
	if got, err := mirror(n); err == nil {
		b.t.Fatalf("the mirror has an entry too many: %q", got)
	}
}

// The mirror is the ledger, however it came to be: in one, in many, in batches.
func TestMirrorIsTheLedger(t *testing.T) {
	b := newBench(t)
	b.push()
	b.work(1)
	b.push()
	b.work(1010) // more than a batch
	b.push()
	b.sign()
	b.push()
	signed, err := b.Ledger.LastCheckpoint()
	if err != nil || !ledger.SignedBy(signed, b.Pass.Witness) || !ledger.SignedBy(signed, &b.key.PublicKey) {
		t.Errorf("the checkpoint %s, %v is not signed by both", signed, err)
	}
	for fault := range b.Ledger.Check(&ledger.Audit{Trusted: []*ecdsa.PublicKey{b.Pass.Witness}}) {
		t.Errorf("a witness's key alone is not enough: %v", fault)
	}
}

// A wire that breaks anywhere, also between a message and its acknowledgement, leaves
// no entry out and none twice.
func TestCutWire(t *testing.T) {
	b := newBench(t)
	direct := b.Pass.URL
	to := strings.TrimPrefix(direct, "tls://")
	cut := 0
	for _, d := range []struct{ up, down int64 }{
		{500, 0}, {0, 500}, {3000, 0}, {3700, 0}, {0, 2500}, {0, 2700}, {0, 2900}, {0, 3100}, {0, 3300}, {5000, 0}, {9000, 0}, {20000, 0},
	} {
		b.work(40)
		b.Pass.URL = cutter(t, to, d.up, d.down)
		if _, err := b.Push(t.Context()); err != nil {
			cut++
		}
		b.Pass.URL = direct
		b.push()
	}
	if cut < 6 {
		t.Errorf("only %d of the wires were cut", cut)
	}
}

// Only who holds the secret of a bench's nkey is that bench.
func TestNobodyElse(t *testing.T) {
	b := newBench(t)
	public, err := site.PublicNkey(b.Pass.Seed)
	if err != nil {
		t.Fatal(err)
	}
	other, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	for name, option := range map[string]nats.Option{
		"another's signature": nats.Nkey(public, other.Sign),
		"no nkey":             func(o *nats.Options) error { o.Nkey, o.SignatureCB = "", nil; return nil },
		"the nkey as a name": func(o *nats.Options) error {
			o.Nkey, o.SignatureCB, o.User, o.Password = "", nil, public, public
			return nil
		},
	} {
		conn, err := b.Pass.Connect(t.Context(), option)
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", name, err)
		}
		if conn != nil {
			conn.Close()
		}
	}
}

// A bench publishes its own entries and nothing else, hears nobody else, and nobody
// gets in without TLS or with another nkey.
func TestPermissions(t *testing.T) {
	b := newBench(t)
	b.work(3)
	b.push()
	refused := make(chan error, 100)
	conn, err := b.Pass.Connect(t.Context(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, subject := range []string{site.EntriesOf("bench-2"), site.LiveOf("bench-2"), site.AskOf("bench-2", site.Meet), "site.admin.list", "$JS.API.STREAM.NAMES", "$KV.KNOWN.bench-2", "_INBOX.bench-2.1", "anything"} {
		if err := errors.Join(conn.Publish(subject, []byte("{}")), conn.Flush()); err != nil {
			t.Fatal(err)
		}
		if err := within(t, refused); !strings.Contains(err.Error(), "Permissions Violation for Publish to \""+subject) {
			t.Errorf("%s: %v", subject, err)
		}
	}
	for _, subject := range []string{">", site.EntriesOf("*"), "_INBOX.>", site.EntriesOf(b.Pass.Bench)} {
		if _, err := conn.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		if err := within(t, refused); !strings.Contains(err.Error(), "Permissions Violation for Subscription to \""+subject) {
			t.Errorf("%s: %v", subject, err)
		}
	}
	// Its own subject takes nothing out of order, whatever ID it has.
	reply, err := conn.RequestMsg(&nats.Msg{Subject: site.EntriesOf(b.Pass.Bench), Header: nats.Header{site.HeaderExpected: {"2"}}, Data: []byte("{}")}, answerTime)
	if err != nil || !strings.Contains(string(reply.Data), "wrong last sequence") {
		t.Errorf("another entry in the place of one: %s, %v", reply.Data, err)
	}
	// What it asks is answered to itself: elsewhere the answer would be another bench's question.
	other := newBench(t2{t, "asked-by-another"})
	other.push()
	for _, subject := range []string{site.EntriesOf(b.Pass.Bench), site.AskOf(b.Pass.Bench, site.Meet)} {
		err := conn.PublishMsg(&nats.Msg{Subject: subject, Reply: site.AskOf(other.Pass.Bench, site.Meet), Header: nats.Header{site.HeaderExpected: {"2"}}, Data: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.RequestMsg(&nats.Msg{Subject: site.EntriesOf(b.Pass.Bench), Header: nats.Header{site.HeaderExpected: {"2"}}, Data: []byte("{}")}, answerTime); err != nil {
		t.Fatal(err)
	}
	other.push()
	stranger := *b.Pass
	if stranger.Seed, err = site.NewSeed(); err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Connect(t.Context()); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a stranger: %v", err)
	}
	plain, err := net.Dial("tcp", strings.TrimPrefix(b.Pass.URL, "tls://"))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	_, _ = io.WriteString(plain, "CONNECT {}\r\nPING\r\n")
	if said, err := io.ReadAll(plain); bytes.Contains(said, []byte("PONG")) || !bytes.Contains(said, []byte(`"tls_required":true`)) {
		t.Errorf("without TLS: %s, %v", said, err)
	}
	b.push()
}

// A bench that is revoked is put out at once, its pass opens nothing any more, and
// what the site has of it stays. With a new pass it goes on.
func TestRevoke(t *testing.T) {
	b := newBench(t)
	b.work(10)
	told := make(chan Status, 1000)
	b.Told = func(s Status) { told <- s }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); b.Run(ctx) }()
	await(t, told, func(s Status) bool { return s.State == Up && s.Mirrored == 11 })
	p, _ := plant()
	if err := errors.Join(p.Revoke(b.Pass.Bench), p.Apply(t.Context())); err != nil {
		t.Fatal(err)
	}
	b.work(1)
	s := await(t, told, func(s Status) bool { return errors.Is(s.Err, nats.ErrAuthorization) })
	if s.State != Away || s.Mirrored != 11 {
		t.Errorf("it is %+v", s)
	}
	cancel()
	<-ended
	file := filepath.Join(t.TempDir(), "pass")
	if err := errors.Join(p.Add(b.Pass.Bench, file, false), p.Apply(t.Context())); err != nil {
		t.Fatal(err)
	}
	url := b.Pass.URL
	pass, err := site.ReadPass(file)
	if err != nil {
		t.Fatal(err)
	}
	pass.URL, b.Pass, b.Told = url, pass, nil
	b.push()
}

func await(t *testing.T, told <-chan Status, is func(Status) bool) Status {
	t.Helper()
	for {
		if s := within(t, told); is(s) {
			return s
		}
	}
}

// within waits for what has to come; that it does not is no matter of seconds.
func within[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came")
	}
	panic("unreachable")
}

// What a line writes goes to the site while it writes. A site that ends and comes
// back gets what it missed, and one that lost its copies gets them again.
func TestRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if err := hub.Init(dir, hub.Config{Name: "plant-2", URL: "tls://localhost:4222", Listen: "127.0.0.1:0"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	folder, err := hub.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	server, err := folder.Start(t.Context(), func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := folder.Start(t.Context(), func(string) {}); !errors.Is(err, hub.ErrRunning) {
		t.Errorf("a second server in the folder: %v", err)
	}
	b := newBench(t) // of the other site
	file := filepath.Join(t.TempDir(), "pass")
	if err := errors.Join(folder.Add("bench-1", file, false), folder.Apply(t.Context())); err != nil {
		t.Fatal(err)
	}
	if b.Pass, err = site.ReadPass(file); err != nil {
		t.Fatal(err)
	}
	b.Pass.URL = "tls://" + server.Address()
	told := make(chan Status, 1000)
	b.Told = func(s Status) { told <- s }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); b.Run(ctx) }()
	b.work(5)
	await(t, told, func(s Status) bool { return s.Mirrored == 6 })
	b.work(1)
	await(t, told, func(s Status) bool { return s.Mirrored == 7 })
	listen := server.Address()
	server.Close()
	await(t, told, func(s Status) bool { return s.State == Away })
	b.work(5)
	folder.Listen = listen
	if server, err = folder.Start(t.Context(), func(text string) { t.Log(text) }); err != nil {
		t.Fatal(err)
	}
	await(t, told, func(s Status) bool { return s.State == Up && s.Mirrored == 12 })
	cancel()
	<-ended

	server.Close() // and loses all that it has
	if err := os.RemoveAll(filepath.Join(dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	if server, err = folder.Start(t.Context(), func(text string) { t.Log(text) }); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	b.Told = nil
	if _, err := b.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	mirror := server.Mirror(t.Context(), "bench-1")
	for n := range uint64(12) {
		raw, err := b.Ledger.LinesAt(n)
		got, mirrorErr := mirror(n)
		if err != nil || mirrorErr != nil || !bytes.Equal(got, raw[0]) {
			t.Errorf("entry %d: got %q, %v", n, got, mirrorErr)
		}
	}
}

// Two who send for one bench at the same time store no entry twice: who comes second
// is refused, one entry as well as many, and finds out what is there.
func TestTwoSenders(t *testing.T) {
	b := newBench(t)
	for _, n := range []int{1, 7} {
		b.work(n)
		first, second := b.connected(), b.connected()
		if err := first.push(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := second.push(t.Context()); err == nil || !strings.Contains(err.Error(), "wrong last sequence") {
			t.Errorf("%d entries, the second: %v", n, err)
		}
		b.same()
		b.push()
	}
}
