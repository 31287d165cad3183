package job

import (
	"cmp"
	"crypto/rsa"
	"fmt"
	"slices"

	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/tomlfile"
)

// HMAC is a key of the devices that their firmware cannot read, and has the chip
// compute HMACs with: the keys of its NVS, and what else it derives.
type HMAC struct {
	// KeyID is the number of the key block, 0 to 5, as the firmware has it
	// (CONFIG_NVS_SEC_HMAC_EFUSE_KEY_ID).
	KeyID *int `toml:"key_id"`
	// Policy, Label and PRF say where the key of a device comes from; empty: as the
	// flash key does.
	Policy string `toml:"policy"`
	Label  string `toml:"label"`
	PRF    string `toml:"prf"`
	Escrow string `toml:"escrow"` // as of [key]; absent: key.escrow

	escrowKey *rsa.PublicKey
}

// Key is the key as the token makes it.
func (h *HMAC) Key() Key {
	return Key{Policy: h.Policy, Label: h.Label, PRF: h.PRF, escrowKey: h.escrowKey}
}

// keyID checks the number of a block; firmware has it under the name called.
func keyID(f *tomlfile.File, at string, id *int, use chip.KeyUse, called string) *int {
	last := len(use.Blocks) - 1
	if id != nil && *id >= 0 && *id <= last {
		return id
	}
	f.Fault(at, "write the number of the key block that the firmware names, 0 to %d (%s)", last, called)
	return &last // for the checks that follow
}

// hmacKey is how the chip holds a key for HMACs; a chip that has none is a fault
// of the table that wants it.
func (j *Job) hmacKey(f *tomlfile.File, table string, purpose chip.Purpose, instead string) (chip.KeyUse, bool) {
	use, has := j.Chip().Seal.Keys[purpose]
	if !has {
		f.Fault(table, "the %s does not compute HMACs with a key in its fuses; %s", j.Chip().Title, instead)
	}
	return use, has
}

// hmac checks the table.
func (j *Job) hmac(f *tomlfile.File) {
	h := j.HMAC
	if h == nil {
		return
	}
	use, has := j.hmacKey(f, "hmac", chip.HMAC, "leave [hmac] out")
	if !has {
		return
	}
	h.KeyID = keyID(f, "hmac.key_id", h.KeyID, use, "CONFIG_NVS_SEC_HMAC_EFUSE_KEY_ID")
	h.Policy, h.Label = cmp.Or(h.Policy, j.Key.Policy, "derived"), cmp.Or(h.Label, j.Key.Label)
	if h.Policy == "derived" && h.Policy == j.Key.Policy {
		h.PRF = cmp.Or(h.PRF, j.Key.PRF)
	}
	j.madeBy(f, "hmac", h.Key())
	switch {
	case h.Policy != "shared":
	case j.Key.Policy == "shared" && h.Label == j.Key.Label:
		f.Fault("hmac.label", "is that of the key for flash encryption; one key has one purpose: write another")
	default:
		j.Warnings = append(j.Warnings, "hmac.policy = \"shared\": the devices encrypt their NVS with the same keys, so that what is in one can be put into another")
	}
}

// madeBy checks how a table says where a key comes from.
func (j *Job) madeBy(f *tomlfile.File, table string, k Key) {
	if k.Label == "" {
		f.Fault(table+".label", `is missing; write the label of the token's key, as "station hsm init" made it`)
	}
	for _, word := range []struct {
		key, value string
		known      []string
	}{{"policy", k.Policy, []string{"derived", "random", "shared"}}, {"prf", cmp.Or(k.PRF, "hmac-sha256"), []string{"hmac-sha256", "aes-cmac"}}} {
		if _, err := Word([]byte(word.value), word.known...); err != nil {
			f.Fault(table+"."+word.key, "%v", err)
		}
	}
	if k.PRF != "" && k.Policy != "derived" && slices.Contains([]string{"random", "shared"}, k.Policy) {
		f.Fault(table+".prf", "belongs to policy = \"derived\" alone; leave it out")
	}
}

// hmacKeys are what the burn plan needs; none without the tables.
func (j *Job) hmacKeys() (list []efuse.HMACKey) {
	if _, has := j.Chip().Seal.Keys[chip.HMAC]; !has {
		return nil
	}
	if h := j.HMAC; h != nil {
		list = append(list, efuse.HMACKey{Purpose: chip.HMAC, Block: fmt.Sprint("BLOCK_KEY", *h.KeyID), Policy: h.Key().Origin()})
	}
	if o := j.OTA; o != nil {
		list = append(list, efuse.HMACKey{Purpose: chip.HMACUpdates, Block: fmt.Sprint("BLOCK_KEY", *o.KeyID), Policy: o.Key().Origin()})
	}
	return list
}
