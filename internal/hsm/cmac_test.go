package hsm_test

import (
	"bytes"
	"testing"

	"github.com/miekg/pkcs11"

	"station/internal/chip"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
)

// aesMaster puts the AES key into the token as a master that derives with
// AES-CMAC, and vouches for it.
func aesMaster(t *testing.T, cfg hsm.Config, label string, value []byte, check string) hsm.Config {
	t.Helper()
	var list []*pkcs11.Attribute
	for _, a := range hsmtest.MasterTemplate(label) {
		if a.Type == pkcs11.CKA_KEY_TYPE {
			a = pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES)
		}
		list = append(list, a)
	}
	hsmtest.Create(t, cfg, append(list, pkcs11.NewAttribute(pkcs11.CKA_VALUE, value))...)
	return hsmtest.Vouch(cfg, hsm.Noted{Role: hsm.Master, Label: label, Check: check})
}

// Known answers by OpenSSL 3.0.19, whose KBKDF puts the counter of 32 bits
// before label, zero, context and length in bits, as we do:
//
//	openssl kdf -keylen 32 -kdfopt mac:CMAC -kdfopt cipher:AES-256-CBC \
//	  -kdfopt hexkey:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f \
//	  -kdfopt "salt:station flash encryption v1" -kdfopt hexinfo:6573703332240ac4010203 KBKDF
//	printf 'station key check v1' | openssl mac -cipher AES-256-CBC -macopt hexkey:0001… CMAC
func TestDerivationWithCMAC(t *testing.T) {
	value := fromHex(t, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	const check = "271dc51216753987"
	cfg := aesMaster(t, hsmtest.Token(t, hsm.Master), "cards", value, check)
	token := hsmtest.Open(t, cfg)
	for size, want := range map[int]string{
		32: "4e6069770a82fc873c853fdf36c9e55235e11114b0b0925fee234435b7c61cf7",
		24: "24593e121000a2d2882e94b2fd24f5f504d9f79b17b44def",
	} {
		for _, prf := range []hsm.PRF{hsm.CMAC, ""} { // "": a key that is recovered
			k := deviceKey(t, token, hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: size, Policy: hsm.Derived, Label: "cards", PRF: prf})
			if !bytes.Equal(k.Secret.Reveal(), fromHex(t, want)) {
				t.Errorf("%d bytes, %q: got %x, want %s", size, prf, k.Secret.Reveal(), want)
			}
		}
	}
	k, err := token.Show(t.Context(), "cards")
	if err != nil || k.Check != check || len(k.Problems) > 0 {
		t.Errorf("got %+v, %v, want the check value %s", k, err, check)
	}
	// A job and its master must agree on the function.
	for label, prf := range map[string]hsm.PRF{"cards": hsm.HMAC, "station-master": hsm.CMAC} {
		_, err := token.DeviceKey(t.Context(), hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: hsm.Derived, Label: label, PRF: prf})
		wantError(t, err, hsm.ErrAttributes, "and the job says prf = \""+string(prf)+"\"")
	}
}

// A key of another program is judged, does its work once, and is used from its
// note on; never where the station takes the word of the token alone.
func TestAdopt(t *testing.T) {
	cfg := hsmtest.Token(t)
	change := func(label string, id string, edits map[uint]any) {
		var list []*pkcs11.Attribute
		for _, a := range hsmtest.MasterTemplate(label) {
			if v, ok := edits[a.Type]; ok {
				a = pkcs11.NewAttribute(a.Type, v)
			}
			if a.Type == pkcs11.CKA_ID {
				a = pkcs11.NewAttribute(pkcs11.CKA_ID, id)
			}
			list = append(list, a)
		}
		hsmtest.Create(t, cfg, append(list, pkcs11.NewAttribute(pkcs11.CKA_VALUE, hsmtest.Master))...)
	}
	change("theirs", "01", nil)
	change("open", "02", map[uint]any{uint(pkcs11.CKA_WRAP): true})
	token := hsmtest.Open(t, cfg)
	_, err := token.DeviceKey(t.Context(), hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: hsm.Derived, Label: "theirs"})
	wantError(t, err, hsm.ErrAttributes, "station key adopt theirs")
	_, err = token.Adopt(t.Context(), "open", "")
	wantError(t, err, hsm.ErrAttributes, "as master: WRAP is true")
	_, err = token.Adopt(t.Context(), "theirs", hsm.KEK)
	wantError(t, err, hsm.ErrAttributes, "as kek: its type is generic secret key")
	k, err := token.Adopt(t.Context(), "theirs", "")
	if err != nil || k.Role != hsm.Master || k.Check != hsmtest.Check(hsmtest.Master) {
		t.Fatalf("got %+v, %v", k, err)
	}
	want := deviceKey(t, token, hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: hsm.Derived, Label: "theirs"})
	noted := hsmtest.Vouch(cfg, hsm.Noted{Role: k.Role, Label: k.Label, Check: k.Check})
	again := hsmtest.Open(t, noted) // as the next program does, which reads the note
	if got := deviceKey(t, again, hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: hsm.Derived, Label: "theirs"}); got.ID != want.ID {
		t.Errorf("got %s, want %s", got.ID, want.ID)
	}
	keys, err := again.Keys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].Role != hsm.Master || len(keys[0].Problems) > 0 {
		t.Errorf("listed as %+v, %v", keys, err)
	}
	noted.OwnOnly = true
	_, err = hsmtest.Open(t, noted).DeviceKey(t.Context(), hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: hsm.Derived, Label: "theirs"})
	wantError(t, err, hsm.ErrAttributes, "LOCAL is false", `[hsm] origin = "token"`)
}
