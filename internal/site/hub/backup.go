package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/site"
)

// Backup makes a folder of the same site, which can run in place of this one. The site may run meanwhile:
// what it has is copied through its server, never from under its files. What is in one part of
// the copy and not yet in another is what the site finds again by itself: first what is known of each
// bench, then its entries, then who has which names and numbers. Of a site on a cluster the
// copies stay there, and are not in it.
func (f *Folder) Backup(ctx context.Context, dir string, tell func(string)) error {
	err := emptyFolder(dir)
	if err == nil && f.Cluster == nil {
		err = f.backupStore(ctx, dir, tell)
	}
	if err == nil {
		err = f.backupFiles(dir)
	}
	return wrapped("backup", err)
}

// backupStore copies what JetStream has.
func (f *Folder) backupStore(ctx context.Context, dir string, tell func(string)) error {
	from, end, err := f.reach(ctx, tell)
	if err != nil {
		return err
	}
	defer end()
	store := filepath.Join(dir, "jetstream")
	scratch, to, err := f.scratch(store, tell)
	if err == nil {
		err = (&copying{folder: f}).all(ctx, from, to)
		to.Close()
	}
	if scratch != nil {
		scratch.Shutdown()
		scratch.WaitForShutdown()
	}
	if err == nil {
		err = keyfile.SyncTree(store)
	}
	return err
}

// reach connects to the site that runs here, or runs it for this process alone. The function ends that.
func (f *Folder) reach(ctx context.Context, tell func(string)) (*nats.Conn, func(), error) {
	conn, err := f.dial(ctx)
	if err == nil {
		return conn, conn.Close, nil
	}
	if !errors.Is(err, ErrNotRunning) {
		return nil, nil, err
	}
	s, err := f.run(ctx, tell, &Server{folder: f, alone: true})
	if err != nil {
		return nil, nil, err
	}
	return s.conn, s.Close, nil
}

// scratch is a server that nobody can reach but this process.
func (f *Folder) scratch(store string, tell func(string)) (*server.Server, *nats.Conn, error) {
	s, err := server.NewServer(&server.Options{ServerName: f.Name, DontListen: true, NoSigs: true, MaxPayload: maxEntry, JetStream: true, StoreDir: store})
	if err != nil {
		return nil, nil, err
	}
	s.SetLoggerV2(teller(tell), false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTime) {
		return s, nil, errors.New("its NATS server does not start")
	}
	conn, err := nats.Connect("", nats.InProcessServer(s), nats.NoReconnect())
	return s, conn, err
}

// copying copies from one server to another.
type copying struct {
	folder   *Folder
	from, to jetstream.JetStream
	failed   chan error // the first message that could not be stored
}

// mostPending is how many messages are under way to the copy.
const mostPending = 4096

func (c *copying) all(ctx context.Context, from, to *nats.Conn) (err error) {
	c.failed = make(chan error, 1)
	lost := func(_ jetstream.JetStream, m *nats.Msg, err error) {
		select {
		case c.failed <- fmt.Errorf("store %s: %w", m.Subject, err):
		default:
		}
	}
	c.from, err = jetstream.New(from)
	if err == nil {
		c.to, err = jetstream.New(to, jetstream.WithPublishAsyncMaxPending(mostPending), jetstream.WithPublishAsyncErrHandler(lost))
	}
	if err != nil {
		return err
	}
	benches, err := c.known(ctx)
	if err != nil {
		return err
	}
	for bench, k := range benches {
		if err := c.entries(ctx, bench, k); err != nil {
			return fmt.Errorf("%s: %w", bench, err)
		}
	}
	for _, name := range []string{claimBucket, quotaBucket, noticeBucket} {
		err := c.bucket(ctx, name, func(_ string, value []byte) ([]byte, error) { return value, nil })
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// known copies what is known of each bench. A site that runs on the copy does not know what came
// later: it gives out no numbers before each bench has come once.
func (c *copying) known(ctx context.Context) (map[string]known, error) {
	benches := map[string]known{}
	streams := c.from.StreamNames(ctx)
	for name := range streams.Name() {
		if bench, is := strings.CutPrefix(name, site.StreamOf("")); is {
			benches[bench] = known{}
		}
	}
	if err := streams.Err(); err != nil {
		return nil, err
	}
	return benches, c.bucket(ctx, knownBucket, func(bench string, value []byte) ([]byte, error) {
		var k known
		if err := json.Unmarshal(value, &k); err != nil {
			return nil, err
		}
		benches[bench] = k
		if b, err := c.folder.Bench(bench); err == nil && b.Revoked.IsZero() {
			k.Met = 0
		}
		return json.Marshal(k)
	})
}

// bucket copies a bucket, each value as change has it.
func (c *copying) bucket(ctx context.Context, name string, change func(key string, value []byte) ([]byte, error)) error {
	from, err := c.from.KeyValue(ctx, name)
	if err != nil {
		return err
	}
	if _, err = (&Hub{js: c.to, copies: 1}).bucket(ctx, name); err != nil {
		return err
	}
	w, err := from.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }()
	for e := range w.Updates() {
		if e == nil { // that was all
			return c.stored(ctx)
		}
		value, err := change(e.Key(), e.Value())
		if err == nil {
			err = c.store("$KV."+name+"."+e.Key(), value)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.Key(), err)
		}
	}
	return errors.Join(ctx.Err(), errors.New("the site ended"))
}

var errAll = errors.New("all was read")

// entries copies the entries of a bench, and holds them against what is known of them.
func (c *copying) entries(ctx context.Context, bench string, k known) error {
	from, err := c.from.Stream(ctx, site.StreamOf(bench))
	if err != nil {
		return err
	}
	to, err := c.to.CreateStream(ctx, entriesStream(bench, 1))
	if err != nil {
		return err
	}
	end := from.CachedInfo().State.LastSeq
	var again known
	if end > 0 {
		err = (&mirror{stream: from}).read(ctx, 1, func(n uint64, raw []byte, _ bool) error {
			if err := again.follows(n, raw, k); err != nil {
				return err
			}
			if err := c.store(site.EntriesOf(bench), raw); err != nil {
				return err
			}
			if n == end {
				return errAll
			}
			return nil
		})
	}
	if err != nil && !errors.Is(err, errAll) {
		return err
	}
	if err := c.stored(ctx); err != nil {
		return err
	}
	if info, err := to.Info(ctx); err != nil || info.State.LastSeq != end || end < k.Size {
		return errors.Join(err, fmt.Errorf("there are %d of %d entries; \"station site verify\" rereads them", again.Size, max(end, k.Size)))
	}
	return nil
}

// follows takes message n. Where the tree is as large as what is known, both must be one.
func (k *known) follows(n uint64, raw []byte, was known) error {
	if n != k.Size+1 {
		return fmt.Errorf("message %d came behind %d entries: one is damaged; \"station site verify\" tells", n, k.Size)
	}
	if k.add(raw); k.Size == was.Size && k.root() != was.root() {
		return errors.New("it is not what came; \"station site verify\" tells")
	}
	if c, err := ledger.ReadCheckpoint(was.Signed); err == nil && c.Size == k.Size && c.Root != k.root() {
		return fmt.Errorf("its first %d entries are not those of the checkpoint that both signed", c.Size)
	}
	return nil
}

func (c *copying) store(subject string, data []byte) error {
	_, err := c.to.PublishMsgAsync(&nats.Msg{Subject: subject, Data: data})
	return err
}

// stored waits until all that was sent is stored.
func (c *copying) stored(ctx context.Context) error {
	select {
	case <-c.to.PublishAsyncComplete():
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-c.failed:
		return err
	default:
		return nil
	}
}

// notCopied is what a backup makes itself, or what the site makes anew.
var notCopied = map[string]bool{"./site.json": true, "./address": true, "./lock": true}

// backupFiles copies the files; site.json, by which a folder is one, comes last. Every bench may have
// got numbers after it: all are named as those that have some.
func (f *Folder) backupFiles(dir string) error {
	to := &Folder{Dir: dir, Config: f.Config}
	for _, sub := range []string{".", "benches", holdersDir} {
		if err := f.copyFiles(to, sub); err != nil {
			return err
		}
	}
	benches, err := f.Benches()
	if err != nil {
		return err
	}
	all := &holders{folder: to}
	for _, b := range benches {
		if b.Name == adminName || !b.Revoked.IsZero() {
			continue
		}
		if err := all.add(b.Name); err != nil {
			return err
		}
	}
	return to.writeJSON("site.json", f.Config)
}

// copyFiles copies the files of one folder, of which the keys stay unreadable for others.
func (f *Folder) copyFiles(to *Folder, sub string) error {
	list, err := os.ReadDir(f.path(sub))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.MkdirAll(to.path(sub), 0o750)
	}
	for _, at := range list {
		if err != nil {
			return err
		}
		if !at.Type().IsRegular() || notCopied[sub+"/"+at.Name()] || strings.HasPrefix(at.Name(), ".") {
			continue
		}
		err = copyFile(f.path(sub, at.Name()), to.path(sub, at.Name()), at)
	}
	return err
}

func copyFile(from, to string, at fs.DirEntry) error {
	info, err := at.Info()
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		data, err := keyfile.Read(from, keyfile.SideFile)
		if err != nil {
			return err
		}
		return keyfile.Replace(to, info.Mode().Perm(), data)
	}
	data, err := keyfile.ReadGuarded(from)
	if err != nil {
		return err
	}
	defer data.Destroy()
	return keyfile.Create(to, 0o600, func(w *os.File) error {
		_, err := w.Write(data.Reveal())
		return err
	})
}
