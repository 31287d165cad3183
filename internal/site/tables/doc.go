// Package tables keeps what the readable ledgers of a site say in tables of a
// PostgreSQL database, for programs that speak SQL: docs/sql.md describes them. With
// what a bench's entries bring goes, in the same transaction, how many of its entries
// the tables tell of; so whatever ends a transfer loses nothing, and brings nothing
// twice.
package tables
