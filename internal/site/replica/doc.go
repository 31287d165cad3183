// Package replica keeps, for each bench of a site, a ledger that can be read: the
// same entries, byte for byte, that the site has of that bench in JetStream, with the
// ledger's own indexes. What reads and proves a bench's ledger reads these.
//
//	replicas/BENCH/ledger.db   the ledger
//	replicas/BENCH/times       at which entry a time begins (see times.go)
//
// All of it can be taken away: the site makes it anew from its streams. One process
// fills it, the site itself; others read beside it.
package replica
