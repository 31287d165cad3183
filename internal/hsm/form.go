package hsm

import (
	"cmp"
	"errors"
	"slices"

	"github.com/miekg/pkcs11"
)

// A form is one way of making a key of a role. Tokens differ in the types they
// know and in the attributes that they want to be told, or refuse to be.
type form struct {
	kind
	mechanism uint
	template  []*attribute // of the key; of a pair that of its private half
	public    []*attribute // of a pair's public half
}

// lifetime says where a new object lives: in the token, or in the session.
type lifetime bool

const (
	forGood   lifetime = true
	forMoment lifetime = false
)

// forms are the ways to make a key of the role, the fullest template first: it
// leaves nothing to the token. size is that of a secret key, 0 for the kind's.
func forms(role Role, label string, size uint, live lifetime, want func(kind) bool) (all []form) {
	s := roles[role]
	for _, k := range s.kinds {
		if want != nil && !want(k) {
			continue
		}
		n := size
		if n == 0 {
			n = k.bytes
		}
		for _, m := range k.generate {
			for _, t := range k.templates(objectID(role, label), label, s.leaves, live) {
				if k.class == pkcs11.CKO_PRIVATE_KEY {
					for _, p := range k.publicTemplates(objectID(role, label), label, live) {
						all = append(all, form{k, m, t, p})
					}
					continue
				}
				all = append(all, form{k, m, append(slices.Clone(t), newAttribute(pkcs11.CKA_VALUE_LEN, n)), nil}, form{k, m, t, nil})
			}
		}
	}
	return all
}

// templates are what a new key of the kind is made with. SoftHSM and others
// set every usage that is left out, so each is said to whoever takes it; what
// the token made of the others is judged when it is read back.
func (k kind) templates(id []byte, label string, leaves bool, live lifetime) [][]*attribute {
	needed := []*attribute{
		newAttribute(pkcs11.CKA_CLASS, k.class),
		newAttribute(pkcs11.CKA_KEY_TYPE, k.kind),
		newAttribute(pkcs11.CKA_TOKEN, bool(live)),
		newAttribute(pkcs11.CKA_PRIVATE, true),
		newAttribute(pkcs11.CKA_LABEL, label),
		newAttribute(pkcs11.CKA_ID, id),
		newAttribute(pkcs11.CKA_SENSITIVE, true),
		newAttribute(pkcs11.CKA_EXTRACTABLE, leaves),
	}
	fixed := newAttribute(pkcs11.CKA_MODIFIABLE, false)
	said, used := slices.Clone(needed), slices.Clone(needed)
	for _, use := range usages[k.class] {
		on := slices.Contains(k.uses, use)
		said = append(said, newAttribute(use, on))
		if on {
			used = append(used, newAttribute(use, true))
		}
	}
	full := append(slices.Clone(said), fixed)
	if k.class == pkcs11.CKO_SECRET_KEY {
		full = append(full, newAttribute(pkcs11.CKA_VERIFY, false))
	}
	return [][]*attribute{full, append(slices.Clone(said), fixed), said, append(slices.Clone(used), fixed), used}
}

// publicTemplates are those of the public half, which the private one has
// beside it under the same label and ID.
func (k kind) publicTemplates(id []byte, label string, live lifetime) [][]*attribute {
	needed := []*attribute{
		newAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY),
		newAttribute(pkcs11.CKA_KEY_TYPE, k.kind),
		newAttribute(pkcs11.CKA_TOKEN, bool(live)),
		newAttribute(pkcs11.CKA_LABEL, label),
		newAttribute(pkcs11.CKA_ID, id),
	}
	if k.kind == pkcs11.CKK_EC {
		needed = append(needed, newAttribute(pkcs11.CKA_EC_PARAMS, k.curve.params))
		plain := append(slices.Clone(needed), newAttribute(pkcs11.CKA_PRIVATE, false))
		verifies := append(slices.Clone(plain), newAttribute(pkcs11.CKA_VERIFY, true))
		full := append(slices.Clone(verifies), newAttribute(pkcs11.CKA_MODIFIABLE, false),
			newAttribute(pkcs11.CKA_WRAP, false), newAttribute(pkcs11.CKA_ENCRYPT, false))
		return [][]*attribute{full, verifies, plain, needed}
	}
	needed = append(needed, newAttribute(pkcs11.CKA_MODULUS_BITS, cmp.Or(k.bits, wrapBits)), newAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
	signs := slices.Contains(k.uses, pkcs11.CKA_SIGN)
	use := uint(pkcs11.CKA_WRAP)
	if signs {
		use = pkcs11.CKA_VERIFY
	}
	used := append(slices.Clone(needed), newAttribute(use, true))
	full := append(slices.Clone(needed), newAttribute(pkcs11.CKA_WRAP, !signs), newAttribute(pkcs11.CKA_PRIVATE, false),
		newAttribute(pkcs11.CKA_MODIFIABLE, false), newAttribute(pkcs11.CKA_VERIFY, signs), newAttribute(pkcs11.CKA_ENCRYPT, false))
	return [][]*attribute{full, used, needed}
}

// unlike reports an answer to one form after which another one may do.
func unlike(err error) bool {
	return isCode(err, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_VALUE_INVALID, pkcs11.CKR_ATTRIBUTE_READ_ONLY,
		pkcs11.CKR_TEMPLATE_INCOMPLETE, pkcs11.CKR_TEMPLATE_INCONSISTENT, pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_MECHANISM_PARAM_INVALID,
		pkcs11.CKR_KEY_SIZE_RANGE, pkcs11.CKR_KEY_TYPE_INCONSISTENT, pkcs11.CKR_ARGUMENTS_BAD, pkcs11.CKR_ACTION_PROHIBITED)
}

// untold is a failure without a reason. To a template for a pair that it cannot
// make true, a TPM says no more.
func untold(err error) bool { return isCode(err, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED) }

// generate makes a key in the first form that the token takes. The key comes
// first, the public half of a pair behind it.
func (t *Token) generate(all []form) (made []object, f form, err error) {
	if len(all) == 0 {
		return nil, form{}, errors.New("make key: no such kind of key")
	}
	var last error
	for _, f := range all {
		made, err := t.generateForm(f)
		if err == nil {
			return made, f, nil
		}
		if last = failure("make "+f.name(), err); !unlike(err) && !(f.public != nil && untold(err)) {
			break
		}
	}
	return nil, form{}, last
}

func (t *Token) generateForm(f form) ([]object, error) {
	if f.public == nil {
		h, err := t.mod.fn.GenerateKey(t.session, mech(f.mechanism), f.template)
		return []object{h}, err
	}
	pub, priv, err := t.mod.fn.GenerateKeyPair(t.session, mech(f.mechanism), f.public, f.template)
	return []object{priv, pub}, err
}

// destroyAll takes objects away.
func (t *Token) destroyAll(list []object) (err error) {
	for _, h := range list {
		err = errors.Join(err, t.destroy(h))
	}
	return err
}
