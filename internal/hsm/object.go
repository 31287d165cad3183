package hsm

import (
	"crypto/rsa"
	"encoding/binary"
	"fmt"
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
	pkcs11.CKA_MODULUS: "MODULUS", pkcs11.CKA_PUBLIC_EXPONENT: "PUBLIC_EXPONENT",
	pkcs11.CKA_EC_PARAMS: "EC_PARAMS", pkcs11.CKA_EC_POINT: "EC_POINT",
}

// values are those of them that are no flags, and may look like one.
var values = []uint{pkcs11.CKA_CLASS, pkcs11.CKA_KEY_TYPE, pkcs11.CKA_LABEL, pkcs11.CKA_ID, pkcs11.CKA_VALUE_LEN, pkcs11.CKA_CHECK_VALUE,
	pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT, pkcs11.CKA_EC_PARAMS, pkcs11.CKA_EC_POINT}

// anyKey stands for the class of a key that is secret or private.
const anyKey = 1<<32 - 1

// wanted are the attributes that are read of an object of a class.
func wanted(class uint) (list []uint) {
	keys := []uint{pkcs11.CKA_CLASS, pkcs11.CKA_KEY_TYPE, pkcs11.CKA_LABEL, pkcs11.CKA_ID, pkcs11.CKA_TOKEN, pkcs11.CKA_PRIVATE, pkcs11.CKA_MODIFIABLE}
	secret := []uint{pkcs11.CKA_SENSITIVE, pkcs11.CKA_EXTRACTABLE, pkcs11.CKA_LOCAL, pkcs11.CKA_ALWAYS_SENSITIVE, pkcs11.CKA_NEVER_EXTRACTABLE,
		pkcs11.CKA_DECRYPT, pkcs11.CKA_SIGN, pkcs11.CKA_UNWRAP, pkcs11.CKA_DERIVE}
	switch class {
	case anyKey:
		all := slices.Concat(wanted(pkcs11.CKO_SECRET_KEY), wanted(pkcs11.CKO_PRIVATE_KEY))
		slices.Sort(all)
		return slices.Compact(all)
	case pkcs11.CKO_SECRET_KEY:
		return slices.Concat(keys, secret, []uint{pkcs11.CKA_VALUE_LEN, pkcs11.CKA_CHECK_VALUE, pkcs11.CKA_ENCRYPT, pkcs11.CKA_VERIFY, pkcs11.CKA_WRAP})
	case pkcs11.CKO_PRIVATE_KEY:
		return slices.Concat(keys, secret, []uint{pkcs11.CKA_SIGN_RECOVER, pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT, pkcs11.CKA_EC_PARAMS})
	case pkcs11.CKO_PUBLIC_KEY:
		return slices.Concat(keys, []uint{pkcs11.CKA_LOCAL, pkcs11.CKA_ENCRYPT, pkcs11.CKA_VERIFY, pkcs11.CKA_WRAP, pkcs11.CKA_DERIVE,
			pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT, pkcs11.CKA_EC_PARAMS, pkcs11.CKA_EC_POINT})
	}
	return []uint{pkcs11.CKA_CLASS, pkcs11.CKA_LABEL, pkcs11.CKA_ID, pkcs11.CKA_TOKEN, pkcs11.CKA_PRIVATE, pkcs11.CKA_MODIFIABLE}
}

// read asks for all attributes of an object of whatever class.
func (t *Token) read(h object) (attributes, error) {
	a, err := t.mod.fn.Attributes(t.session, h, []uint{pkcs11.CKA_CLASS})
	if err != nil {
		return nil, failure("read attributes", err)
	}
	return t.readAs(a.number(pkcs11.CKA_CLASS), h)
}

// readAs asks for all attributes of an object of that class in one call. A
// token that tells nothing at all if it does not know one of them (NSS) is
// asked for each, and from then on only for those that it knows.
func (t *Token) readAs(class uint, h object) (attributes, error) {
	types, learned := t.template[class]
	if !learned {
		types = wanted(class)
	}
	a, err := t.mod.fn.Attributes(t.session, h, types)
	if err != nil || len(a) > 0 {
		return a, failure("read attributes", err)
	}
	a, known := attributes{}, []uint{}
	for _, attr := range types {
		one, err := t.mod.fn.Attributes(t.session, h, []uint{attr})
		if err != nil {
			return nil, failure("read "+attributeNames[attr], err)
		}
		if v, ok := one[attr]; ok {
			a[attr], known = v, append(known, attr)
		}
	}
	t.template[class] = known
	return a, nil
}

// readOnce is readAs for keys of the token that are used again and again. What
// says of itself that nobody can change it (MODIFIABLE is false) is read once
// in a session; whether it is there is asked at every use all the same.
func (t *Token) readOnce(class uint, h object) (attributes, error) {
	if a, ok := t.fixed[h]; ok {
		return a, nil
	}
	a, err := t.readAs(class, h)
	if err == nil && a.flag(pkcs11.CKA_TOKEN) && len(a[pkcs11.CKA_MODIFIABLE]) == 1 && !a.flag(pkcs11.CKA_MODIFIABLE) {
		t.fixed[h] = a
	}
	return a, err
}

// find lists the objects that have all the given attributes.
func (t *Token) find(template ...*attribute) ([]object, error) {
	all, err := t.mod.fn.Find(t.session, template)
	return all, failure("find objects", err)
}

// A held key is one that was found and judged fit for its role.
type held struct {
	object
	attributes
	kind
}

// key finds the one key of that label and role and refuses it if its
// attributes are not as the role demands, or if neither the token nor the
// record of this site vouches for it. It is looked up at every use: what
// happened to the token in between is seen.
func (t *Token) key(role Role, label string) (held, error) {
	s, ok := roles[role]
	if !ok {
		return held{}, fmt.Errorf("no such role %q", role)
	}
	if err := checkLabel(label); err != nil {
		return held{}, err
	}
	h, a, err := t.onlyOf(s.classes(), label)
	if err != nil {
		return held{}, err
	}
	bad := s.judge(a)
	// Pairs of several roles are alike in all but their names.
	if is := t.role(a); is != "" && is != role && a.number(pkcs11.CKA_CLASS) == pkcs11.CKO_PRIVATE_KEY {
		bad = append(bad, fmt.Sprintf("it is our %s, not a %s", is, role))
	}
	if len(bad) == 0 {
		bad, err = t.doubts(role, label, h, a)
	}
	if err != nil {
		return held{}, fmt.Errorf("key %q: %w", label, err)
	}
	if len(bad) > 0 {
		return held{}, fmt.Errorf("key %q: %w: %s", label, ErrAttributes, strings.Join(bad, "; "))
	}
	k, _ := s.of(a)
	return held{h, a, k}, nil
}

// onlyOf finds the one key of that label and of one of the classes, and reads
// it. Where there are several classes, one search over all of them costs fewer
// calls than one for each.
func (t *Token) onlyOf(classes []uint, label string) (object, attributes, error) {
	if len(classes) == 1 {
		h, class, err := t.only(label, classes...)
		if err != nil {
			return 0, nil, err
		}
		a, err := t.readOnce(class, h)
		if err != nil {
			err = fmt.Errorf("key %q: %w", label, err)
		}
		return h, a, err
	}
	all, err := t.find(newAttribute(pkcs11.CKA_TOKEN, true), newAttribute(pkcs11.CKA_LABEL, label))
	if err != nil {
		return 0, nil, err
	}
	var found []object
	var of attributes
	for _, h := range all {
		a, err := t.readOnce(anyKey, h)
		if err != nil {
			return 0, nil, fmt.Errorf("key %q: %w", label, err)
		}
		if slices.Contains(classes, a.number(pkcs11.CKA_CLASS)) {
			found, of = append(found, h), a
		}
	}
	if err := t.one(label, len(found)); err != nil {
		return 0, nil, err
	}
	return found[0], of, nil
}

// one says what is wrong with any other number of keys.
func (t *Token) one(label string, n int) error {
	switch n {
	case 0:
		return fmt.Errorf("key %q: %w in token %q", label, ErrNoKey, t.info.Label)
	case 1:
		return nil
	}
	return fmt.Errorf("key %q: %w: the token has %d of that label", label, ErrAmbiguous, n)
}

// only finds the one key of that label and of one of the classes.
func (t *Token) only(label string, classes ...uint) (h object, class uint, err error) {
	var found []object
	for _, c := range classes {
		some, err := t.find(
			newAttribute(pkcs11.CKA_CLASS, c),
			newAttribute(pkcs11.CKA_TOKEN, true),
			newAttribute(pkcs11.CKA_LABEL, label))
		if err != nil {
			return 0, 0, err
		}
		if found = append(found, some...); len(some) > 0 {
			class = c
		}
	}
	if err := t.one(label, len(found)); err != nil {
		return 0, 0, err
	}
	return found[0], class, nil
}

// destroy takes an object away.
func (t *Token) destroy(h object) error {
	delete(t.fixed, h)
	delete(t.vouched, h)
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
