package hsm

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/miekg/pkcs11"
)

// Policy is how a device's key comes about.
type Policy string

// The key policies of a job.
const (
	Derived Policy = "derived" // computed from a master in the token and the device's MAC
	Shared  Policy = "shared"  // one named key for a batch
	Random  Policy = "random"  // made in the token, kept wrapped under a KEK of the token
)

// Role is what a key of ours is for.
type Role string

// The roles. Each policy needs the one of Policy.Role; Signer is for the
// ledger's checkpoints.
const (
	Master    Role = "master" // derives device keys
	KEK       Role = "kek"    // wraps device keys
	SharedKey Role = "shared" // is a device key
	Signer    Role = "signer" // signs checkpoints
)

// Label is the label that a key of the role gets unless told otherwise.
func (r Role) Label() string { return "station-" + string(r) }

// Role is the role of the key that the policy needs, "" for an unknown policy.
func (p Policy) Role() Role {
	switch p {
	case Derived:
		return Master
	case Shared:
		return SharedKey
	case Random:
		return KEK
	}
	return ""
}

// A spec is all that a role demands of its key. The template that makes a key
// and the rules that judge one are both read off it.
type spec struct {
	class, kind uint
	generate    uint   // mechanism
	bytes       uint   // length of a new key, 0 where the caller says or the curve does
	uses        []uint // usage attributes that must be true; all others must be false
	leaves      bool   // may leave the token, wrapped
}

var roles = map[Role]spec{
	Master:    {pkcs11.CKO_SECRET_KEY, pkcs11.CKK_GENERIC_SECRET, pkcs11.CKM_GENERIC_SECRET_KEY_GEN, 32, []uint{pkcs11.CKA_SIGN}, false},
	KEK:       {pkcs11.CKO_SECRET_KEY, pkcs11.CKK_AES, pkcs11.CKM_AES_KEY_GEN, 32, []uint{pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP}, false},
	SharedKey: {pkcs11.CKO_SECRET_KEY, pkcs11.CKK_GENERIC_SECRET, pkcs11.CKM_GENERIC_SECRET_KEY_GEN, 0, []uint{pkcs11.CKA_SIGN}, true},
	Signer:    {pkcs11.CKO_PRIVATE_KEY, pkcs11.CKK_EC, pkcs11.CKM_EC_KEY_PAIR_GEN, 0, []uint{pkcs11.CKA_SIGN}, false},
}

// usages are the attributes that open a key for something. CKA_VERIFY is not
// among them: it gives nothing away.
var usages = map[uint][]uint{
	pkcs11.CKO_SECRET_KEY:  {pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT, pkcs11.CKA_SIGN, pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP, pkcs11.CKA_DERIVE},
	pkcs11.CKO_PRIVATE_KEY: {pkcs11.CKA_DECRYPT, pkcs11.CKA_SIGN, pkcs11.CKA_SIGN_RECOVER, pkcs11.CKA_UNWRAP, pkcs11.CKA_DERIVE},
}

// template is what a new key of the role is made with. SoftHSM and others set
// every usage that is left out, so each is said.
func (s spec) template(role Role, label string) []*pkcs11.Attribute {
	list := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, s.class),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, s.kind),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_MODIFIABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
		pkcs11.NewAttribute(pkcs11.CKA_ID, objectID(role, label)),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, s.leaves),
	}
	for _, use := range usages[s.class] {
		list = append(list, pkcs11.NewAttribute(use, slices.Contains(s.uses, use)))
	}
	if s.class == pkcs11.CKO_SECRET_KEY {
		list = append(list, pkcs11.NewAttribute(pkcs11.CKA_VERIFY, false))
	}
	return list
}

// judge says all that is wrong with a key for the role.
func (s spec) judge(a attributes, imported bool) []string {
	var bad []string
	if class, kind := a.number(pkcs11.CKA_CLASS), a.number(pkcs11.CKA_KEY_TYPE); class != s.class || kind != s.kind {
		return []string{fmt.Sprintf("its type is %s, want %s", typeName(class, kind), typeName(s.class, s.kind))}
	}
	want := func(attr uint, value bool, why string) {
		if a.flag(attr) != value {
			bad = append(bad, fmt.Sprintf("%s is %t: %s", attributeNames[attr], !value, why))
		}
	}
	want(pkcs11.CKA_PRIVATE, true, "it can be used without the PIN")
	want(pkcs11.CKA_SENSITIVE, true, "it can be read in the clear")
	if s.leaves {
		want(pkcs11.CKA_EXTRACTABLE, true, "it cannot leave the token for a device")
	} else {
		want(pkcs11.CKA_EXTRACTABLE, false, "it can leave the token")
	}
	for _, use := range usages[s.class] {
		if slices.Contains(s.uses, use) {
			want(use, true, "it cannot do its work")
		} else {
			want(use, false, "it is open for more than its work")
		}
	}
	if !s.leaves && !imported {
		want(pkcs11.CKA_LOCAL, true, "it was not made in this token")
		want(pkcs11.CKA_ALWAYS_SENSITIVE, true, "it could once be read in the clear")
		want(pkcs11.CKA_NEVER_EXTRACTABLE, true, "it could once leave the token")
	}
	if s.bytes != 0 && a.number(pkcs11.CKA_VALUE_LEN) != 0 {
		if n := a.number(pkcs11.CKA_VALUE_LEN); n != s.bytes {
			bad = append(bad, fmt.Sprintf("it has %d bits, not %d", n*8, s.bytes*8))
		}
	}
	return bad
}

const idPrefix = "station:"

// objectID is the CKA_ID of our objects: station:<role>:<label>.
func objectID(role Role, label string) []byte {
	return []byte(idPrefix + string(role) + ":" + label)
}

// roleOf reads the role off a CKA_ID, "" where the object is not ours.
func roleOf(id []byte) Role {
	rest, ok := strings.CutPrefix(string(id), idPrefix)
	role, _, more := strings.Cut(rest, ":")
	if _, known := roles[Role(role)]; ok && more && known {
		return Role(role)
	}
	return ""
}

// checkLabel keeps labels printable, in key IDs and on screens.
func checkLabel(label string) error {
	switch {
	case label == "":
		return fmt.Errorf("%w: a key needs a label", ErrLabel)
	case len(label) > 64:
		return fmt.Errorf("%w %q: want at most 64 bytes", ErrLabel, label)
	case !utf8.ValidString(label) || strings.TrimSpace(label) != label || strings.ContainsFunc(label, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%w %q: want printable characters without spaces at the ends", ErrLabel, label)
	}
	return nil
}
