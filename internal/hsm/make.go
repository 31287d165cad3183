package hsm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"station/internal/chip"
	"station/internal/secret"

	"github.com/miekg/pkcs11"
)

// Init makes the key of a role in the token under that label: a master of 256
// bits, a KEK of AES-256 or where the token cannot wrap with AES an RSA pair,
// or a pair for signing, on P-256 or P-384 or of RSA-3072. What the role needs is tried before anything is
// made that stays. It refuses with ErrExists if the label is taken, reads back
// what the token really made, and takes a key away again whose attributes are
// too open (ErrAttributes). Shared keys are made by NewShared and Import.
func (t *Token) Init(ctx context.Context, role Role, label string) (Key, error) {
	return t.InitPRF(ctx, role, label, HMAC)
}

// InitPRF is Init of a master that derives with that function.
func (t *Token) InitPRF(ctx context.Context, role Role, label string, prf PRF) (Key, error) {
	return t.init(ctx, role, label, func(k kind) bool { return role != Master || k.prf == prf })
}

// InitType is Init of a key of that type, for roles whose keys are of several.
func (t *Token) InitType(ctx context.Context, role Role, label string, is KeyType) (Key, error) {
	return t.init(ctx, role, label, func(k kind) bool { return k.is(is) })
}

// init is Init of a kind that is wanted.
func (t *Token) init(ctx context.Context, role Role, label string, want func(kind) bool) (Key, error) {
	if s, ok := roles[role]; !ok || role == SharedKey || !slices.ContainsFunc(s.kinds, want) {
		return Key{}, edge(fmt.Errorf("init: no such role %q", role))
	}
	limit := t.cfg.limit()
	if slices.ContainsFunc(roles[role].kinds, func(k kind) bool { return want(k) && k.bits != 0 }) {
		limit = max(limit, pairPatience)
	}
	return callWithin(ctx, t, limit, once, func() (Key, error) {
		return t.make(role, label, func() ([]object, error) {
			return t.makeTried(role, label, 0, want)
		})
	})
}

// pairPatience is how long a token may take to make an RSA pair: small ones
// take minutes, and nothing is wrong with them.
const pairPatience = 10 * time.Minute

// NewShared makes a flash-encryption key of that many bytes in the token, for
// the devices of a batch.
func (t *Token) NewShared(ctx context.Context, label string, size int) (Key, error) {
	if !slices.Contains(chip.KeySizes, size) {
		return Key{}, edge(fmt.Errorf("make key: %w: %d bytes, want one of %v", ErrSize, size, chip.KeySizes))
	}
	return call(ctx, t, once, func() (Key, error) {
		return t.make(SharedKey, label, func() ([]object, error) {
			return t.makeTried(SharedKey, label, uint(size), func(kind) bool { return true })
		})
	})
}

// makeTried makes a key for good of the first kind that can do the role's work.
// Where the token makes no keys for the moment to try it with, and where one
// takes long to make, the new key itself is tried, and taken away if it cannot.
func (t *Token) makeTried(role Role, label string, size uint, want func(kind) bool) ([]object, error) {
	var said []error
	for _, k := range roles[role].kinds {
		if !want(k) {
			continue
		}
		err := errNoMoment
		if k.bits == 0 {
			err = t.rehearseKind(role, k, size)
		}
		if err == nil || errors.Is(err, errNoMoment) {
			var made []object
			if made, err = t.makeKind(role, label, k, size); err == nil {
				return made, nil
			}
		}
		if t.lost(err) {
			return nil, err
		}
		said = append(said, fmt.Errorf("with %s: %w", k.name(), err))
	}
	return nil, fmt.Errorf("make key %q: %w: %w", label, ErrCannot, errors.Join(said...))
}

// makeKind makes a key for good and has it do its work once.
func (t *Token) makeKind(role Role, label string, k kind, size uint) ([]object, error) {
	made, f, err := t.generate(forms(role, label, size, forGood, k.same))
	if err != nil {
		return nil, err
	}
	a, err := t.readAs(k.class, made[0])
	if err == nil && len(roles[role].judge(a)) == 0 { // else the caller says why it is unfit
		err = t.work(role, held{made[0], a, f.kind}, made)
	}
	if err != nil {
		return nil, errors.Join(err, t.destroyAll(made))
	}
	return made, nil
}

// Import brings a flash-encryption key, as key files hold
// it, into the token, and proves by its check value that it arrived. The key
// stays the caller's to destroy.
func (t *Token) Import(ctx context.Context, label string, key *secret.Bytes) (Key, error) {
	if n := key.Len(); !slices.Contains(chip.KeySizes, n) {
		return Key{}, edge(fmt.Errorf("import key: %w: %d bytes, want one of %v", ErrSize, n, chip.KeySizes))
	}
	want, err := CheckValue(key)
	if err != nil {
		return Key{}, err
	}
	return call(ctx, t, once, func() (Key, error) {
		var h object
		k, err := t.make(SharedKey, label, func() (_ []object, err error) {
			h, err = t.bringIn(key, label)
			return []object{h}, err
		})
		if err == nil && k.Check != want {
			return Key{}, errors.Join(fmt.Errorf("import key %q: the token holds another key than it was given", label), t.destroy(h))
		}
		return k, err
	})
}

// make is what all new keys have in common. fn gives the new objects, the one
// that is judged first.
func (t *Token) make(role Role, label string, fn func() ([]object, error)) (Key, error) {
	if err := checkLabel(label); err != nil {
		return Key{}, err
	}
	taken, err := t.find(newAttribute(pkcs11.CKA_TOKEN, true), newAttribute(pkcs11.CKA_LABEL, label))
	if err != nil {
		return Key{}, err
	}
	if len(taken) > 0 {
		return Key{}, t.labelTaken(label, taken[0])
	}
	made, err := fn()
	if err != nil {
		return Key{}, err
	}
	k, err := t.judgeNew(role, label, made[0])
	if err != nil {
		return Key{}, errors.Join(err, t.destroyAll(made))
	}
	return k, nil
}

// labelTaken says what lies in the way of a new key.
func (t *Token) labelTaken(label string, h object) error {
	what := "an object"
	if d, err := t.describe(h); err == nil && d.Role != "" {
		what = "a " + string(d.Role) + " key of ours"
	} else if err == nil {
		what = "a " + d.Type + " of another program"
	}
	return fmt.Errorf("make key %q: %w: %s of that label is in token %q; give the new key another one with --label", label, ErrExists, what, t.info.Label)
}

// judgeNew reads back a key that was just made. Where it came from is known,
// whatever the token says of it.
func (t *Token) judgeNew(role Role, label string, h object) (Key, error) {
	a, err := t.read(h)
	if err != nil {
		return Key{}, err
	}
	if bad := roles[role].judge(a); len(bad) > 0 {
		return Key{}, fmt.Errorf("make key %q: %w: this token made it so: %s", label, ErrAttributes, strings.Join(bad, "; "))
	}
	d, err := t.tell(h, a)
	if err == nil {
		err = t.check(h, &d)
	}
	if err == nil && len(d.Problems) > 0 {
		err = fmt.Errorf("make key %q: %s", label, strings.Join(d.Problems, "; "))
	}
	if err != nil {
		return Key{}, err
	}
	t.noted = append(t.noted, Noted{role, label, d.Check})
	d.Role = role
	return d.Key, nil
}

// importForms are the templates of a key that is brought in. SoftHSM cannot
// unwrap into an object that may not be modified: what could be changed in it
// is judged at every use. Some tokens want the length, some refuse to hear of
// EXTRACTABLE.
func importForms(label string, size int) (all [][]*attribute) {
	s := roles[SharedKey]
	for _, template := range s.kinds[0].templates(objectID(SharedKey, label), label, s.leaves, forGood) {
		template = without(template, pkcs11.CKA_MODIFIABLE)
		length := newAttribute(pkcs11.CKA_VALUE_LEN, size)
		bare := without(template, pkcs11.CKA_EXTRACTABLE)
		all = append(all, template, append(slices.Clone(template), length), bare, append(slices.Clone(bare), length))
	}
	return all
}

func without(template []*attribute, attr uint) []*attribute {
	return slices.DeleteFunc(slices.Clone(template), func(a *attribute) bool { return a.Type == attr })
}
