package hsm

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"golang.org/x/crypto/scrypt"

	"station/internal/keyfile"
	"station/internal/secret"
)

// A service that is started again and again must not give a token the same
// wrong PIN each time: three of them lock most tokens. What a token refused is
// therefore kept in a file, as a salted digest that takes a tenth of a second
// and 64 MiB for each guess. It can be lost at any time.

// refusedPINs is the file.
type refusedPINs struct {
	Version int                     `json:"version"`
	Tokens  map[string]refusedToken `json:"tokens"` // by serial number
}

// refusedToken are the PINs that one token refused last, newest first.
type refusedToken struct {
	Salt []byte       `json:"salt"`
	PINs []refusedPIN `json:"pins"`
}

type refusedPIN struct {
	Time   time.Time `json:"time"`
	Digest []byte    `json:"digest"`
}

const (
	refusedVersion = 1
	mostRefused    = 4 // PINs of a token: more than most take before they lock
)

// guessCost is scrypt's N: with blocks of 1 KiB as many KiB for each guess.
var guessCost = 1 << 16

// slowly is the digest that is kept of a PIN.
func slowly(salt []byte, serial string, pin *secret.Bytes) ([]byte, error) {
	sum, err := digestPIN(salt, serial, pin)
	if err != nil {
		return nil, err
	}
	return scrypt.Key(sum[:], salt, guessCost, 8, 1, sha256.Size)
}

// readRefused reads the file. One that is missing, damaged or of another
// version counts as empty.
func readRefused(path string) refusedPINs {
	empty := refusedPINs{Version: refusedVersion, Tokens: map[string]refusedToken{}}
	var r refusedPINs
	data, err := keyfile.Read(path, keyfile.SideFile)
	if err != nil || json.Unmarshal(data, &r) != nil || r.Version != refusedVersion || r.Tokens == nil {
		return empty
	}
	return r
}

// save replaces the file; nobody else may read it.
func (r refusedPINs) save(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return keyfile.Replace(path, 0o600, append(data, '\n'))
}

// refusedBefore reports that the token refused this very PIN in an earlier
// process.
func refusedBefore(path, serial string, pin *secret.Bytes) error {
	token, ok := readRefused(path).Tokens[serial]
	if path == "" || !ok {
		return nil
	}
	digest, err := slowly(token.Salt, serial, pin)
	if err != nil {
		return err
	}
	for _, was := range token.PINs {
		if subtle.ConstantTimeCompare(digest, was.Digest) == 1 {
			return fmt.Errorf("login: %w on %s, so it is not given again: correct the PIN, or if the token has this PIN by now, delete %s",
				ErrPIN, was.Time.Local().Format("2006-01-02 15:04:05"), path)
		}
	}
	return nil
}

// rememberRefused keeps that the token refused the PIN. That it cannot be kept
// costs no more than one try in the next process.
func rememberRefused(path, serial string, pin *secret.Bytes) {
	if path == "" {
		return
	}
	r := readRefused(path)
	token := r.Tokens[serial]
	if len(token.Salt) == 0 {
		token.Salt = make([]byte, 16)
		_, _ = rand.Read(token.Salt) // never fails
	}
	digest, err := slowly(token.Salt, serial, pin)
	if err != nil {
		return
	}
	token.PINs = append([]refusedPIN{{time.Now().UTC().Truncate(time.Second), digest}}, token.PINs...)
	token.PINs = token.PINs[:min(len(token.PINs), mostRefused)]
	r.Tokens[serial] = token
	_ = r.save(path)
}

// forgetRefused takes back what was kept: the token has taken another PIN.
func forgetRefused(path, serial string) {
	r := readRefused(path)
	if _, ok := r.Tokens[serial]; path == "" || !ok {
		return
	}
	delete(r.Tokens, serial)
	if len(r.Tokens) == 0 {
		_ = os.Remove(path)
		return
	}
	_ = r.save(path)
}
