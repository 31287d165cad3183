package tables

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Version is that of the schema. A column more, one that goes away or one that means
// something else makes a new one.
const Version = 2

// ErrNewer: a newer version of this program made the tables.
var ErrNewer = errors.New("a newer version of this program made these tables")

// ErrChanged: somebody else has made the tables, or changed them.
var ErrChanged = errors.New(`the schema station is not as this program makes it: where it holds nothing of yours, "DROP SCHEMA station CASCADE", and the next run makes it anew`)

// changedCodes are what PostgreSQL says where tables, columns, keys or types are others.
var changedCodes = []string{"42P01", "42703", "42P07", "42P10", "42804", "42809", "23502", "23503", "23514"}

// changed tells what to do where tables are not as this program makes them.
func changed(err error) error {
	if pg := new(pgconn.PgError); errors.As(err, &pg) && slices.Contains(changedCodes, pg.Code) {
		return fmt.Errorf("%w (%w)", ErrChanged, err)
	}
	return err
}

const create = `
CREATE TABLE station.version (version integer NOT NULL);
INSERT INTO station.version VALUES (2);
CREATE TABLE station.benches (
	bench    text PRIMARY KEY,
	ledger   text NOT NULL,
	entries  bigint NOT NULL,
	last     bytea NOT NULL,
	reread   bigint NOT NULL,
	revoked  timestamptz,
	synced   timestamptz NOT NULL
);
CREATE TABLE station.devices (
	bench text NOT NULL REFERENCES station.benches ON DELETE CASCADE,
	mac text NOT NULL, serial text, verdict text NOT NULL, code text, job text, revision text, batch text,
	id text, certificate text, chip text, keyed boolean NOT NULL, sealed boolean NOT NULL, visits integer NOT NULL,
	seen timestamptz NOT NULL, updated timestamptz NOT NULL, simulated boolean NOT NULL,
	moves integer NOT NULL DEFAULT 0,
	revoked timestamptz,
	PRIMARY KEY (bench, mac)
);
CREATE INDEX ON station.devices (mac);
CREATE INDEX ON station.devices (serial);
CREATE INDEX ON station.devices (batch);
CREATE TABLE station.visits (
	bench text NOT NULL REFERENCES station.benches ON DELETE CASCADE,
	run text NOT NULL, mac text, slot text, operator text, begun timestamptz NOT NULL, ended timestamptz NOT NULL,
	verdict text NOT NULL, code text, already boolean NOT NULL, seconds double precision, simulated boolean NOT NULL,
	PRIMARY KEY (bench, run)
);
CREATE INDEX ON station.visits (mac);
CREATE INDEX ON station.visits (ended);
CREATE TABLE station.batches (
	bench text NOT NULL REFERENCES station.benches ON DELETE CASCADE,
	batch text NOT NULL, simulated boolean NOT NULL, job text, opened timestamptz, closed timestamptz, ordered integer NOT NULL, numbers integer NOT NULL,
	refused integer NOT NULL, started integer NOT NULL, passed integer NOT NULL, scrapped integer NOT NULL, quarantined integer NOT NULL,
	PRIMARY KEY (bench, batch, simulated)
);
` + view

const view = `
CREATE OR REPLACE VIEW station.site_devices AS
	SELECT DISTINCT ON (mac) * FROM station.devices
	ORDER BY mac, moves DESC, sealed DESC, keyed DESC, CASE WHEN sealed OR keyed THEN seen END, updated DESC;
`

// upgrade makes tables of version 1 those of this one: none of their devices has moved, and
// every entry is read once more, since they do not tell who was revoked.
const upgrade = `
ALTER TABLE station.devices ADD COLUMN moves integer NOT NULL DEFAULT 0, ADD COLUMN revoked timestamptz;
UPDATE station.benches SET entries = 0, last = '', reread = 0;
UPDATE station.version SET version = 2;
` + view

// prepare makes the tables where there are none, and those of version 1 this version's. Of two
// who come at the same time one waits.
func prepare(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('station.version'))`); err != nil {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, `SELECT to_regclass('station.version') IS NOT NULL`).Scan(&there); err != nil {
			return err
		}
		if !there {
			_, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS station;"+create)
			return err
		}
		var version int
		err := tx.QueryRow(ctx, `SELECT version FROM station.version`).Scan(&version)
		switch {
		case errors.Is(err, pgx.ErrNoRows), err == nil && version < 1:
			return ErrChanged
		case err != nil, version == Version:
			return err
		case version > Version:
			return fmt.Errorf("%w: their version is %d, this program's %d", ErrNewer, version, Version)
		}
		_, err = tx.Exec(ctx, upgrade)
		return err
	})
}
