package hsm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"
)

// Status is the audit of a token.
type Status struct {
	Info
	Module     string      `json:"module"`  // path of the library
	Library    string      `json:"library"` // what it calls itself, with version
	Throwaway  bool        `json:"throwaway,omitempty"`
	PIN        []string    `json:"pin,omitempty"` // warnings about the PINs' state
	Abilities  []Ability   `json:"abilities,omitempty"`
	Mechanisms []Mechanism `json:"mechanisms"`
	Keys       []Key       `json:"keys"`              // ours
	Others     []Key       `json:"others,omitempty"`  // objects that are not ours
	Missing    []string    `json:"missing,omitempty"` // wanted and not there
	Record     []string    `json:"record,omitempty"`  // what a record of the keys says otherwise
}

// Mechanism is a mechanism of PKCS#11 that we need, and whether the token has it.
type Mechanism struct {
	Name    string `json:"name"`
	For     string `json:"for"`
	Present bool   `json:"present"`
}

// Want is a key that a job or the ledger counts on.
type Want struct {
	Role  Role
	Label string
	PRF   PRF // that a master must derive with; empty: any
	// IfAble: where the token can do nothing of the kind, the key is not missed.
	IfAble bool
}

var mechanisms = []struct {
	id   uint
	name string
	use  string
}{
	{pkcs11.CKM_GENERIC_SECRET_KEY_GEN, "CKM_GENERIC_SECRET_KEY_GEN", "hsm init, key new, policy random: makes keys"},
	{pkcs11.CKM_SHA256_HMAC, "CKM_SHA256_HMAC", "policy derived, check values"},
	{pkcs11.CKM_RSA_PKCS_OAEP, "CKM_RSA_PKCS_OAEP", "policies shared and random, key import: how keys cross over"},
	{pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, "CKM_RSA_PKCS_KEY_PAIR_GEN", "key import"},
	{pkcs11.CKM_AES_KEY_GEN, "CKM_AES_KEY_GEN", "hsm init for policy random"},
	{pkcs11.CKM_AES_KEY_WRAP, "CKM_AES_KEY_WRAP", "policy random"},
	{pkcs11.CKM_EC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN", "hsm init for signed checkpoints"},
	{pkcs11.CKM_ECDSA, "CKM_ECDSA", "signed checkpoints"},
}

// Problems are all findings of the audit, each a sentence.
func (s Status) Problems() []string {
	list := slices.Clone(s.PIN)
	if len(s.Abilities) > 0 && !slices.ContainsFunc(s.Abilities, func(a Ability) bool { return (a.Can || a.Untried) && a.Role != Signer }) {
		list = append(list, "the token can serve no key policy")
	}
	for _, k := range s.Keys {
		for _, p := range k.Problems {
			list = append(list, fmt.Sprintf("key %q: %s", k.Label, p))
		}
	}
	return slices.Concat(list, s.Missing, s.Record)
}

// Noted is the newest that a record kept elsewhere says of a key in this token.
type Noted struct {
	Role         Role
	Label, Check string // Check is empty where the token gave none
}

// Compare holds our keys against a record of them: a key that nobody noted, one
// that is not the one noted, and one that is gone each become a problem.
func (s *Status) Compare(noted []Noted) {
	for _, k := range s.Keys {
		i := slices.IndexFunc(noted, func(n Noted) bool { return n.Role == k.Role && n.Label == k.Label })
		switch {
		case i < 0:
			s.Record = append(s.Record, fmt.Sprintf("key %q (%s): the ledger knows nothing of it; find out who made it, then \"station key note\"", k.Label, k.Role))
		case k.Check != "" && noted[i].Check != "" && k.Check != noted[i].Check:
			s.Record = append(s.Record, fmt.Sprintf("key %q (%s): the ledger speaks of another one: check value %s, noted %s; find out who replaced it, then \"station key note\"", k.Label, k.Role, k.Check, noted[i].Check))
		}
	}
	for _, n := range noted {
		if !slices.ContainsFunc(s.Keys, func(k Key) bool { return n.Role == k.Role && n.Label == k.Label }) {
			s.Record = append(s.Record, fmt.Sprintf("key %q (%s): the ledger speaks of it (check value %s), and the token lacks it; if it was removed on purpose, \"station key note\"", n.Label, n.Role, n.Check))
		}
	}
}

// Status audits the token: everything of ours with its attributes, what is
// too open, which of the wanted keys are missing, and what is not ours.
func (t *Token) Status(ctx context.Context, want ...Want) (Status, error) {
	return call(ctx, t, repeat, func() (Status, error) {
		t.forget()
		ti, err := t.mod.tokenIn(t.slot)
		if err != nil {
			return Status{}, failure("ask token", err)
		}
		s, err := t.mod.status(ti)
		if err != nil {
			return Status{}, err
		}
		if s.Keys, s.Others, err = t.inventory(); err != nil {
			return Status{}, err
		}
		if s.Abilities, err = t.abilities(s.Keys); err != nil {
			return Status{}, err
		}
		s.Missing = t.missing(want, s.Abilities)
		return s, nil
	})
}

// missing says which of the wanted keys are not there or do not work.
func (t *Token) missing(want []Want, can []Ability) (list []string) {
	unable := func(r Role) bool {
		return !slices.ContainsFunc(can, func(a Ability) bool { return a.Role == r && (a.Can || a.Untried) })
	}
	for _, w := range want {
		err := t.wanted(w)
		switch {
		case err == nil, w.IfAble && errors.Is(err, ErrNoKey) && unable(w.Role):
		case w.Role == Signer && errors.Is(err, ErrNoKey):
			list = append(list, fmt.Sprintf("%s: %v; make it: station hsm init --policy none", w.Role, err))
		default:
			list = append(list, fmt.Sprintf("%s: %v", w.Role, err))
		}
	}
	return list
}

// wanted has a key that somebody counts on do its work once.
func (t *Token) wanted(w Want) error {
	key, err := t.key(w.Role, w.Label)
	if err != nil {
		return err
	}
	if w.PRF != "" && key.prf != w.PRF {
		return fmt.Errorf("key %q: %w: it derives with %s, not with %s", w.Label, ErrAttributes, key.prf, w.PRF)
	}
	if key.class == pkcs11.CKO_PRIVATE_KEY && w.Role != KEK {
		_, err := t.publicHalf(key.attributes)
		return err
	}
	return t.work(w.Role, key, nil)
}

// status is the part of the audit that needs no login.
func (m *module) status(info Info) (Status, error) {
	s := Status{Info: info, Module: m.path, Throwaway: info.Throwaway(), PIN: info.pinWarnings()}
	if lib, err := m.fn.GetInfo(); err == nil {
		s.Library = lib
	}
	have, err := m.fn.GetMechanismList(info.Slot)
	if err != nil {
		return Status{}, failure("list mechanisms", err)
	}
	for _, need := range mechanisms {
		present := slices.Contains(have, need.id)
		s.Mechanisms = append(s.Mechanisms, Mechanism{need.name, need.use, present})
	}
	return s, nil
}
