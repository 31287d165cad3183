package hsm

import (
	"crypto/rsa"
	"encoding/binary"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"
)

// attributes are what the token really set, by CKA. One that the token does
// not know or does not tell is missing.
type attributes map[uint][]byte

func (a attributes) flag(attr uint) bool { return len(a[attr]) == 1 && a[attr][0] != 0 }

// number reads a CK_ULONG, in the byte order of the machine.
func (a attributes) number(attr uint) uint {
	switch b := a[attr]; len(b) {
	case 8:
		return uint(binary.NativeEndian.Uint64(b))
	case 4:
		return uint(binary.NativeEndian.Uint32(b))
	}
	return 0
}

// rsa is the public key that the attributes tell, also those of a private key.
func (a attributes) rsa() (*rsa.PublicKey, bool) {
	n, e := a[pkcs11.CKA_MODULUS], new(big.Int).SetBytes(a[pkcs11.CKA_PUBLIC_EXPONENT])
	if len(n) == 0 || e.Sign() <= 0 || !e.IsInt64() || e.Int64() > 1<<31-1 {
		return nil, false
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(e.Int64())}, true
}

// attributeNames are the attributes read back of every key, none of which is
// the key.
var attributeNames = map[uint]string{
	pkcs11.CKA_CLASS: "CLASS", pkcs11.CKA_KEY_TYPE: "KEY_TYPE", pkcs11.CKA_LABEL: "LABEL", pkcs11.CKA_ID: "ID",
	pkcs11.CKA_VALUE_LEN: "VALUE_LEN", pkcs11.CKA_CHECK_VALUE: "CHECK_VALUE",
	pkcs11.CKA_TOKEN: "TOKEN", pkcs11.CKA_PRIVATE: "PRIVATE", pkcs11.CKA_MODIFIABLE: "MODIFIABLE",
	pkcs11.CKA_SENSITIVE: "SENSITIVE", pkcs11.CKA_EXTRACTABLE: "EXTRACTABLE", pkcs11.CKA_LOCAL: "LOCAL",
	pkcs11.CKA_ALWAYS_SENSITIVE: "ALWAYS_SENSITIVE", pkcs11.CKA_NEVER_EXTRACTABLE: "NEVER_EXTRACTABLE",
	pkcs11.CKA_ENCRYPT: "ENCRYPT", pkcs11.CKA_DECRYPT: "DECRYPT", pkcs11.CKA_SIGN: "SIGN", pkcs11.CKA_VERIFY: "VERIFY",
	pkcs11.CKA_SIGN_RECOVER: "SIGN_RECOVER", pkcs11.CKA_WRAP: "WRAP", pkcs11.CKA_UNWRAP: "UNWRAP", pkcs11.CKA_DERIVE: "DERIVE",
	pkcs11.CKA_EC_PARAMS: "EC_PARAMS", pkcs11.CKA_EC_POINT: "EC_POINT",
}

// read asks for all attributes of an object.
func (t *Token) read(h pkcs11.ObjectHandle) (attributes, error) {
	a, err := t.mod.fn.Attributes(t.session, h, slices.Sorted(maps.Keys(attributeNames)))
	return a, failure("read attributes", err)
}

// find lists the objects that have all the given attributes.
func (t *Token) find(template ...*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	all, err := t.mod.fn.Find(t.session, template)
	return all, failure("find objects", err)
}

// key finds the one key of that label and role and refuses it if its
// attributes are not as the role demands. It is looked up at every use: what
// happened to the token in between is seen.
func (t *Token) key(role Role, label string) (pkcs11.ObjectHandle, attributes, error) {
	s, ok := roles[role]
	if !ok {
		return 0, nil, fmt.Errorf("no such role %q", role)
	}
	if err := checkLabel(label); err != nil {
		return 0, nil, err
	}
	h, err := t.only(s.class, label)
	if err != nil {
		return 0, nil, err
	}
	a, err := t.read(h)
	if err != nil {
		return 0, nil, fmt.Errorf("key %q: %w", label, err)
	}
	if bad := s.judge(a, t.cfg.AllowImported); len(bad) > 0 {
		return 0, nil, fmt.Errorf("key %q: %w: %s", label, ErrAttributes, strings.Join(bad, "; "))
	}
	return h, a, nil
}

// only finds the one key of that class and label.
func (t *Token) only(class uint, label string) (pkcs11.ObjectHandle, error) {
	found, err := t.find(
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, class),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label))
	switch {
	case err != nil:
		return 0, err
	case len(found) == 0:
		return 0, fmt.Errorf("key %q: %w in token %q", label, ErrNoKey, t.info.Label)
	case len(found) > 1:
		return 0, fmt.Errorf("key %q: %w: the token has %d of that label", label, ErrAmbiguous, len(found))
	}
	return found[0], nil
}

// destroy takes an object away.
func (t *Token) destroy(h pkcs11.ObjectHandle) error {
	return failure("destroy object", t.mod.fn.DestroyObject(t.session, h))
}

var classNames = map[uint]string{
	pkcs11.CKO_DATA: "data", pkcs11.CKO_CERTIFICATE: "certificate", pkcs11.CKO_PUBLIC_KEY: "public key",
	pkcs11.CKO_PRIVATE_KEY: "private key", pkcs11.CKO_SECRET_KEY: "secret key",
}

var kindNames = map[uint]string{
	pkcs11.CKK_RSA: "RSA", pkcs11.CKK_EC: "EC", pkcs11.CKK_AES: "AES", pkcs11.CKK_DES3: "DES3",
	pkcs11.CKK_GENERIC_SECRET: "generic", pkcs11.CKK_SHA256_HMAC: "HMAC-SHA-256", 0x40: "Edwards",
}

// typeName reads "AES secret key".
func typeName(class, kind uint) string {
	name, ok := classNames[class]
	if !ok {
		return fmt.Sprintf("object of class %#x", class)
	}
	switch class {
	case pkcs11.CKO_DATA, pkcs11.CKO_CERTIFICATE:
		return name
	}
	if k, ok := kindNames[kind]; ok {
		return k + " " + name
	}
	return fmt.Sprintf("%s of type %#x", name, kind)
}
