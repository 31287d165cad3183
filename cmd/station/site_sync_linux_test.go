package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/record"
	"station/internal/site/outbox"
)

// database is a PostgreSQL of its own, in a folder that goes.
type database struct {
	t        *testing.T
	bin, dir string
	as       *syscall.SysProcAttr
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		t.Fatal("Debian's postgresql is not there: make deps")
	}
	d := &database{t: t, bin: found[len(found)-1], as: &syscall.SysProcAttr{}}
	if d.dir, err = os.MkdirTemp("", "pg"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(d.dir) })
	if os.Getuid() == 0 { // as whom it does not run
		who, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(who.Uid)
		gid, _ := strconv.Atoi(who.Gid)
		d.as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(d.dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	d.must("initdb", "-D", d.data(), "-U", "mes", "--auth=trust", "--no-sync")
	t.Cleanup(func() { _, _ = d.run("pg_ctl", "-D", d.data(), "-m", "immediate", "stop") })
	return d
}

func (d *database) data() string { return filepath.Join(d.dir, "data") }

func (d *database) address() string { return "host=" + d.dir + " user=mes dbname=postgres" }

func (d *database) run(name string, args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(d.bin, name), args...)
	cmd.SysProcAttr, cmd.Dir, cmd.Env = d.as, d.dir, append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (d *database) must(name string, args ...string) {
	d.t.Helper()
	if out, err := d.run(name, args...); err != nil {
		d.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func (d *database) start() {
	d.t.Helper()
	d.must("pg_ctl", "-D", d.data(), "-w", "-l", filepath.Join(d.dir, "log"), "-o", "-k "+d.dir+" -c listen_addresses= -c fsync=off", "start")
}

// until waits until a query answers so.
func (d *database) until(query, want string) {
	d.t.Helper()
	for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		out, err := d.run("psql", "-h", d.dir, "-U", "mes", "-Atc", query, "postgres")
		if err == nil && out == want {
			return
		}
		if time.Now().After(until) {
			d.t.Fatalf("%s: %s, %v; want %s", query, out, err, want)
		}
	}
}

// What follows a site goes on with what comes, waits for a database that is away, takes nothing twice,
// and ends when it is told to.
func TestSiteSyncGoesOn(t *testing.T) {
	defer func(d time.Duration) { syncEvery = d }(syncEvery)
	syncEvery = 10 * time.Millisecond
	w := &workplace{t: t, dir: t.TempDir(), bin: install(t)}
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	w.write("station.toml", "id = \"bench-1\"\n")
	cmd := w.siteProcess()
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	pass, book := w.benchOfSite()
	visit := func(n byte) {
		t.Helper()
		e := record.Entry{Kind: record.DeviceSeen, MAC: chip.MAC{2, 0, 0, 0, 0, n}, Job: "lamp", Run: fmt.Sprint("run-", n), Slot: "1", Simulated: true}
		end := e
		end.Kind, end.Verdict, end.Code = record.Failed, record.Scrap, "E-FUSES"
		if _, err := book.AppendAll([]record.Entry{e, end}); err != nil {
			t.Fatal(err)
		}
		if _, err := (&outbox.Outbox{Pass: pass, Ledger: book}).Push(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	d := newDatabase(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { // the database is not there yet
		ended <- (&siteFlags{options: &options{}, dir: filepath.Join(w.dir, "site")}).syncOn(ctx, d.address())
	}()
	const all = `SELECT count(*), count(DISTINCT run) FROM station.visits`
	visit(1)
	d.start()
	d.until(all, "1|1")
	visit(2)
	d.until(all, "2|2")
	d.must("pg_ctl", "-D", d.data(), "-m", "immediate", "-w", "stop")
	visit(3)
	d.start()
	d.until(all, "3|3")
	d.until(`SELECT entries FROM station.benches`, "7")
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
}
