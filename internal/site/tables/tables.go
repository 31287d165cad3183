package tables

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site/replica"
)

// Tables is a database.
type Tables struct {
	conn *pgx.Conn
	// Told, if not nil, hears of every transaction.
	Told func(bench string, entries, total uint64)
}

// password is one that an address holds, also where / or ? in it make the address none.
var password = regexp.MustCompile(`(?i)password\s*=|://[^/@?:]*:(\d*[^\d/@?][^@]*|[^/@?]*)@`)

// ErrPassword: everybody on a machine can read the arguments of its programs.
var ErrPassword = errors.New("it holds a password, which everybody on this machine can read there: put it into ~/.pgpass (or the file of PGPASSFILE), a service file, or PGPASSWORD")

// CheckAddress refuses an address that holds a password.
func CheckAddress(address string) error {
	if password.MatchString(address) {
		return fmt.Errorf("postgres: %w", ErrPassword)
	}
	return nil
}

// Open connects, and makes the tables where there are none, or an older version has made them. The address is a URL or the
// words of libpq; what it does not say, libpq's variables of the environment and files
// do.
func Open(ctx context.Context, address string) (*Tables, error) {
	if err := CheckAddress(address); err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if err := prepare(ctx, conn); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("postgres: %w", changed(err))
	}
	return &Tables{conn: conn}, nil
}

// Close ends the connection.
func (t *Tables) Close(ctx context.Context) { _ = t.conn.Close(ctx) }

// atOnce is how many entries one transaction takes. A variable for tests.
var atOnce uint64 = 5000

// Bench brings the tables up to a bench's ledger, some entries in each transaction.
// revoked is when the bench was put out; zero if it was not.
func (t *Tables) Bench(ctx context.Context, set *replica.Set, bench string, revoked time.Time) error {
	l := set.Ledger(bench)
	if l == nil {
		return nil
	}
	total, _, err := l.Head()
	for more := true; more && err == nil; {
		var now uint64
		err = pgx.BeginFunc(ctx, t.conn, func(tx pgx.Tx) (err error) {
			s := &step{ctx: ctx, tx: tx, l: l, bench: bench, total: total, revoked: revoked}
			now, err = s.run()
			return err
		})
		if err == nil && t.Told != nil {
			t.Told(bench, now, total)
		}
		more = now < total
	}
	if err != nil {
		return fmt.Errorf("tables of %s: %w", bench, changed(err))
	}
	return nil
}

// step is one transaction of a bench.
type step struct {
	ctx     context.Context
	tx      pgx.Tx
	l       *ledger.Ledger
	bench   string
	total   uint64 // entries of the ledger
	revoked time.Time

	entries uint64 // that the tables tell of
	last    []byte // digest of the last of them
	reread  uint64 // where the oldest visit begins that had not ended by then
	rows    pgx.Batch
}

// run takes the next entries, and returns of how many the tables tell then.
func (s *step) run() (now uint64, err error) {
	if err := s.position(); err != nil {
		return 0, err
	}
	end := min(s.total, s.entries+atOnce)
	macs, visits, err := s.read(end)
	if err != nil {
		return 0, err
	}
	for mac := range macs {
		if err := s.device(mac); err != nil {
			return 0, err
		}
	}
	for _, v := range visits {
		s.visit(v)
	}
	if err := s.batches(); err != nil {
		return 0, err
	}
	s.rows.Queue(`UPDATE station.benches SET entries = $2, last = $3, reread = $4, revoked = $5, synced = now() WHERE bench = $1`,
		s.bench, int64(end), s.last, int64(s.reread), when(s.revoked))
	return end, s.tx.SendBatch(s.ctx, &s.rows).Close()
}

// position is how far the tables are. What they tell of another ledger goes.
func (s *step) position() error {
	_, err := s.tx.Exec(s.ctx, `INSERT INTO station.benches (bench, ledger, entries, last, reread, synced) VALUES ($1, $2, 0, '', 0, now()) ON CONFLICT DO NOTHING`, s.bench, s.l.Origin())
	if err != nil {
		return err
	}
	var origin string
	var entries, reread int64
	err = s.tx.QueryRow(s.ctx, `SELECT ledger, entries, last, reread FROM station.benches WHERE bench = $1 FOR UPDATE`, s.bench).Scan(&origin, &entries, &s.last, &reread)
	if err != nil {
		return err
	}
	if s.entries, s.reread = uint64(entries), uint64(reread); origin == s.l.Origin() && s.goesOn() {
		return nil
	}
	s.entries, s.reread = 0, 0
	if _, err = s.tx.Exec(s.ctx, `DELETE FROM station.benches WHERE bench = $1`, s.bench); err == nil {
		_, err = s.tx.Exec(s.ctx, `INSERT INTO station.benches (bench, ledger, entries, last, reread, synced) VALUES ($1, $2, 0, '', 0, now())`, s.bench, s.l.Origin())
	}
	return err
}

// goesOn tells whether the ledger has the last entry that the tables tell of.
func (s *step) goesOn() bool {
	if s.entries == 0 {
		return true
	}
	if s.entries > s.total {
		return false
	}
	lines, err := s.l.LinesAt(s.entries - 1)
	return err == nil && string(digest(lines[0])) == string(s.last)
}

func digest(raw []byte) []byte {
	sum := sha256.Sum256(raw)
	return sum[:]
}

// read folds the entries up to an end: which devices they are about, and the visits that
// end there. Visits that had begun before are folded from their first entry on.
func (s *step) read(end uint64) (macs map[chip.MAC]bool, visits []*record.Visit, err error) {
	macs = map[chip.MAC]bool{}
	var fold record.Visits
	n := s.reread
	for raw, err := range s.l.Lines(n) {
		if err != nil {
			return nil, nil, err
		}
		if n == end {
			break
		}
		e, err := record.Decode(raw)
		if err != nil {
			return nil, nil, err
		}
		ended := fold.Add(&e)
		if n >= s.entries {
			visits = append(visits, ended...)
			if !e.MAC.IsZero() {
				macs[e.MAC] = true
			}
		}
		if n++; n == end {
			s.last = digest(raw)
		}
	}
	if s.reread = end; fold.Open() > 0 {
		s.reread, _ = fold.Oldest()
	}
	return macs, visits, nil
}
