package site

import (
	"encoding/base64"
	"errors"
)

// LeaseWanted asks for numbers of a lot.
type LeaseWanted struct {
	Lot string `json:"lot"`
	// Turn is the number of the lease that the bench's ledger has not got yet: who asks
	// again gets what he was given.
	Turn int `json:"turn"`
	// Before is how many numbers of the lot the bench took before its first lease.
	Before int `json:"before"`
	// Quota is how many devices the lot may have, as the bench knows it; 0 is no limit.
	Quota int `json:"quota"`
	// Size is how many numbers the bench would like.
	Size int `json:"size"`
}

// LotKey is where the numbers of a lot are kept: keys of buckets hold no colons.
func LotKey(lot string) string { return base64.RawURLEncoding.EncodeToString([]byte(lot)) }

// ErrFull: all numbers of a lot belong to benches.
var ErrFull = errors.New("the quota is used up")

// Full is ErrFull with the site's words: how large the quota is, and who has which numbers.
type Full string

func (f Full) Error() string { return string(f) }

// Is tells that it is ErrFull.
func (f Full) Is(target error) bool { return target == ErrFull }
