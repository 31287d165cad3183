package hsm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"

	"station/internal/chip"
)

// tryLabel is the label of keys that are made to see what the token can.
const tryLabel = "station try"

// errNoMoment means that the token makes no key that lives in a session only.
var errNoMoment = errors.New("the token makes no keys for the moment, so it cannot be tried without making one")

// rehearseKind does once, with a key that lives in the session only, all that
// the role will have to do.
func (t *Token) rehearseKind(role Role, k kind, size uint) (err error) {
	made, f, err := t.generate(forms(role, tryLabel, size, forMoment, k.same))
	if isCode(err, pkcs11.CKR_ATTRIBUTE_VALUE_INVALID, pkcs11.CKR_TEMPLATE_INCONSISTENT) {
		return fmt.Errorf("%w: %w", errNoMoment, err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.destroyAll(made)) }()
	a, err := t.readAs(k.class, made[0])
	if err != nil {
		return err
	}
	return t.work(role, held{made[0], a, f.kind}, made)
}

// Rehearse has the token do all that a key of the role must do, with one that
// lives in the session only. Where it makes no such key, only making one that
// stays would tell, which is no error.
func (t *Token) Rehearse(ctx context.Context, role Role, prf PRF) error {
	_, err := call(ctx, t, repeat, func() (kind, error) {
		k, err := t.rehearse(role, rehearsalSize(role), prf)
		if err == nil || errors.Is(err, errNoMoment) || t.lost(err) {
			return k, err
		}
		return k, fmt.Errorf("%w: %s: %w", ErrCannot, role, err)
	})
	if errors.Is(err, errNoMoment) {
		return nil
	}
	return err
}

// rehearse is rehearseKind with the first kind that can do it.
func (t *Token) rehearse(role Role, size uint, prf PRF) (kind, error) {
	var said []error
	for _, k := range roles[role].kinds {
		if role == Master && k.prf != prf { // of other roles none has one
			continue
		}
		err := t.rehearseKind(role, k, size)
		if err == nil {
			return k, nil
		}
		if t.lost(err) {
			return kind{}, err
		}
		said = append(said, fmt.Errorf("with %s: %w", k.name(), err))
	}
	return kind{}, errors.Join(said...)
}

// work does what a key of the role has to do, for nobody.
func (t *Token) work(role Role, key held, made []object) error {
	r := Request{Chip: "none", MAC: nobody, Purpose: chip.FlashEncryption, Size: 32, Label: tryLabel}
	switch role {
	case Master:
		k, err := t.deriveWith(key.prf, key.object, r)
		k.Destroy()
		return err
	case KEK:
		k, _, err := t.randomWith(key, r)
		k.Destroy()
		return err
	case SharedKey:
		k, err := t.export(key.object, tryLabel)
		k.Destroy()
		return err
	}
	public := key.object
	if len(made) > 1 {
		public = made[1]
	}
	return t.trySigning(key.object, public)
}

// nobody is a MAC that no device has: that of a broadcast.
var nobody = chip.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func (t *Token) trySigning(private, public object) error {
	a, err := t.readAs(pkcs11.CKO_PUBLIC_KEY, public)
	if err != nil {
		return err
	}
	pub, err := publicOf(a)
	if err != nil {
		return err
	}
	_, err = t.signWith(private, pub, make([]byte, hashFor(pub).Size()))
	return failure("sign", err)
}

// Ability is one thing that the station asks of tokens, and whether this one
// can do it.
type Ability struct {
	For  string `json:"for"` // a policy, "derived, aes-cmac" or "signatures"
	Role Role   `json:"role"`
	PRF  PRF    `json:"prf,omitempty"`
	Can  bool   `json:"can"`
	// Untried: only a key that stays would tell.
	Untried bool `json:"untried,omitempty"`
	// How names the key that did it: of the token, or one for the moment.
	How string `json:"how,omitempty"`
	Why string `json:"why,omitempty"` // it cannot
}

// abilities are all that a job or the ledger can ask for.
var abilities = []Ability{
	{For: "derived", Role: Master, PRF: HMAC},
	{For: "derived, aes-cmac", Role: Master, PRF: CMAC},
	{For: "random", Role: KEK},
	{For: "shared", Role: SharedKey},
	{For: "signatures", Role: Signer},
}

// Abilities tries everything: with a key of ours where there is one, else with
// keys that live in the session only. Nothing stays in the token.
func (t *Token) Abilities(ctx context.Context) ([]Ability, error) {
	return call(ctx, t, repeat, func() ([]Ability, error) {
		ours, _, err := t.inventory()
		if err != nil {
			return nil, err
		}
		return t.abilities(ours)
	})
}

func (t *Token) abilities(ours []Key) ([]Ability, error) {
	all := slices.Clone(abilities)
	for i := range all {
		a := &all[i]
		how, err := t.able(*a, ours)
		if err != nil && t.lost(err) {
			return nil, err
		}
		if a.Can, a.How = err == nil, how; err != nil {
			a.Why, a.Untried = oneLine(err), errors.Is(err, errNoMoment)
		}
	}
	return all, nil
}

// able tries one ability.
func (t *Token) able(a Ability, ours []Key) (how string, err error) {
	for _, k := range ours {
		if k.Role != a.Role || len(k.Problems) > 0 {
			continue
		}
		key, err := t.key(a.Role, k.Label)
		if err != nil || key.prf != a.PRF {
			continue
		}
		var made []object
		if a.Role == Signer {
			pub, err := t.find(newAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY), newAttribute(pkcs11.CKA_LABEL, k.Label))
			if err != nil || len(pub) == 0 {
				continue
			}
			made = []object{key.object, pub[0]}
		}
		if err := t.work(a.Role, key, made); err == nil {
			return fmt.Sprintf("%s %q", k.Type, k.Label), nil
		}
	}
	k, err := t.rehearse(a.Role, rehearsalSize(a.Role), a.PRF)
	if err != nil {
		return "", err
	}
	return typeName(k.class, k.kind) + " for the moment", nil
}

// rehearsalSize is that of a key whose kind does not say.
func rehearsalSize(role Role) uint {
	if role == SharedKey {
		return 32
	}
	return 0
}

// oneLine is an error of several parts in one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
