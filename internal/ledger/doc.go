// Package ledger is the append-only record of a station in one bbolt file, and
// what proves it. It holds no key material: package record has no field for it.
//
// The file has these buckets (numbers are big-endian, so that keys are in
// order):
//
//	entries      index u64 → hashes | JSON       the log, packed (see pack.go)
//	dictionaries index u64 → entries before it   what entries are packed against
//	checkpoints  tree size u64 → signed note     heads of the log, signed (C2SP tlog-checkpoint)
//	devices      MAC → index u64 | JSON          projections: record.Device by MAC, without
//	                                             its images (the last entry in it),
//	recent       MAC → index u64, count u8       devices whose projection lacks their last
//	                                             entries: the last one, how many,
//	keys         key ID → MAC, or nothing        its owner; nothing for a shared key;
//	                                             serial numbers too, as serial:…,
//	approvals    digest 0 station → index u64    burn plans that a person approved,
//	lots         lot → JSON                      record.Lot: quotas and counts,
//	signers      public key → index u64          keys that sign the checkpoints
//	tokens       serial 0 key's name → index u64 what was noted last of a token's key
//	state        format, projection, projected
//
// An entry's JSON is what encoding/json makes of record.Entry, and exactly
// those bytes are the leaf of a Merkle tree (RFC 6962, SHA-256). Before the
// JSON stand the hashes that the leaf completes: its own, and one for every
// subtree whose last leaf it is (x/mod sumdb/tlog, StoredHashes; the
// number of trailing ones of the index, plus one). So the tree needs no bucket
// of its own, and hash (level, n) stands with entry (n+1)<<level - 1.
//
// Each entry of a device names the one before (Prev): inside the log a device's
// entries are a chain, of which none can be left out.
//
// The projections are written in the entry's own transaction, carry a CRC-32C
// over key and value in front, and can be rebuilt from the log. A device's own
// is written when it is first seen and when a visit ends; in between recent
// says how far its chain goes, and who reads the device folds those entries.
//
// Reading does not go through bbolt: package boltfile reads the pages of a
// snapshot without a lock. A reader announces itself with a lock on a byte
// that no file has; as long as a writer sees such a lock it keeps the pages of
// the last commits (maxPins) from being used again. A reader that took longer
// than that notices and looks again. So readers never wait for the writer, nor
// the writer for them.
//
// One process writes. Others of its machine and user, and root's, may be its
// guests: it appends remarks and administration for them (OpenDoor,
// OpenGuest).
package ledger
