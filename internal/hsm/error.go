package hsm

import (
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

// What can be wrong with a token, as far as somebody decides on it.
var (
	// ErrNoModule: the PKCS#11 library is missing or is none.
	ErrNoModule = errors.New("no PKCS#11 module")
	// ErrNoToken: the module has no token of that description.
	ErrNoToken = errors.New("no such token")
	// ErrBlank: the token is there but was never initialised, or has no user PIN.
	ErrBlank = errors.New("the token is not initialised")
	// ErrPIN: the token refused the PIN. This process does not give it again.
	ErrPIN = errors.New("the token refused the PIN")
	// ErrNoPIN: there is no source for the PIN, or the source is not fit.
	ErrNoPIN = errors.New("no PIN")
	// ErrUnavailable: the token, its session or its module is gone for the
	// moment. The next call tries to open it again.
	ErrUnavailable = errors.New("the token is away")
	// ErrNoKey: no key of that label.
	ErrNoKey = errors.New("no such key")
	// ErrAmbiguous: two keys have one label.
	ErrAmbiguous = errors.New("not unique")
	// ErrTokens: several tokens answer one description.
	ErrTokens = errors.New("several tokens answer")
	// ErrAttributes: the key's attributes leave it too open or unfit for its use.
	ErrAttributes = errors.New("unfit attributes")
	// ErrExists: something of that label is there already.
	ErrExists = errors.New("already there")
	// ErrLabel: a label that no key may have.
	ErrLabel = errors.New("unfit label")
	// ErrFull: the token has no room for another object.
	ErrFull = errors.New("the token is full")
	// ErrSize: the key has not the length that the chip needs.
	ErrSize = errors.New("wrong key length")
	// ErrCannot: the token cannot do what the role of the key asks for.
	ErrCannot = errors.New("the token cannot do it")
	// ErrWrapped: a wrapped key does not open: damaged, or of another token.
	ErrWrapped = errors.New("the wrapped key does not open")
	// ErrClosed: the Token was closed.
	ErrClosed = errors.New("the token was closed")
)

// Error is an answer of the token other than CKR_OK. It is errors.Is to
// ErrPIN, ErrBlank, ErrFull and ErrUnavailable where its code says so.
type Error struct {
	Op   string // "login", "sign with station-master"
	Code uint   // CKR_…
}

// Error reads "login: wrong PIN (CKR_PIN_INCORRECT)".
func (e *Error) Error() string {
	a, ok := answers[e.Code]
	switch {
	case ok:
		return fmt.Sprintf("%s: %s (%s)", e.Op, a.words, a.name)
	case e.Code >= pkcs11.CKR_VENDOR_DEFINED:
		return fmt.Sprintf("%s: an error of this token's maker (CKR_VENDOR_DEFINED + %#x)", e.Op, e.Code-pkcs11.CKR_VENDOR_DEFINED)
	}
	return fmt.Sprintf("%s: an error that PKCS#11 does not know (%#x)", e.Op, e.Code)
}

// Is compares by the meaning of the code.
func (e *Error) Is(target error) bool {
	means := answers[e.Code].means
	return means != nil && means == target
}

// failure names the operation beside the token's code.
func failure(op string, err error) error {
	if err == nil {
		return nil
	}
	var code answerCode
	if errors.As(err, &code) {
		return &Error{Op: op, Code: uint(code)}
	}
	return fmt.Errorf("%s: %w", op, err)
}

// isCode reports whether the token answered with one of the codes.
func isCode(err error, codes ...uint) bool {
	var have uint
	if e := new(Error); errors.As(err, &e) {
		have = e.Code
	} else if raw := answerCode(0); errors.As(err, &raw) {
		have = uint(raw)
	}
	for _, c := range codes {
		if c == have {
			return true
		}
	}
	return false
}

// edge is put on every error that leaves the package.
func edge(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("hsm: %w", err)
}
