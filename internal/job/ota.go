package job

import (
	"slices"

	"station/internal/chip"
	"station/internal/tomlfile"
)

// OTA is a key that all devices of a fleet have in their fuses, of which their chips make
// the private key that opens pre-encrypted updates (ECIES of esp_encrypted_img).
type OTA struct {
	KeyID *int   `toml:"key_id"` // number of the key block, 0 to 5, as the firmware has it
	Label string `toml:"label"`  // of the token's shared key
}

// Key is the key as the token has it: shared, because one update is for all devices.
func (o *OTA) Key() Key { return Key{Policy: "shared", Label: o.Label} }

// ota checks the table.
func (j *Job) ota(f *tomlfile.File) {
	o := j.OTA
	if o == nil {
		return
	}
	use, has := j.hmacKey(f, "ota", chip.HMACUpdates, `leave [ota] out, and give "release add" the fleet's RSA key`)
	if !has {
		return
	}
	o.KeyID = keyID(f, "ota.key_id", o.KeyID, use, "hmac_key_id of its esp_decrypt_cfg_t")
	if j.HMAC != nil && j.HMAC.KeyID != nil && *j.HMAC.KeyID == *o.KeyID {
		f.Fault("ota.key_id", "is that of [hmac]; one block holds one key: write another")
	}
	others := []string{j.Key.Label, j.SecureBoot.Label}
	if j.HMAC != nil {
		others = append(others, j.HMAC.Label)
	}
	switch {
	case o.Label == "":
		f.Fault("ota.label", `is missing; write the label of the token's shared key, as "station key new" made it`)
	case slices.Contains(others, o.Label):
		f.Fault("ota.label", "is that of another key of the devices; one key has one purpose: write another")
	}
}
