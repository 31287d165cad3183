package hsm

import (
	"bytes"
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
// ledger's checkpoints. No key of one role does the work of another.
const (
	Master     Role = "master"      // derives device keys
	KEK        Role = "kek"         // wraps device keys
	SharedKey  Role = "shared"      // is a device key
	Signer     Role = "signer"      // signs checkpoints
	SecureBoot Role = "secure-boot" // signs images: RSA-3072, P-256 or P-384, as the chip takes it
	CA         Role = "ca"          // signs certificates of devices
	Bundle     Role = "bundle"      // signs slot bundles
	Manifest   Role = "manifest"    // signs manifests of updates
)

// KeyType chooses among the kinds of a role that has several.
type KeyType string

// The types of a SecureBoot key.
const (
	RSA3072 KeyType = "rsa-3072"
	P256    KeyType = "p-256"
	P384    KeyType = "p-384"
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

// PRF is the function that derives device keys from a master.
type PRF string

// The PRFs of NIST SP 800-108 that a job can name.
const (
	HMAC PRF = "hmac-sha256"
	CMAC PRF = "aes-cmac" // for smart cards, which have no HMAC
)

// A spec is all that a role demands of its key: it is of one of the kinds.
type spec struct {
	kinds  []kind // the one that is made first comes first
	leaves bool   // may leave the token, wrapped
}

// A kind is a type of key that can do a role's work. The template that makes a
// key and the rules that judge one are both read off it.
type kind struct {
	class, kind uint
	generate    []uint // mechanisms that make one
	bytes       uint   // length of the key, 0 where the caller says or the curve does
	uses        []uint // usage attributes that must be true; all others must be false
	prf         PRF    // of a master: the function that derives with it
	bits        uint   // of an RSA key that must have just so many, 0: wrapBits or more
	curve       *curve // of an EC key
}

// is reports that the kind is of the type.
func (k kind) is(t KeyType) bool {
	return t == RSA3072 && k.kind == pkcs11.CKK_RSA || t == P256 && k.curve == onP256 || t == P384 && k.curve == onP384
}

// ckmSHA256KeyGen is CKM_SHA256_KEY_GEN of PKCS#11 v3.0.
const ckmSHA256KeyGen = 0x4005

var (
	signs   = []uint{pkcs11.CKA_SIGN}
	wraps   = []uint{pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP}
	unwraps = []uint{pkcs11.CKA_UNWRAP}
)

// signsEC is a pair on P-256, signsLong one on P-384.
var signsEC, signsLong = signsOn(onP256), signsOn(onP384)

func signsOn(c *curve) kind {
	return kind{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKK_EC, []uint{pkcs11.CKM_EC_KEY_PAIR_GEN}, 0, signs, "", 0, c}
}

// Many tokens know keys for HMAC of the type CKK_SHA256_HMAC only (nShield makes
// them by a mechanism of its own), smart cards
// none at all; and many have no AES key wrap.
var roles = map[Role]spec{
	Master: {kinds: []kind{
		{pkcs11.CKO_SECRET_KEY, pkcs11.CKK_GENERIC_SECRET, []uint{pkcs11.CKM_GENERIC_SECRET_KEY_GEN}, 32, signs, HMAC, 0, nil},
		{pkcs11.CKO_SECRET_KEY, pkcs11.CKK_SHA256_HMAC, []uint{pkcs11.CKM_GENERIC_SECRET_KEY_GEN, ckmSHA256KeyGen, pkcs11.CKM_NC_SHA256_HMAC_KEY_GEN}, 32, signs, HMAC, 0, nil},
		{pkcs11.CKO_SECRET_KEY, pkcs11.CKK_AES, []uint{pkcs11.CKM_AES_KEY_GEN}, 32, signs, CMAC, 0, nil},
	}},
	KEK: {kinds: []kind{
		{pkcs11.CKO_SECRET_KEY, pkcs11.CKK_AES, []uint{pkcs11.CKM_AES_KEY_GEN}, 32, wraps, "", 0, nil},
		{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKK_RSA, []uint{pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN}, 0, unwraps, "", 0, nil},
	}},
	SharedKey: {kinds: []kind{
		{pkcs11.CKO_SECRET_KEY, pkcs11.CKK_GENERIC_SECRET, []uint{pkcs11.CKM_GENERIC_SECRET_KEY_GEN}, 0, signs, "", 0, nil},
	}, leaves: true},
	Signer: {kinds: []kind{signsEC}},
	SecureBoot: {kinds: []kind{
		{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKK_RSA, []uint{pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN}, 0, signs, "", 3072, nil},
		signsEC,
		signsLong,
	}},
	CA:     {kinds: []kind{signsEC}},
	Bundle: {kinds: []kind{signsEC}},
	Manifest: {kinds: []kind{
		{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKK_RSA, []uint{pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN}, 0, signs, "", 3072, nil},
	}},
}

// usages are the attributes that open a key for something. CKA_VERIFY is not
// among them: it gives nothing away. Nor is CKA_SIGN_RECOVER, which no kind of
// ours can do and some tokens refuse to hear of.
var usages = map[uint][]uint{
	pkcs11.CKO_SECRET_KEY:  {pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT, pkcs11.CKA_SIGN, pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP, pkcs11.CKA_DERIVE},
	pkcs11.CKO_PRIVATE_KEY: {pkcs11.CKA_DECRYPT, pkcs11.CKA_SIGN, pkcs11.CKA_UNWRAP, pkcs11.CKA_DERIVE},
}

// same reports the same kind of key.
func (k kind) same(o kind) bool { return k.class == o.class && k.kind == o.kind && k.curve == o.curve }

// name is what the kind is called: "EC private key on P-384".
func (k kind) name() string {
	if k.curve == nil {
		return typeName(k.class, k.kind)
	}
	return typeName(k.class, k.kind) + " on " + k.curve.Params().Name
}

// of is the kind that the attributes are of.
func (s spec) of(a attributes) (kind, bool) {
	for _, k := range s.kinds {
		if a.number(pkcs11.CKA_CLASS) == k.class && a.number(pkcs11.CKA_KEY_TYPE) == k.kind && k.on(a[pkcs11.CKA_EC_PARAMS]) {
			return k, true
		}
	}
	return kind{}, false
}

// on reports that the kind is of that curve, or of any where the token does not tell it.
func (k kind) on(params []byte) bool {
	return k.curve == nil || len(params) == 0 || bytes.Equal(params, k.curve.params)
}

// classes are those of the keys of the role; a KEK may be of two.
func (s spec) classes() (list []uint) {
	for _, k := range s.kinds {
		if !slices.Contains(list, k.class) {
			list = append(list, k.class)
		}
	}
	return list
}

// judge says all that is wrong with what a key can do for the role.
func (s spec) judge(a attributes) []string {
	k, ok := s.of(a)
	if !ok {
		var want []string
		for _, k := range s.kinds {
			want = append(want, k.name())
		}
		is := kind{class: a.number(pkcs11.CKA_CLASS), kind: a.number(pkcs11.CKA_KEY_TYPE), curve: curveOf(a[pkcs11.CKA_EC_PARAMS])}
		return []string{fmt.Sprintf("its type is %s, want %s", is.name(), strings.Join(want, " or "))}
	}
	var bad []string
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
	for _, use := range usages[k.class] {
		if slices.Contains(k.uses, use) {
			want(use, true, "it cannot do its work")
		} else {
			want(use, false, "it is open for more than its work")
		}
	}
	if n := a.number(pkcs11.CKA_VALUE_LEN); k.bytes != 0 && n != 0 && n != k.bytes {
		bad = append(bad, fmt.Sprintf("it has %d bits, not %d", n*8, k.bytes*8))
	}
	if n := uint(len(a[pkcs11.CKA_MODULUS])) * 8; k.kind == pkcs11.CKK_RSA && n != 0 {
		switch {
		case k.bits != 0 && n != k.bits:
			bad = append(bad, fmt.Sprintf("it has %d bits, want %d", n, k.bits))
		case n < wrapBits:
			bad = append(bad, fmt.Sprintf("it has %d bits, want %d or more", n, wrapBits))
		}
	}
	return bad
}

// foreign says what the token tells against the origin of a key: that it was
// not always a secret of this token. Some tokens never vouch for a key (NSS),
// and none does after its key was restored.
func (s spec) foreign(a attributes) (doubts []string) {
	if s.leaves {
		return nil
	}
	for _, d := range []struct {
		attr uint
		why  string
	}{
		{pkcs11.CKA_LOCAL, "it was not made in this token"},
		{pkcs11.CKA_ALWAYS_SENSITIVE, "it could once be read in the clear"},
		{pkcs11.CKA_NEVER_EXTRACTABLE, "it could once leave the token"},
	} {
		if !a.flag(d.attr) {
			doubts = append(doubts, fmt.Sprintf("%s is false: %s", attributeNames[d.attr], d.why))
		}
	}
	return doubts
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
