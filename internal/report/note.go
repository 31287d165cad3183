package report

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"station/internal/ledger"
)

// ErrSimulated: what was made on virtual devices or with a throw-away token is
// never signed, certified or counted as real.
var ErrSimulated = errors.New("the ledger is SIMULATION: nothing in it is certified")

// noteKey is a P-256 key as package note wants it: a name and the start of the
// SHA-256 of the key (C2SP signed-note, signature type 2).
type noteKey struct {
	name   string
	public *ecdsa.PublicKey
	signer crypto.Signer // nil where only the public half is known
}

func (k noteKey) Name() string { return k.name }

func (k noteKey) KeyHash() uint32 {
	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		return 0
	}
	sum := sha256.Sum256(der)
	return binary.BigEndian.Uint32(sum[:])
}

func (k noteKey) Verify(msg, sig []byte) bool {
	sum := sha256.Sum256(msg)
	return ecdsa.VerifyASN1(k.public, sum[:], sig)
}

func (k noteKey) Sign(msg []byte) ([]byte, error) {
	sum := sha256.Sum256(msg)
	return k.signer.Sign(rand.Reader, sum[:], crypto.SHA256)
}

// signText signs a text in the name of a ledger.
func signText(text, origin string, key crypto.Signer) (string, error) {
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok {
		return "", errors.New("sign: want a P-256 key")
	}
	signed, err := note.Sign(&note.Note{Text: text}, noteKey{origin, public, key})
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return string(signed), nil
}

// openText returns the text of a signed note after checking that one of the
// trusted keys signed it in the name of the ledger.
func openText(signed, origin string, trusted []*ecdsa.PublicKey) (string, error) {
	var list []note.Verifier
	for _, public := range trusted {
		list = append(list, noteKey{name: origin, public: public})
	}
	n, err := note.Open([]byte(signed), note.VerifierList(list...))
	var bad *note.InvalidSignatureError
	var unknown *note.UnverifiedNoteError
	switch {
	case errors.As(err, &bad), errors.As(err, &unknown):
		return "", ledger.ErrSignature
	case err != nil:
		return "", err
	}
	return n.Text, nil
}
