package ledger

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"station/internal/keyfile"
)

// ErrSignature means that none of the trusted keys signed the note.
var ErrSignature = errors.New("not signed by a trusted key")

// SignNote signs a text in the name of a ledger (C2SP signed-note, signature
// type 2: ECDSA over SHA-256).
func SignNote(text, origin string, key crypto.Signer) ([]byte, error) {
	public, _ := key.Public().(*ecdsa.PublicKey)
	v, err := newVerifier(origin, public)
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: text}, &signer{v, key})
}

// Cosign adds the signature of a witness, in its own name, to a signed note.
func Cosign(signed []byte, name string, key crypto.Signer) ([]byte, error) {
	public, _ := key.Public().(*ecdsa.PublicKey)
	v, err := newVerifier(name, public)
	if err != nil {
		return nil, err
	}
	n, err := note.Open(signed, note.VerifierList())
	var unknown *note.UnverifiedNoteError
	if errors.As(err, &unknown) {
		n, err = unknown.Note, nil
	}
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: n.Text, UnverifiedSigs: n.UnverifiedSigs}, &signer{v, key})
}

// OpenNote returns the text of a signed note after checking that one of the
// trusted P-256 keys signed it in the name of the ledger, or as its witness.
func OpenNote(signed []byte, origin string, trusted ...*ecdsa.PublicKey) (string, error) {
	var list []note.Verifier
	for _, key := range trusted {
		for _, name := range signersNames(signed, origin) {
			v, err := newVerifier(name, key)
			if err != nil {
				return "", err
			}
			list = append(list, v)
		}
	}
	n, err := note.Open(signed, note.VerifierList(list...))
	var bad *note.InvalidSignatureError
	var unknown *note.UnverifiedNoteError
	switch {
	case errors.As(err, &bad), errors.As(err, &unknown):
		return "", ErrSignature
	case err != nil:
		return "", err
	}
	return n.Text, nil
}

// signersNames are the names in which a note may be signed: the ledger's, and
// those of witnesses that stand in it. A name says nothing by itself: the key does.
func signersNames(signed []byte, origin string) []string {
	names := []string{origin}
	_, lines, _ := bytes.Cut(signed, []byte("\n\n"))
	for line := range bytes.Lines(lines) {
		name, ok := bytes.CutPrefix(line, []byte("— "))
		name, _, _ = bytes.Cut(name, []byte(" "))
		if ok && len(names) < 8 && !slices.Contains(names, string(name)) {
			names = append(names, string(name))
		}
	}
	return names
}

// verifier is a P-256 key as package note wants it. By the specification its
// ID is the start of the SHA-256 of the key alone, without the name.
type verifier struct {
	name string
	key  *ecdsa.PublicKey
	hash uint32
}

func newVerifier(name string, key *ecdsa.PublicKey) (*verifier, error) {
	der, err := marshalKey(key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return &verifier{name: name, key: key, hash: binary.BigEndian.Uint32(sum[:])}, nil
}

func marshalKey(key crypto.PublicKey) ([]byte, error) {
	if k, ok := key.(*ecdsa.PublicKey); !ok || k == nil || k.Curve != elliptic.P256() {
		return nil, errors.New("a ledger is signed with P-256 keys only")
	}
	return x509.MarshalPKIXPublicKey(key)
}

func (v *verifier) Name() string { return v.name }

func (v *verifier) KeyHash() uint32 { return v.hash }

func (v *verifier) Verify(msg, sig []byte) bool {
	sum := sha256.Sum256(msg)
	return ecdsa.VerifyASN1(v.key, sum[:], sig)
}

// signer is a verifier whose private key somebody else holds.
type signer struct {
	*verifier
	key crypto.Signer
}

// Sign also proves the signature: a token's may come in another encoding.
func (s *signer) Sign(msg []byte) ([]byte, error) {
	sum := sha256.Sum256(msg)
	sig, err := s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err == nil && !s.Verify(msg, sig) {
		err = errors.New("the token's signature does not verify")
	}
	return sig, err
}

// ParsePublicKey reads a P-256 public key: PEM (SubjectPublicKeyInfo), its DER,
// or a verifier key as tools of transparency logs have it: origin+ID+base64.
func ParsePublicKey(b []byte) (*ecdsa.PublicKey, error) {
	key, err := keyfile.ParsePublic(b)
	if err != nil {
		key, err = parseBare(b)
	}
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	p256, ok := key.(*ecdsa.PublicKey)
	if _, err := marshalKey(p256); !ok || err != nil {
		return nil, errors.New("public key: not a P-256 key")
	}
	return p256, nil
}

// parseBare reads a public key that is not in PEM.
func parseBare(b []byte) (crypto.PublicKey, error) {
	key, err := keyfile.ParsePublicDER(b) // plus signs in it are bytes like others
	parts := bytes.SplitN(bytes.TrimSpace(b), []byte("+"), 3)
	if err == nil || len(parts) != 3 {
		return key, err
	}
	typed, err := base64.StdEncoding.DecodeString(string(parts[2]))
	if err != nil || len(typed) == 0 || typed[0] != 2 {
		return nil, errors.New("not an ECDSA verifier key")
	}
	return keyfile.ParsePublicDER(typed[1:])
}
