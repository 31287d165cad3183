// Package hsm makes device keys and signatures in a PKCS#11 token. It is the
// only package that knows PKCS#11.
//
// A device key leaves the token in one of two ways: as the output of the key
// derivation (policy derived), written by the module straight into locked
// memory, or wrapped to an RSA key of this run (policies shared and random).
// No key of the station itself can leave at all, and a key whose attributes
// would let it is refused. No wrong PIN is given twice in the life of the
// process, and with Config.Refused not in the next one either. Nothing that this package returns, prints or logs holds a key or a
// PIN, other than the Secret of a DeviceKey.
//
// # What is ours in a token
//
// A key is used by its label (CKA_LABEL), which must be unique in the token.
// What this package makes carries CKA_ID "station:<role>:<label>", by which
// Keys and Status tell our objects from others. A key of another origin can be
// used if its attributes are right; give it such a CKA_ID to have it listed.
//
// # One call at a time
//
// All calls into a module are serialised, whatever the number of tokens and
// goroutines: SoftHSM fails or crashes on concurrent creation and generation,
// and a line needs about one key a second, which one session gives hundreds of
// times over.
package hsm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"station/internal/secret"
)

// Config says which token and where its PIN comes from.
type Config struct {
	URI URI
	// Prompt asks a person for the PIN if neither the URI's pin-source nor the
	// environment variable PINEnv has one. nil: there is nobody to ask.
	Prompt func(question string) (*secret.Bytes, error)
	// Refused is the file in which PINs that a token refused are remembered from
	// one process to the next, as digests. Empty: they are not.
	Refused string
	// Record tells what the records of this site say of the keys in that token.
	// A key that is noted there, with its check value, is used also where the
	// token does not say that it was always a secret of its own: some tokens
	// never do, and none does after its keys were restored or shared with a
	// second station. nil: only the token's word counts.
	Record func(Info) []Noted
	// OwnOnly refuses such a key also where it is noted.
	OwnOnly bool
	// Answer is how long one call into the module may take; 0: 10 s.
	Answer time.Duration
}

// patience is how long one call into a module may take, unless told otherwise.
const patience = 10 * time.Second

func (c Config) limit() time.Duration { return cmp.Or(c.Answer, patience) }

// Open loads the module, finds the one token that the URI describes and logs
// in. Errors: ErrNoModule, ErrNoToken, ErrTokens, ErrBlank, ErrNoPIN, ErrPIN,
// ErrUnavailable where it does not answer, or an *Error.
func Open(cfg Config) (*Token, error) {
	m, err := open(cfg.URI)
	if err != nil {
		return nil, edge(err)
	}
	t, err := alone(context.Background(), m, cfg.limit(), (*Token).shut, func() (*Token, error) {
		if err := m.hold(); err != nil {
			return nil, err
		}
		t := &Token{cfg: cfg, mod: m, template: map[uint][]uint{}}
		if err := t.attach(); err != nil {
			t.pin.Destroy()
			return nil, errors.Join(err, m.release())
		}
		return t, nil
	})
	return t, edge(err)
}

// Close ends the session and forgets the PIN and the wrapping key. The module
// is finalised with its last Token.
func (t *Token) Close() error {
	_, err := alone(context.Background(), t.mod, t.cfg.limit(), nil, func() (struct{}, error) {
		if t.closed {
			return struct{}{}, nil
		}
		return struct{}{}, t.shutDown()
	})
	if err != nil {
		return edge(fmt.Errorf("close: %w", err))
	}
	return nil
}

// shutDown is Close with the turn held.
func (t *Token) shutDown() error {
	t.closed = true
	t.drop()
	t.pin.Destroy()
	t.pin, t.wrapping = nil, nil
	return t.mod.release()
}

// shut takes back a token that was opened when nobody waited for it any more.
func (t *Token) shut() { _ = t.shutDown() }

// Check asks the token whether it is there, logged in and answers, and opens
// it again if it was away. What was remembered of its objects is asked anew
// by the calls that follow.
func (t *Token) Check(ctx context.Context) error {
	_, err := call(ctx, t, repeat, func() (struct{}, error) { t.forget(); return struct{}{}, t.answers() })
	return err
}

// Info is who the token is, as it said to Open.
func (t *Token) Info() Info { return t.info }

// URI names this very token: label, serial, model and manufacturer.
func (t *Token) URI() string { return t.info.URI() }

// Calls counts the calls that were made into the token's module.
func (t *Token) Calls() int64 { return t.mod.fn.calls.Load() }
