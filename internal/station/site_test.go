package station

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"station/internal/board"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/hsm/hsmtest"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/site"
	"station/internal/site/hub"
	"station/internal/site/outbox"
)

// siteBench is a bench of a site that runs.
type siteBench struct {
	folder *hub.Folder
	server *hub.Server
	file   *File
}

func newSiteBench(t *testing.T) *siteBench {
	t.Helper()
	dir := t.TempDir()
	b := &siteBench{file: &File{ID: "bench-1", Ledger: filepath.Join(dir, "ledger.db"), Site: SiteFile{Pass: filepath.Join(dir, "pass")}}}
	err := hub.Init(filepath.Join(dir, "site"), hub.Config{Name: "plant-1", URL: "tls://localhost:4222", Listen: "127.0.0.1:0"}, nil, nil)
	if err == nil {
		b.folder, err = hub.Open(filepath.Join(dir, "site"))
	}
	if err == nil {
		b.server, err = b.folder.Start(t.Context(), func(text string) { t.Log(text) })
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.server.Close)
	b.folder.URL = "tls://" + b.server.Address()
	if err := errors.Join(b.folder.Add("bench-1", b.file.Site.Pass, false), b.folder.Apply(t.Context())); err != nil {
		t.Fatal(err)
	}
	return b
}

// open opens the ledger and the way to the site.
func (b *siteBench) open(t *testing.T) *Site {
	t.Helper()
	book, err := ledger.Open(b.file.Ledger, ledger.Options{Create: true, Simulated: true, Station: b.file.ID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { book.Close() })
	s, err := OpenSite(b.file, book, func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func entryOf(t *testing.T, book *ledger.Ledger, n byte) {
	t.Helper()
	if _, err := book.Append(record.Entry{Kind: record.DeviceSeen, MAC: VirtualMAC(int(n)), Simulated: true}); err != nil {
		t.Fatal(err)
	}
}

// refusedBySite is a line that works when the site finds that the ledger was set back.
func refusedBySite(t *testing.T) flow.Code {
	b := newSiteBench(t)
	s := b.open(t)
	old, err := os.ReadFile(b.file.Ledger)
	if err != nil {
		t.Fatal(err)
	}
	entryOf(t, s.Ledger, 1)
	if _, err := s.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Ledger.Close(), os.WriteFile(b.file.Ledger, old, 0o600)); err != nil {
		t.Fatal(err)
	}
	s = b.open(t)
	s.Again = time.Millisecond
	token := hsmtest.Open(t, hsmtest.Known(t, hsmtest.Token(t), flowtest.Master, hsmtest.Master))
	empty := flow.Slot{Name: "1", Port: "none", Next: func(ctx context.Context, _ func()) (flow.Loader, error) {
		<-ctx.Done()
		return nil, io.EOF
	}}
	line := flowtest.NewShift(t, tokenKeys, token, flowtest.SmallProduct(t), empty)
	ctx, stop := context.WithCancel(t.Context())
	line.Line.Faults = s.Faults
	line.On = func(e flow.Event) {
		if e.Event == flow.LineHalted {
			stop()
		}
	}
	s.Start()
	line.Line.Run(ctx)
	b.server.Close() // and while it is away the bench stays refused
	for s.Status().State != outbox.Away {
		runtime.Gosched()
	}
	refused := flow.FailureFrom(s.Healthy())
	if h := s.Health(); h.OK || h.Words != "refuses" {
		t.Errorf("its health is %+v", h)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := flow.FailureFrom(s.Refused())
	if refused.Code != again.Code || !strings.Contains(again.Error(), "it was set back") {
		t.Errorf("after a restart it says %v, before %v", again, refused)
	}
	return line.Code(flow.LineHalted)
}

// beforeClaims is a visit at a bench that asks for names, after something was done to
// its site.
func beforeClaims(spoil func(t *testing.T, b *siteBench, s *Site)) func(t *testing.T) flow.Code {
	return func(t *testing.T) flow.Code {
		b := newSiteBench(t)
		b.file.Site.Offline = OfflineStop
		s := b.open(t)
		s.Again = time.Millisecond
		s.Start()
		<-s.word
		defer s.Close()
		if err := s.Healthy(); err != nil {
			t.Errorf("before: %v", err)
		}
		spoil(t, b, s)
		st := flowtest.NewSmall(t, tokenKeys)
		r := st.Runner()
		r.Ledger = claims{s.Ledger, s}
		wire, err := flowtest.NewChip(t, sim.Options{MAC: VirtualMAC(7), FlashSize: 1 << 20}).Open()
		if err != nil {
			t.Fatal(err)
		}
		out := r.Device(t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{}))
		if out.Burned {
			t.Error("fuses were burned")
		}
		return flowtest.CodeOf(out)
	}
}

// another is a second bench of the site.
func (b *siteBench) another(t *testing.T, id string) *siteBench {
	t.Helper()
	file := *b.file
	file.ID, file.Ledger, file.Site.Pass = id, filepath.Join(t.TempDir(), "ledger.db"), filepath.Join(t.TempDir(), "pass")
	if err := errors.Join(b.folder.Add(id, file.Site.Pass, false), b.folder.Apply(t.Context())); err != nil {
		t.Fatal(err)
	}
	return &siteBench{folder: b.folder, server: b.server, file: &file}
}

// claimedByOther lets another bench have the device.
func claimedByOther(t *testing.T, b *siteBench, _ *Site) {
	other := b.another(t, "bench-2").open(t)
	other.Start()
	<-other.word
	defer other.Close()
	if _, err := (claims{other.Ledger, other}).Append(record.Entry{Kind: record.SerialBound, MAC: VirtualMAC(7), Serial: "1", Simulated: true}); err != nil {
		t.Fatal(err)
	}
}

// siteGone ends the site, and waits until the bench knows.
func siteGone(_ *testing.T, b *siteBench, s *Site) {
	b.server.Close()
	for s.Status().State == outbox.Up {
		runtime.Gosched()
	}
}

// A bench goes on while its site is away, deaf or has another pass's name, and says
// how far the mirror is.
func TestSiteAway(t *testing.T) {
	b := newSiteBench(t)
	s := b.open(t)
	if h := s.Health(); h != (board.Part{Words: "away"}) {
		t.Errorf("before the first contact: %+v", h)
	}
	entryOf(t, s.Ledger, 1)
	if _, err := s.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := s.Health(); h != (board.Part{OK: true, Words: "ok"}) {
		t.Errorf("all is mirrored: %+v", h)
	}
	entryOf(t, s.Ledger, 2)
	if h := s.Health(); h != (board.Part{OK: true, Words: "1 to send"}) {
		t.Errorf("one more: %+v", h)
	}
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Pass.URL = "tls://" + deaf.Addr().String()
	heard := make(chan outbox.Status, 10)
	told := s.Told
	s.Told = func(now outbox.Status) { told(now); heard <- now }
	s.Start()
	entryOf(t, s.Ledger, 3) // while it waits for the site's first word
	deaf.Close()
	for now := range heard {
		if now.State == outbox.Away {
			break
		}
	}
	if h := s.Health(); h != (board.Part{Words: "away, 2 wait"}) {
		t.Errorf("the site is away: %+v", h)
	}
	if err := errors.Join(s.Healthy(), s.Close()); err != nil {
		t.Error(err)
	}
	b.file.ID = "bench-2"
	if _, err := OpenSite(b.file, s.Ledger, nil); err == nil || !strings.Contains(err.Error(), "it is for bench-1, and this is bench-2") {
		t.Errorf("another bench's pass: %v", err)
	}
	if err := os.Chmod(b.file.Site.Pass, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := site.ReadPass(b.file.Site.Pass); err == nil || !strings.Contains(err.Error(), "may be read or changed by others") {
		t.Errorf("a pass that others may read: %v", err)
	}
}
