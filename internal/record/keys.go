package record

import (
	"fmt"
	"slices"
	"strings"

	"station/internal/chip"
)

// Key is what an entry says of a key: all of it where the key is assigned,
// elsewhere only the purpose and the ID. It never holds the key.
type Key struct {
	Purpose chip.Purpose `json:"purpose,omitempty"`
	// Blocks are the fuse blocks that the key is for, in its own order: a long
	// key takes two.
	Blocks []string `json:"blocks,omitempty"`
	// Bits is the length of a key for flash encryption where that is not the usual one.
	Bits     int    `json:"bits,omitempty"`
	ID       string `json:"id"`
	Policy   string `json:"policy,omitempty"`
	Wrapped  []byte `json:"wrapped,omitempty"`  // random policy: the key under the token's KEK
	Escrow   []byte `json:"escrow,omitempty"`   // the key under an offline public key
	EscrowTo string `json:"escrowTo,omitempty"` // SHA-256 of that public key
}

// FlashKey names a device's key for flash encryption in an entry; "" is none.
func FlashKey(id string) []Key {
	if id == "" {
		return nil
	}
	return []Key{{Purpose: chip.FlashEncryption, ID: id}}
}

// KeyFor is the entry's key for a purpose; the zero Key where it has none.
func (e Entry) KeyFor(p chip.Purpose) Key { return keyFor(e.Keys, p) }

// FlashKey is the entry's key for flash encryption.
func (e Entry) FlashKey() Key { return e.KeyFor(chip.FlashEncryption) }

// KeyFor is the device's key for a purpose; the zero Key where it has none.
func (d Device) KeyFor(p chip.Purpose) Key { return keyFor(d.Keys, p) }

// FlashKey is the device's key for flash encryption.
func (d Device) FlashKey() Key { return d.KeyFor(chip.FlashEncryption) }

func keyFor(keys []Key, p chip.Purpose) Key {
	for _, k := range keys {
		if k.Purpose == p {
			return k
		}
	}
	return Key{}
}

// NamedKeys are the device's keys by purpose and ID, as an entry names them.
func (d Device) NamedKeys() []Key {
	var out []Key
	for _, k := range d.Keys {
		out = append(out, Key{Purpose: k.Purpose, ID: k.ID})
	}
	return out
}

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
	for i, k := range keys {
		switch {
		case k.ID == "":
			return fmt.Errorf("the key for %q has no ID", k.Purpose)
		case slices.ContainsFunc(keys[:i], func(o Key) bool { return o.Purpose == k.Purpose }):
			return fmt.Errorf("two keys for %q", k.Purpose)
		case slices.Contains(k.Blocks, ""):
			return fmt.Errorf("the key for %q has a block without a name", k.Purpose)
		}
	}
	return nil
}
