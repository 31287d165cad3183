package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"station/internal/keyfile"
	"station/internal/site"
	"station/internal/site/replica"
)

// Server is a site that runs: a NATS server of its own, to which benches come, with
// JetStream in the folder or in a cluster elsewhere, and the hub on it.
type Server struct {
	folder *Folder
	nats   *server.Server
	conn   *nats.Conn // to that server
	store  *nats.Conn // to JetStream
	hub    *Hub
	door   door
	stands stands
	lock   *os.File
	full   atomic.Bool // the disk, when that was looked at last

	alone bool // nobody can reach it but this process
}

// maxEntry is how large an entry of a ledger may be.
const maxEntry = 4 << 20

// startTime is how long a NATS server may take to start.
const startTime = time.Minute

// ErrRunning: another process runs the site.
var ErrRunning = errors.New("another process runs this site")

// Start runs the site. tell hears what is not as it should be.
func (f *Folder) Start(ctx context.Context, tell func(string)) (*Server, error) {
	return f.run(ctx, tell, &Server{folder: f})
}

func (f *Folder) run(ctx context.Context, tell func(string), s *Server) (*Server, error) {
	if err := s.start(ctx, tell); err != nil {
		s.Close()
		return nil, fmt.Errorf("site: %w", err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, tell func(string)) (err error) {
	if s.lock, err = os.OpenFile(s.folder.path("lock"), os.O_CREATE|os.O_RDWR, 0o640); err != nil {
		return err
	}
	if lock(s.lock) != nil {
		return ErrRunning
	}
	options, err := s.folder.options()
	if err != nil {
		return err
	}
	if err := s.reload(); err != nil {
		return err
	}
	options.TLSConfig.GetCertificate = s.stands.certificate
	options.CustomClientAuthentication, options.AlwaysEnableNonce = &s.door, true
	options.DontListen = s.alone
	if s.nats, err = server.NewServer(options); err != nil {
		return err
	}
	s.nats.SetLoggerV2(teller(tell), false, false, false)
	s.nats.Start()
	if !s.nats.ReadyForConnections(startTime) {
		return errors.New("its NATS server does not start")
	}
	if s.conn, err = s.connect(); err != nil {
		return err
	}
	if s.store = s.conn; s.folder.Cluster != nil {
		if s.store, err = s.folder.join(tell); err == nil {
			err = carry(s.conn, s.store)
		}
		if err != nil {
			return err
		}
	}
	witness, err := s.folder.Witness()
	if err != nil {
		return err
	}
	replicas, err := replica.New(s.folder.path("replicas"))
	if err != nil {
		return err
	}
	s.hub = &Hub{Name: s.folder.Name, Key: witness, Tell: tell, conn: s.conn, store: s.store, copies: 1, reload: s.reload, replicas: replicas, holders: holders{folder: s.folder}, stands: &s.stands}
	s.hub.stuck = s.stuck
	if s.folder.Cluster != nil {
		s.hub.copies = copies
		s.hub.stuck = func() func(string) string { return func(string) string { return "" } } // its servers see to that
	}
	if err := s.hub.start(ctx); err != nil || s.alone {
		return err
	}
	return keyfile.Replace(s.folder.path("address"), 0o640, []byte(s.Address()))
}

// options are those of the NATS server.
func (f *Folder) options() (*server.Options, error) {
	host, text, err := net.SplitHostPort(f.Listen)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	o := &server.Options{
		ServerName: f.Name, Host: host, Port: port, NoSigs: true, MaxPayload: maxEntry,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13}, TLSTimeout: site.ConnectTime.Seconds(),
	}
	if f.Cluster == nil {
		o.JetStream, o.StoreDir, o.SyncAlways = true, f.path("jetstream"), true
	}
	return o, nil
}

// users are those who may connect, and what each may do.
func (f *Folder) users() (list []*server.NkeyUser, err error) {
	benches, err := f.Benches()
	if err != nil {
		return nil, err
	}
	for _, b := range benches {
		if !b.Revoked.IsZero() {
			continue
		}
		u := &server.NkeyUser{Nkey: b.Nkey}
		if b.Name != adminName {
			u.Permissions = permissions(b.Name)
		}
		list = append(list, u)
	}
	return list, nil
}

// permissions: a bench publishes its own entries, asks its own questions, and hears
// what is meant for it.
func permissions(bench string) *server.Permissions {
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: []string{site.EntriesOf(bench), site.AskOf(bench, "*"), site.LiveOf(bench)}},
		Subscribe: &server.SubjectPermission{Allow: []string{site.InboxOf(bench) + ".>"}},
	}
}

// connect is the hub's own connection, inside of the process.
func (s *Server) connect() (*nats.Conn, error) {
	pass, err := site.ReadPass(s.folder.path("admin.pass"))
	if err != nil {
		return nil, err
	}
	defer pass.Destroy()
	public, err := site.PublicNkey(pass.Seed)
	if err != nil {
		return nil, err
	}
	pair, err := nkeys.FromSeed(pass.Seed.Reveal())
	if err != nil {
		return nil, err
	}
	defer pair.Wipe()
	return nats.Connect("", nats.InProcessServer(s.nats), nats.Nkey(public, pair.Sign), nats.NoReconnect(), nats.Name(adminName))
}

// reload lets in those whom the folder names now, and puts out those whom it does not; the
// site is where the folder says.
func (s *Server) reload() error {
	users, err := s.folder.users()
	if err != nil {
		return err
	}
	at, err := s.folder.stand()
	if err != nil {
		return err
	}
	s.stands.Store(at)
	return s.door.let(s.nats, users)
}

// Name is the name of the site.
func (s *Server) Name() string { return s.folder.Name }

// URL is where benches find it.
func (s *Server) URL() string { return s.stands.Load().URL }

// Address is where the site listens.
func (s *Server) Address() string { return s.nats.Addr().String() }

// Close ends the site. What was acknowledged is on disk.
func (s *Server) Close() {
	if s.hub != nil {
		s.hub.close()
		_ = os.Remove(s.folder.path("address"))
	}
	if s.store != nil {
		s.store.Close()
	}
	if s.conn != nil {
		s.conn.Close()
	}
	if s.nats != nil {
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
	}
	if s.lock != nil {
		_ = s.lock.Close()
	}
}

// teller is the log of the NATS server: warnings and errors.
type teller func(string)

func (teller) Noticef(string, ...any) {}
func (teller) Debugf(string, ...any)  {}
func (teller) Tracef(string, ...any)  {}

func (t teller) Warnf(format string, v ...any) {
	if strings.HasPrefix(format, "Healthcheck failed") {
		return // who asked tells it (stuck)
	}
	said := "NATS: " + strings.TrimSpace(fmt.Sprintf(format, v...))
	if slices.ContainsFunc(v, diskRefused) {
		said += "; make room, or see to the disk, and start the site again: until then it takes no more there, and the benches keep it"
	}
	t(said)
}

// diskRefused tells whether NATS tells of a disk that took no more. It stores nothing more in
// that stream then, also when there is room again, until it is started anew.
func diskRefused(told any) bool {
	err, is := told.(error)
	return is && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EROFS))
}

func (t teller) Errorf(format string, v ...any) { t.Warnf(format, v...) }
func (t teller) Fatalf(format string, v ...any) { t.Warnf(format, v...) }
