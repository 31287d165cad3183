package tables

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site/replica"
)

// postgres is a cluster of its own, in a folder that goes; its address.
func postgres(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		t.Fatal("Debian's postgresql is not there: make deps")
	}
	bin := found[len(found)-1]
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	as := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 { // as whom it does not run
		who, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(who.Uid)
		gid, _ := strconv.Atoi(who.Gid)
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.SysProcAttr, cmd.Dir, cmd.Env = as, dir, append(os.Environ(), "LC_ALL=C.UTF-8")
		return cmd
	}
	data := filepath.Join(dir, "data")
	if out, err := run("initdb", "-D", data, "-U", "mes", "--auth=trust", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	server := run("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT)
		_ = server.Wait()
	})
	address := "host=" + dir + " user=mes dbname=postgres"
	for {
		conn, err := pgx.Connect(t.Context(), address)
		if err == nil {
			_ = conn.Close(t.Context())
			return address
		}
		if err := syscall.Kill(server.Process.Pid, 0); err != nil {
			t.Fatalf("postgres has ended: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ask is what a query answers, a line for each row.
func ask(t *testing.T, address, query string) (lines []string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Trim(fmt.Sprint(values), "[]"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func do(t *testing.T, address, statements string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err == nil {
		_, err = conn.Exec(t.Context(), statements)
		_ = conn.Close(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// plant is a set of replicas that are filled from ledgers.
type plant struct {
	t   *testing.T
	set *replica.Set
}

func newPlant(t *testing.T) *plant {
	t.Helper()
	set, err := replica.New(filepath.Join(t.TempDir(), "replicas"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	return &plant{t, set}
}

func (p *plant) book(bench string) *ledger.Ledger {
	p.t.Helper()
	now := time.Now()
	l, err := ledger.Open(filepath.Join(p.t.TempDir(), "ledger.db"), ledger.Options{Create: true, Simulated: true, Station: bench, Now: func() time.Time { now = now.Add(time.Second); return now }})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { l.Close() })
	p.append(l, record.Entry{Kind: record.BatchOpened, Batch: "b1", Quota: 50, Job: "lamp", Operator: "anna"})
	return l
}

func (p *plant) append(l *ledger.Ledger, list ...record.Entry) {
	p.t.Helper()
	for i := range list {
		list[i].Simulated = true
	}
	if _, err := l.AppendAll(list); err != nil {
		p.t.Fatal(err)
	}
}

// fill gives a bench's replica what its ledger has.
func (p *plant) fill(bench string, l *ledger.Ledger) {
	p.t.Helper()
	r, err := p.set.Fill(bench)
	if err != nil {
		p.t.Fatal(err)
	}
	n, err := r.Size()
	if err != nil {
		p.t.Fatal(err)
	}
	var lines [][]byte
	for raw, err := range l.Lines(n) {
		if err != nil {
			p.t.Fatal(err)
		}
		lines = append(lines, raw)
	}
	if err := r.Add(lines); err != nil {
		p.t.Fatal(err)
	}
}

// visits are devices that come to slots at the same time: their entries are mixed. Every
// fifth is pulled.
func (p *plant) visits(l *ledger.Ledger, from, to int) {
	p.t.Helper()
	var lists [4][]record.Entry
	for n := from; n < to; n++ {
		mac, slot := chip.MAC{2, 0, 0, 0, byte(n >> 8), byte(n)}, n%4
		serial := fmt.Sprint("SN", n)
		list := []record.Entry{{Kind: record.DeviceSeen}, {Kind: record.NumberTaken}, {Kind: record.SerialBound, Serial: serial},
			{Kind: record.KeyAssigned, Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: "derived:m:" + serial, Policy: "derived"}}}}
		switch {
		case n%7 == 3:
			list = append(list, record.Entry{Kind: record.Failed, Verdict: record.Scrap, Code: "E-FUSES", Seconds: 3})
		case n%5 != 0:
			list = append(list, record.Entry{Kind: record.Sealed, Verdict: record.Pass, Seconds: 12.5})
		}
		for i := range list {
			list[i].MAC, list[i].Job, list[i].Batch, list[i].Run, list[i].Slot, list[i].Operator = mac, "lamp", "b1", fmt.Sprint(l.Origin(), n), fmt.Sprint(slot), "anna"
		}
		lists[slot] = append(lists[slot], list...)
	}
	for more := true; more; {
		more = false
		for i := range lists {
			if len(lists[i]) > 0 {
				p.append(l, lists[i][0])
				lists[i], more = lists[i][1:], true
			}
		}
	}
}

const everything = `SELECT 'd', bench, mac, serial, verdict, coalesce(code, '') || sealed || visits, seen::text FROM station.devices
	UNION ALL SELECT 'v', bench, run, mac, verdict, coalesce(code, '') || coalesce(seconds, 0), ended::text FROM station.visits
	UNION ALL SELECT 'b', bench, batch, job, '', ordered || ' ' || started || ' ' || passed || ' ' || scrapped, '' FROM station.batches
	UNION ALL SELECT 'p', bench, ledger, '', '', entries || ' ' || reread, '' FROM station.benches ORDER BY 1, 2, 3`

// sync is one run, ended by its context after so many transactions; negative: never.
func (p *plant) sync(address string, transactions int) error {
	p.t.Helper()
	ctx, stop := context.WithCancel(p.t.Context())
	defer stop()
	db, err := Open(ctx, address)
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx))
	db.Told = func(string, uint64, uint64) {
		if transactions--; transactions == 0 {
			stop()
		}
	}
	for _, bench := range p.set.Benches() {
		if err := db.Bench(ctx, p.set, bench, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// The tables are what the ledgers say, however often it was ended and begun again, and
// whatever ended it; and a second time changes nothing.
func TestTables(t *testing.T) {
	address := postgres(t)
	defer func(n uint64) { atOnce = n }(atOnce)
	p := newPlant(t)
	one, two := p.book("bench-1"), p.book("bench-2")
	p.visits(one, 0, 20)
	p.visits(two, 100, 110)
	p.fill("bench-1", one)
	p.fill("bench-2", two)
	if err := p.sync(address, -1); err != nil { // all at once
		t.Fatal(err)
	}
	want := ask(t, address, everything)
	if devices := ask(t, address, `SELECT verdict, count(*) FROM station.site_devices GROUP BY 1 ORDER BY 1`); !slices.Equal(devices, []string{"BEGUN 5", "PASS 20", "SCRAP 5"}) {
		t.Errorf("devices %q", devices)
	}
	if rows := ask(t, address, `SELECT bench, started, passed, scrapped FROM station.batches ORDER BY 1`); !slices.Equal(rows, []string{"bench-1 20 14 3", "bench-2 10 6 2"}) {
		t.Errorf("batches %q", rows)
	}
	if err := p.sync(address, -1); err != nil {
		t.Fatal(err)
	}
	if again := ask(t, address, everything); !slices.Equal(again, want) {
		t.Errorf("a second time\n%s\nwas\n%s", strings.Join(again, "\n"), strings.Join(want, "\n"))
	}

	// In steps of seven entries, ended after every second of them, and its connection
	// killed by the server now and then.
	do(t, address, `DROP SCHEMA station CASCADE`)
	atOnce = 7
	for n := 0; ; n++ {
		err := p.sync(address, 2)
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) || n > 100 {
			t.Fatal(err)
		}
	}
	if pieces := ask(t, address, everything); !slices.Equal(pieces, want) {
		t.Errorf("in pieces\n%s\nwant\n%s", strings.Join(pieces, "\n"), strings.Join(want, "\n"))
	}

	// A transaction that the server ends in its middle leaves nothing behind.
	p.visits(one, 20, 30)
	p.fill("bench-1", one)
	do(t, address, `CREATE FUNCTION station.cut() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF (SELECT count(*) FROM station.visits) > 29 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END';
		CREATE TRIGGER cut BEFORE UPDATE OF entries ON station.benches FOR EACH ROW EXECUTE FUNCTION station.cut()`)
	if err := p.sync(address, -1); err == nil {
		t.Error("the connection was not cut")
	}
	do(t, address, `DROP TRIGGER cut ON station.benches; DROP FUNCTION station.cut()`)
	if err := p.sync(address, -1); err != nil {
		t.Fatal(err)
	}
	cut := ask(t, address, everything)
	do(t, address, `DROP SCHEMA station CASCADE`)
	if err := p.sync(address, -1); err != nil {
		t.Fatal(err)
	}
	if whole := ask(t, address, everything); !slices.Equal(whole, cut) {
		t.Errorf("after a cut\n%s\nwant\n%s", strings.Join(cut, "\n"), strings.Join(whole, "\n"))
	}

	// Another ledger of that bench: what the tables tell of the old one goes.
	other := p.book("bench-2")
	p.visits(other, 200, 203)
	r, err := p.set.Fill("bench-2")
	if err == nil {
		err = r.Forget()
	}
	if err != nil {
		t.Fatal(err)
	}
	p.fill("bench-2", other)
	if err := p.sync(address, -1); err != nil {
		t.Fatal(err)
	}
	if rows := ask(t, address, `SELECT serial FROM station.devices WHERE bench = 'bench-2' ORDER BY 1`); !slices.Equal(rows, []string{"SN200", "SN201", "SN202"}) {
		t.Errorf("of another ledger %q", rows)
	}
	db, err := Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if err := db.Bench(t.Context(), p.set, "bench-2", time.Now()); err != nil {
		t.Fatal(err)
	}
	if rows := ask(t, address, `SELECT bench FROM station.benches WHERE revoked IS NOT NULL`); !slices.Equal(rows, []string{"bench-2"}) {
		t.Errorf("revoked are %q", rows)
	}
	fromOldTables(t, p, one, address)
	// Tables of version 1 become those of this one; a device is the bench's to which it moved last.
	do(t, address, `DROP VIEW station.site_devices`)
	do(t, address, `ALTER TABLE station.devices DROP COLUMN moves, DROP COLUMN revoked`)
	do(t, address, `CREATE VIEW station.site_devices AS SELECT DISTINCT ON (mac) * FROM station.devices ORDER BY mac, sealed DESC`)
	do(t, address, `UPDATE station.version SET version = 1`)
	again, err := Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close(t.Context())
	do(t, address, `INSERT INTO station.devices SELECT 'bench-1', '24:0a:c4:0f:0f:0f', serial, verdict, code, job, revision, batch, id, certificate, chip, true, true, visits, seen, updated, simulated, 0 FROM station.devices WHERE serial = 'SN200'`)
	do(t, address, `INSERT INTO station.devices SELECT 'bench-2', mac, serial, verdict, code, job, revision, batch, id, certificate, chip, true, false, visits, seen, updated, simulated, 1 FROM station.devices WHERE mac = '24:0a:c4:0f:0f:0f'`)
	if rows := ask(t, address, `SELECT bench FROM station.site_devices WHERE mac = '24:0a:c4:0f:0f:0f'`); !slices.Equal(rows, []string{"bench-2"}) {
		t.Errorf("a device that moved is that of %q", rows)
	}
	do(t, address, `UPDATE station.version SET version = 99`)
	if _, err := Open(t.Context(), address); !errors.Is(err, ErrNewer) {
		t.Errorf("tables of a newer version: %v", err)
	}
	for _, spoil := range []string{
		`UPDATE station.version SET version = 0`,
		`DELETE FROM station.version`,
		`ALTER TABLE station.devices DROP COLUMN serial CASCADE`,
		`ALTER TABLE station.visits DROP CONSTRAINT visits_pkey`,
		`ALTER TABLE station.batches ADD COLUMN mine text NOT NULL DEFAULT 'x'; ALTER TABLE station.batches ALTER COLUMN mine DROP DEFAULT`,
		`DROP TABLE station.visits`,
		`DROP SCHEMA station CASCADE; CREATE SCHEMA station; CREATE TABLE station.devices (mine text)`,
	} {
		do(t, address, spoil)
		if err := p.sync(address, -1); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", spoil, err)
		}
		do(t, address, `DROP SCHEMA station CASCADE`)
		if err := p.sync(address, -1); err != nil {
			t.Fatal(err)
		}
		do(t, address, `UPDATE station.benches SET entries = 0, last = '', reread = 0`)
	}
}

// fromOldTables has tables of version 1 made this version's: they tell then who was revoked, also
// before, and no row is there twice.
func fromOldTables(t *testing.T, p *plant, l *ledger.Ledger, address string) {
	t.Helper()
	revoked := chip.MAC{2, 0, 0, 0, 0, 1}
	p.append(l, record.Entry{Kind: record.IdentityRevoked, MAC: revoked, Operator: "eve", Message: "stolen", About: record.NamesIdentity(record.Identity{})})
	p.fill("bench-1", l)
	if err := p.sync(address, -1); err != nil {
		t.Fatal(err)
	}
	const told = `SELECT mac, id IS NULL FROM station.site_devices WHERE revoked IS NOT NULL`
	rows, want := ask(t, address, told), ask(t, address, everything)
	if !slices.Equal(rows, []string{revoked.String() + " true"}) {
		t.Errorf("revoked are %q", rows)
	}
	do(t, address, `DROP VIEW station.site_devices; ALTER TABLE station.devices DROP COLUMN moves, DROP COLUMN revoked; UPDATE station.version SET version = 1;
		CREATE VIEW station.site_devices AS SELECT DISTINCT ON (mac) * FROM station.devices ORDER BY mac; CREATE VIEW station.mine AS SELECT mac FROM station.site_devices`)
	if err := p.sync(address, -1); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, address, told); !slices.Equal(got, rows) {
		t.Errorf("by tables of version 1 revoked are %q", got)
	}
	if got := ask(t, address, everything); !slices.Equal(got, want) {
		t.Errorf("tables of version 1 became\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	do(t, address, `DROP VIEW station.mine`) // that of a user is still there
}

// A password in the address is refused, before anybody is asked.
func TestPassword(t *testing.T) {
	for _, address := range []string{"postgres://mes:secret@db/mes", "postgresql://mes:s%40x@db", "postgres://mes:1secret/x@db/mes", "postgres://:secret@db", "host=db password=secret", "postgres://db/mes?user=mes&password=secret", "host=db PASSWORD = 'x'"} {
		if _, err := Open(t.Context(), address); !errors.Is(err, ErrPassword) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"postgres://mes@127.0.0.1:1/mes", "postgres://127.0.0.1:1/a:b@c", "host=/nowhere user=mes"} {
		if _, err := Open(t.Context(), address); err == nil || errors.Is(err, ErrPassword) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
