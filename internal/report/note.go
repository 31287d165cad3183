package report

import (
	"crypto"
	"errors"
	"fmt"

	"station/internal/ledger"
)

// ErrSimulated: what was made on virtual devices or with a throw-away token is
// never signed, certified or counted as real.
var ErrSimulated = errors.New("the ledger is SIMULATION: nothing in it is certified")

func signText(text, origin string, key crypto.Signer) (string, error) {
	signed, err := ledger.SignNote(text, origin, key)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return string(signed), nil
}
