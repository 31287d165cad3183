package hsm

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/miekg/pkcs11"
)

// Key is what may be told of a key in the token: all but the key.
type Key struct {
	Role  Role   `json:"role,omitempty"` // "" where it is not ours
	Label string `json:"label"`
	ID    string `json:"id"`   // CKA_ID, hexadecimal where it is not text
	Type  string `json:"type"` // "AES secret key"
	Bits  int    `json:"bits,omitempty"`
	// Check is the check value: of a secret CheckValue, of an AES key what the
	// token gives (3 bytes, CKA_CHECK_VALUE), or the like of CheckValue with
	// AES-CMAC if it derives; of a key pair the first 8 bytes of SHA-256 over its public key in DER (SubjectPublicKeyInfo).
	Check      string   `json:"check,omitempty"`
	Attributes []string `json:"attributes"`         // the true ones, as PKCS#11 names them
	Problems   []string `json:"problems,omitempty"` // why it is not used, or should not be
	// Public is the public half of a private key, *ecdsa.PublicKey or *rsa.PublicKey.
	Public crypto.PublicKey `json:"-"`
}

// Keys lists our keys in the token by role and label, each with what is wrong
// with it.
func (t *Token) Keys(ctx context.Context) ([]Key, error) {
	return call(ctx, t, repeat, func() ([]Key, error) {
		ours, _, err := t.inventory()
		return ours, err
	})
}

// Show describes the one key of that label, ours or not. Errors: ErrNoKey,
// ErrAmbiguous.
func (t *Token) Show(ctx context.Context, label string) (Key, error) {
	return call(ctx, t, repeat, func() (Key, error) {
		var found []object
		for _, class := range []uint{pkcs11.CKO_SECRET_KEY, pkcs11.CKO_PRIVATE_KEY} {
			some, err := t.find(newAttribute(pkcs11.CKA_CLASS, class), newAttribute(pkcs11.CKA_TOKEN, true),
				newAttribute(pkcs11.CKA_LABEL, label))
			if err != nil {
				return Key{}, err
			}
			found = append(found, some...)
		}
		switch len(found) {
		case 0:
			return Key{}, fmt.Errorf("key %q: %w in token %q", label, ErrNoKey, t.info.Label)
		case 1:
			k, err := t.describe(found[0])
			if err == nil {
				err = t.check(found[0], &k)
			}
			return k.Key, err
		}
		return Key{}, fmt.Errorf("key %q: %w: the token has %d of that label", label, ErrAmbiguous, len(found))
	})
}

// described is a Key with what only this package needs of it.
type described struct {
	Key
	class, kind uint
}

// describe reads an object's attributes and judges it by its role.
func (t *Token) describe(h object) (described, error) {
	a, err := t.read(h)
	if err != nil {
		return described{}, err
	}
	d, err := t.tell(h, a)
	if err != nil {
		return described{}, err
	}
	if d.Role == "" || d.class == pkcs11.CKO_PUBLIC_KEY {
		return d, nil
	}
	bad := roles[d.Role].judge(a)
	if len(bad) == 0 {
		if bad, err = t.doubts(d.Role, d.Label, h, a); err != nil && t.lost(err) {
			return described{}, err
		} else if err != nil {
			bad = append(bad, err.Error())
		}
	}
	d.Problems = append(bad, d.Problems...)
	return d, nil
}

// tell puts an object's attributes into words.
func (t *Token) tell(h object, a attributes) (described, error) {
	d := described{class: a.number(pkcs11.CKA_CLASS), kind: a.number(pkcs11.CKA_KEY_TYPE)}
	d.Role, d.Label, d.ID = t.role(a), string(a[pkcs11.CKA_LABEL]), idText(a[pkcs11.CKA_ID])
	d.Type, d.Bits = typeName(d.class, d.kind), int(a.number(pkcs11.CKA_VALUE_LEN))*8
	for attr, name := range attributeNames {
		if a.flag(attr) && !slices.Contains(values, attr) {
			d.Attributes = append(d.Attributes, name)
		}
	}
	slices.Sort(d.Attributes)
	if pub, ok := a.rsa(); ok && d.kind == pkcs11.CKK_RSA {
		d.Bits = pub.N.BitLen()
		if d.class == pkcs11.CKO_PRIVATE_KEY {
			d.Public = pub
		}
	}
	if d.class == pkcs11.CKO_PRIVATE_KEY && d.kind == pkcs11.CKK_EC {
		// The public half lies beside it under the same label and ID.
		pub, err := t.public(a[pkcs11.CKA_LABEL], a[pkcs11.CKA_ID])
		switch {
		case err == nil:
			d.Public, d.Bits = pub, pub.Curve.Params().BitSize
		case t.lost(err):
			return described{}, err
		case d.Role != "":
			d.Problems = append(d.Problems, err.Error())
		}
	}
	if d.class == pkcs11.CKO_SECRET_KEY && d.kind == pkcs11.CKK_AES {
		d.Check = hex.EncodeToString(a[pkcs11.CKA_CHECK_VALUE])
	}
	return d, nil
}

// check finds the check value: in the token if the key can sign, else from the
// key itself if it can leave. SoftHSM has no HMAC under keys of less than 32
// bytes and does not tell the length of a key that was unwrapped into it. A
// key that can do neither has no check value.
func (t *Token) check(h object, d *described) error {
	if d.Public != nil {
		der, err := x509.MarshalPKIXPublicKey(d.Public)
		if err != nil {
			return fmt.Errorf("public key: %w", err)
		}
		sum := sha256.Sum256(der)
		d.Check = checkText(sum[:])
		return nil
	}
	if d.class != pkcs11.CKO_SECRET_KEY {
		return nil
	}
	if d.Role == SharedKey && d.can("EXTRACTABLE") && d.Bits != 256 {
		key, err := t.export(h, d.Label)
		if err != nil {
			return err
		}
		defer key.Destroy()
		d.Bits = key.Len() * 8
		d.Check, err = CheckValue(key)
		return err
	}
	prf := HMAC
	switch d.kind {
	case pkcs11.CKK_GENERIC_SECRET, pkcs11.CKK_SHA256_HMAC:
	case pkcs11.CKK_AES:
		prf = CMAC
	default:
		return nil
	}
	if !d.can("SIGN") {
		return nil
	}
	mac, err := t.mac(prf, h, d.Label, []byte(CheckLabel))
	if err != nil {
		return err
	}
	defer mac.Destroy()
	d.Check = checkText(mac.Reveal())
	return nil
}

func (d *described) can(attribute string) bool { return slices.Contains(d.Attributes, attribute) }

// inventory lists all objects of the token: keys of ours, and the rest.
func (t *Token) inventory() (ours, others []Key, err error) {
	found, err := t.find(newAttribute(pkcs11.CKA_TOKEN, true))
	if err != nil {
		return nil, nil, err
	}
	count := map[string]int{}
	for _, h := range found {
		d, err := t.describe(h)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case d.Role == "":
			others = append(others, d.Key)
			continue
		case d.class == pkcs11.CKO_PUBLIC_KEY: // told with its private half
			continue
		}
		if err := t.check(h, &d); err != nil && t.lost(err) {
			return nil, nil, err
		} else if err != nil {
			d.Problems = append(d.Problems, "no check value: "+err.Error())
		}
		count[d.Label]++
		ours = append(ours, d.Key)
	}
	for i, k := range ours {
		if n := count[k.Label]; n > 1 {
			ours[i].Problems = append(ours[i].Problems, fmt.Sprintf("%d keys have this label: none of them is used", n))
		}
	}
	byLabel := func(a, b Key) int {
		return cmp.Or(strings.Compare(string(a.Role), string(b.Role)), strings.Compare(a.Label, b.Label), strings.Compare(a.ID, b.ID))
	}
	slices.SortFunc(ours, byLabel)
	slices.SortFunc(others, byLabel)
	return ours, others, nil
}

// idText shows a CKA_ID as text where it is some.
func idText(id []byte) string {
	printable := func(r rune) bool { return r != unicode.ReplacementChar && unicode.IsPrint(r) }
	if !bytes.ContainsFunc(id, func(r rune) bool { return !printable(r) }) {
		return string(id)
	}
	return hex.EncodeToString(id)
}
