package record

import (
	"fmt"
	"slices"
	"strings"
)

// Purpose is what a device has a key for. It has one key for each, for ever.
type Purpose string

// FlashEncryption is the purpose of the key with which the chip decrypts its
// flash. A key of the token itself, of which devices' keys come, has none.
const FlashEncryption Purpose = "flash-encryption"

// Key is what an entry says of a key: all of it where the key is assigned,
// elsewhere only the purpose and the ID. It never holds the key.
type Key struct {
	Purpose Purpose `json:"purpose,omitempty"`
	// Blocks are the fuse blocks that the key is for, in its own order: a long
	// key takes two.
	Blocks   []string `json:"blocks,omitempty"`
	ID       string   `json:"id"`
	Policy   string   `json:"policy,omitempty"`
	Wrapped  []byte   `json:"wrapped,omitempty"`  // random policy: the key under the token's KEK
	Escrow   []byte   `json:"escrow,omitempty"`   // the key under an offline public key
	EscrowTo string   `json:"escrowTo,omitempty"` // SHA-256 of that public key
}

// FlashKey names a device's key for flash encryption in an entry; "" is none.
func FlashKey(id string) []Key {
	if id == "" {
		return nil
	}
	return []Key{{Purpose: FlashEncryption, ID: id}}
}

// KeyFor is the entry's key for a purpose; the zero Key where it has none.
func (e Entry) KeyFor(p Purpose) Key {
	for _, k := range e.Keys {
		if k.Purpose == p {
			return k
		}
	}
	return Key{}
}

// FlashKey is the entry's key for flash encryption.
func (e Entry) FlashKey() Key { return e.KeyFor(FlashEncryption) }

// TokenKey is the key of the token that the entry speaks of.
func (e Entry) TokenKey() Key { return e.KeyFor("") }

// KeyIDs names all keys of the entry.
func (e Entry) KeyIDs() string {
	var ids []string
	for _, k := range e.Keys {
		ids = append(ids, k.ID)
	}
	return strings.Join(ids, "; ")
}

// checkKeys tells what is wrong with the form of an entry's keys.
func checkKeys(keys []Key) error {
	seen := map[Purpose]bool{}
	for _, k := range keys {
		switch {
		case k.ID == "":
			return fmt.Errorf("the key for %q has no ID", k.Purpose)
		case seen[k.Purpose]:
			return fmt.Errorf("two keys for %q", k.Purpose)
		case slices.Contains(k.Blocks, ""):
			return fmt.Errorf("the key for %q has a block without a name", k.Purpose)
		}
		seen[k.Purpose] = true
	}
	return nil
}
