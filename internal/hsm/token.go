package hsm

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"time"

	"station/internal/secret"

	"github.com/miekg/pkcs11"
)

// Token is one token, logged in. It is safe for concurrent use. It survives
// the loss of session, token and module: a call that finds them gone opens
// them again, once.
type Token struct {
	cfg Config
	mod *module
	// info is set by Open and binding afterwards: another token of the same
	// label is another token.
	info Info
	// known is set with info; signer is the public key that signed then.
	known  bool
	signer string

	// Guarded by the module's turn.
	closed  bool
	slot    uint // changes when the module is restarted
	session session
	life    int // of the module when the session was opened; 0: no session
	// pin is kept for the next login after a loss, in locked memory, until
	// Close or until the token refuses it.
	pin      *secret.Bytes
	noted    []Noted               // see record
	asked    bool                  // whether Config.Record was
	template map[uint][]uint       // by class: the attributes that this token knows, where it was asked
	vouched  map[object]string     // handles of this session that noted keys have, with their labels
	fixed    map[object]attributes // what nobody can change of this session's objects, see readOnce
	refused  error                 // what the token said against a PIN that a person gave
	wrapping *rsa.PrivateKey       // what keys leave the token under; of this run
	wrapper  object                // its public half in the session, 0: not yet
	// kekPublic is the public half of a KEK that is a pair, in the session.
	kekPublic object
	kekOf     *rsa.PublicKey
	sha1      bool // the token has RSA-OAEP with SHA-1 only
}

// repetition says whether a call may be made a second time after the token
// was lost in the middle of it.
type repetition bool

const (
	once   repetition = false // it might leave a second object behind
	repeat repetition = true
)

// call runs fn with the module to itself and the token there and logged in.
// What comes after the caller has gone is dropped.
func call[T any](ctx context.Context, t *Token, again repetition, fn func() (T, error)) (T, error) {
	return callWithin(ctx, t, t.cfg.limit(), again, fn)
}

// callWithin is call of what may take longer than most.
func callWithin[T any](ctx context.Context, t *Token, limit time.Duration, again repetition, fn func() (T, error)) (T, error) {
	v, err := alone(ctx, t.mod, limit, drop[T], func() (v T, err error) {
		err = t.attempt(again, func() (err error) { v, err = fn(); return err })
		if err != nil {
			var none T
			v = none
		}
		return v, err
	})
	return v, edge(err)
}

// drop overwrites a key that nobody takes any more.
func drop[T any](v T) {
	if k, ok := any(v).(DeviceKey); ok {
		k.Secret.Destroy()
	}
}

// attempt makes the call, and after a loss at most one new login and, where
// that is harmless, one more call.
func (t *Token) attempt(again repetition, fn func() error) error {
	if t.closed {
		return ErrClosed
	}
	fresh := false
	if t.health() != nil {
		if err := t.reattach(); err != nil {
			return err
		}
		fresh = true
	}
	err := fn()
	if err == nil {
		return nil
	}
	// A module whose daemon is dead answers with a code that says nothing. Only
	// a new start finds out.
	dumb := dumbfounded(err)
	if !dumb && !t.lost(err) {
		return err
	}
	if !fresh && bool(again) {
		if err := t.renew(dumb); err != nil {
			return err
		}
		err = fn()
	}
	if err == nil || !errors.Is(err, ErrUnavailable) && t.answers() == nil {
		return err
	}
	t.drop()
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// dumbfounded reports the codes that modules give when what is behind them is
// gone, and for much else.
func dumbfounded(err error) bool {
	return isCode(err, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_HOST_MEMORY, pkcs11.CKR_DEVICE_ERROR)
}

// renew logs in again, and where the module itself may be at fault starts that
// again too.
func (t *Token) renew(module bool) error {
	t.drop()
	if module {
		if err := t.mod.restart(); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	return t.reattach()
}

// answers has the token do something: a module may tell who a token was, and
// that its session is open, long after its daemon has died.
func (t *Token) answers() error {
	if err := t.health(); err != nil {
		return err
	}
	_, err := t.mod.fn.Random(t.session, 8)
	if isCode(err, pkcs11.CKR_FUNCTION_NOT_SUPPORTED, pkcs11.CKR_RANDOM_NO_RNG) {
		_, err = t.find(newAttribute(pkcs11.CKA_LABEL, Signer.Label()))
	}
	return failure("ask for random bytes", err)
}

// lost tells a token that is gone from one that merely said no. SoftHSM
// answers a vanished token with any code or with no objects, so it is asked.
func (t *Token) lost(err error) bool {
	return errors.Is(err, ErrUnavailable) || t.health() != nil
}

// health asks the token who it is and the session whether it is logged in.
func (t *Token) health() error {
	if t.life == 0 || t.life != t.mod.life || !t.mod.ready {
		return ErrUnavailable
	}
	ti, err := t.mod.fn.GetTokenInfo(t.slot)
	if err != nil {
		return failure("ask token", err)
	}
	if ti.Serial != t.info.Serial || ti.Label != t.info.Label {
		return ErrUnavailable
	}
	state, err := t.mod.fn.SessionState(t.session)
	if err != nil {
		return failure("ask session", err)
	}
	if state != pkcs11.CKS_RW_USER_FUNCTIONS {
		return ErrUnavailable
	}
	return nil
}

// reattach opens a token again that was open before.
func (t *Token) reattach() error {
	err := t.attach()
	if err == nil || errors.Is(err, ErrPIN) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// attach finds the token and logs in. What the module does not show is looked
// for once more after a restart of the module.
func (t *Token) attach() error {
	t.drop()
	err := t.mod.initialize()
	if err == nil {
		err = t.login()
	}
	if err == nil || errors.Is(err, ErrPIN) || errors.Is(err, ErrNoPIN) || errors.Is(err, ErrTokens) {
		return err
	}
	if err := t.mod.restart(); err != nil {
		return err
	}
	return t.login()
}

func (t *Token) login() error {
	all, err := t.mod.slots()
	if err != nil {
		return err
	}
	want := t.cfg.URI
	if t.known { // in whatever slot it is now
		want.Token, want.Serial = t.info.Label, t.info.Serial
	}
	info, err := t.mod.choose(all, want)
	if err != nil {
		return err
	}
	s, err := t.mod.fn.OpenSession(info.Slot)
	if err != nil {
		return failure("open session", err)
	}
	if err := t.givePIN(s, info); err != nil {
		_ = t.mod.fn.CloseSession(s)
		return err
	}
	t.slot, t.session, t.life = info.Slot, s, t.mod.life
	if err := t.recognise(info); err != nil {
		t.drop()
		return err
	}
	return nil
}

// recognise makes sure that this is the token of before. A serial number says
// little: many tokens have none, or all the same. The signing key says more.
func (t *Token) recognise(info Info) error {
	signer, err := t.signerPrint()
	if err != nil {
		return err
	}
	if t.known && t.signer != "" && signer != t.signer {
		return fmt.Errorf("find token: %w: a token %q of the same serial number has another signing key", ErrNoToken, info.Label)
	}
	if !t.known {
		t.info, t.known = info, true
	}
	t.signer = signer
	return nil
}

// signerPrint tells the public key that signs the ledger, "" where there is
// none of the usual label.
func (t *Token) signerPrint() (string, error) {
	found, err := t.find(newAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY), newAttribute(pkcs11.CKA_LABEL, Signer.Label()))
	if err != nil || len(found) == 0 {
		return "", err
	}
	a, err := t.readAs(pkcs11.CKO_PUBLIC_KEY, found[0])
	return string(a[pkcs11.CKA_EC_POINT]), err
}

// givePIN logs in. What a token says against a PIN is final for this PIN in this
// process, so that no loop and no second station window can lock it. A person
// is asked once in the life of a Token.
func (t *Token) givePIN(s session, info Info) error {
	if t.refused != nil {
		return t.refused
	}
	if err := mayTry(info); err != nil {
		return t.mod.locked(err)
	}
	keypad := info.has(pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH) && t.cfg.URI.PINSource == ""
	if t.pin == nil && !keypad {
		var err error
		if t.pin, err = readPIN(t.cfg, info.Label); err != nil {
			return fmt.Errorf("login: %w", err)
		}
	}
	print, err := t.mod.refused.print(info.Identity(), t.pin)
	if err != nil {
		return err
	}
	if err = t.mod.refused.known[print]; err == nil {
		err = t.tryPIN(s, info)
	}
	switch {
	case isCode(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN): // another Token of this process did it
		return nil
	case errors.Is(err, ErrPIN):
		t.mod.refused.known[print] = err
		t.pin.Destroy()
		t.pin = nil
		if t.cfg.URI.PINSource == "" {
			t.refused = err
		}
	}
	return err
}

// tryPIN gives the token a PIN that it has not refused before.
func (t *Token) tryPIN(s session, info Info) error {
	if t.pin != nil { // one that is typed at the token's key pad is never known here
		if err := refusedBefore(t.cfg.Refused, info.Identity(), t.pin); err != nil {
			return err
		}
	}
	if err := fits(info, t.pin); err != nil {
		return err
	}
	err := t.mod.locked(failure("login", t.mod.fn.Login(s, pkcs11.CKU_USER, t.pin)))
	switch {
	case t.pin == nil:
	case err == nil:
		forgetRefused(t.cfg.Refused, info.Identity())
	case isCode(err, pkcs11.CKR_PIN_INCORRECT):
		rememberRefused(t.cfg.Refused, info.Identity(), t.pin)
	}
	return err
}

// fits refuses a PIN that the token cannot have, before a try is spent on it.
func fits(info Info, pin *secret.Bytes) error {
	switch n := pin.Len(); {
	case pin == nil:
	case info.minPIN > 0 && n < info.minPIN, info.maxPIN > 0 && n > info.maxPIN:
		return fmt.Errorf("login: %w, which was not given to it: a PIN of %q has %d to %d characters, this one has %d", ErrPIN, info.Label, info.minPIN, info.maxPIN, n)
	}
	return nil
}

// mayTry refuses a login that could lock the token.
func mayTry(info Info) error {
	switch {
	case info.has(pkcs11.CKF_USER_PIN_LOCKED):
		return &Error{"login", pkcs11.CKR_PIN_LOCKED}
	case info.has(pkcs11.CKF_USER_PIN_FINAL_TRY):
		return fmt.Errorf("login: %w before: one more wrong PIN locks it; log in once with the token's own tool, which resets its counter", ErrPIN)
	case !info.has(pkcs11.CKF_USER_PIN_INITIALIZED):
		return &Error{"login", pkcs11.CKR_USER_PIN_NOT_INITIALIZED}
	}
	return nil
}

// drop forgets the session and what lives in it.
func (t *Token) drop() {
	if t.life != 0 && t.life == t.mod.life && t.mod.ready {
		_ = t.mod.fn.CloseSession(t.session) // a lost session cannot be closed
	}
	t.session, t.life, t.wrapper, t.kekPublic = 0, 0, 0, 0
	t.forget()
}

// forget has what was remembered of the token's objects asked again.
func (t *Token) forget() { t.vouched, t.fixed = map[object]string{}, map[object]attributes{} }

// String names the token; printing one never reaches its fields.
func (t *Token) String() string { return t.URI() }

// GoString is String.
func (t *Token) GoString() string { return t.URI() }
