package hsm

import (
	"context"
	"errors"
	"fmt"

	"station/internal/secret"

	"github.com/miekg/pkcs11"
)

// InitToken turns a blank token of the module into one with this label and
// these PINs, through PKCS#11 alone. It takes the first blank slot and never
// one that was initialised before; the label must be free (ErrExists). Real
// tokens are set up by the security officer with the maker's tool; this is for
// SoftHSM and for rehearsals. Tokens that are open in this process lose their
// session and find it again at their next call.
func InitToken(modulePath, label string, soPIN, userPIN *secret.Bytes) (Info, error) {
	if err := checkLabel(label); err != nil || len(label) > 32 {
		return Info{}, edge(errors.Join(fmt.Errorf("initialise token: want a label of 1 to 32 bytes"), err))
	}
	m, err := open(URI{ModulePath: modulePath})
	if err != nil {
		return Info{}, edge(err)
	}
	info, err := alone(context.Background(), m, patience, nil, func() (Info, error) {
		if err := m.hold(); err != nil {
			return Info{}, err
		}
		defer func() { _ = m.release() }()
		return m.initToken(label, soPIN, userPIN)
	})
	return info, edge(err)
}

func (m *module) initToken(label string, soPIN, userPIN *secret.Bytes) (Info, error) {
	all, err := m.slots()
	if err != nil {
		return Info{}, err
	}
	var blank *Info
	for _, i := range all {
		switch {
		case !i.has(pkcs11.CKF_TOKEN_INITIALIZED):
			blank = &i
		case i.Label == label:
			return Info{}, fmt.Errorf("initialise token: %w: a token %q", ErrExists, label)
		}
	}
	if blank == nil {
		return Info{}, fmt.Errorf("initialise token: %w: the module has no blank one", ErrNoToken)
	}
	if err := m.fn.InitToken(blank.Slot, soPIN, label); err != nil {
		return Info{}, failure("initialise token", err)
	}
	if err := m.setUserPIN(blank.Slot, soPIN, userPIN); err != nil {
		return Info{}, err
	}
	// SoftHSM numbers its slots, and offers a new blank one, only at a start.
	if err := m.restart(); err != nil {
		return Info{}, err
	}
	if all, err = m.slots(); err != nil {
		return Info{}, err
	}
	return choose(all, URI{Token: label})
}

func (m *module) setUserPIN(slot uint, soPIN, userPIN *secret.Bytes) error {
	s, err := m.fn.OpenSession(slot)
	if err != nil {
		return failure("open session", err)
	}
	err = failure("login as security officer", m.fn.Login(s, pkcs11.CKU_SO, soPIN))
	if err == nil {
		err = failure("set user PIN", m.fn.InitPIN(s, userPIN))
	}
	return errors.Join(err, failure("close session", m.fn.CloseSession(s)))
}

// pad fills a label with blanks to n bytes, as Cryptoki wants it.
func pad(s string, n int) string { return fmt.Sprintf("%-*s", n, s)[:n] }
