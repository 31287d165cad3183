package hsm

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"station/internal/keyfile"
	"station/internal/secret"
)

// PINEnv is the environment variable that may hold the user PIN. Other
// programs of the same user can read it in /proc: a file is better.
const PINEnv = "STATION_PIN"

const maxPIN = 255 // bytes; more than any token takes

// readPIN takes the PIN from the URI's pin-source, the environment or a
// person, in this order. There is no other way in.
func readPIN(cfg Config, token string) (*secret.Bytes, error) {
	if path := cfg.URI.PINFile(); path != "" {
		return pinFile(path)
	}
	if s, ok := os.LookupEnv(PINEnv); ok && s != "" {
		return secret.New([]byte(s))
	}
	if cfg.Prompt == nil {
		return nil, fmt.Errorf("%w: give pin-source=file:/path in the token's URI or set %s", ErrNoPIN, PINEnv)
	}
	pin, err := cfg.Prompt(fmt.Sprintf("PIN of the token %q", token))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPIN, err)
	}
	if pin.Len() == 0 {
		return nil, fmt.Errorf("%w: nothing was typed", ErrNoPIN)
	}
	return pin, nil
}

// refusals are the PINs that tokens refused in this process, as digests under
// a random key, which say nothing outside of it.
type refusals struct {
	key   [32]byte
	known map[[sha256.Size]byte]error
}

func newRefusals() refusals {
	r := refusals{known: map[[sha256.Size]byte]error{}}
	_, _ = rand.Read(r.key[:]) // never fails
	return r
}

// print is the digest of a PIN for the token of that serial number; nil is the
// one that is typed at its key pad.
func (r refusals) print(serial string, pin *secret.Bytes) ([sha256.Size]byte, error) {
	return digestPIN(r.key[:], serial, pin)
}

// digestPIN is the digest of a PIN under a key. The PIN is copied nowhere but
// into locked memory.
func digestPIN(key []byte, serial string, pin *secret.Bytes) (sum [sha256.Size]byte, err error) {
	page, err := secret.Make(len(key) + len(serial) + 1 + pin.Len())
	if err != nil {
		return sum, err
	}
	defer page.Destroy()
	b := page.Reveal()
	copy(b[copy(b, key):], serial+"\x00")
	copy(b[len(b)-pin.Len():], pin.Reveal())
	return sha256.Sum256(b), nil
}

// pinFile reads a PIN, without the line end behind it, into locked memory. A
// file that others may read or that the group may change is refused.
func pinFile(path string) (*secret.Bytes, error) {
	f, err := keyfile.Open(path, keyfile.PIN)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPIN, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPIN, err)
	}
	switch mode := info.Mode(); {
	case mode.Perm()&0o027 != 0:
		return nil, fmt.Errorf("%w: %s may be read or changed by others (mode %04o); chmod 0600 or 0640 it", ErrNoPIN, path, mode.Perm())
	}
	page, err := secret.Make(maxPIN + 3)
	if err != nil {
		return nil, err
	}
	defer page.Destroy()
	n, err := io.ReadFull(f, page.Reveal())
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("%w: %w", ErrNoPIN, err)
	}
	line := bytes.TrimSuffix(bytes.TrimSuffix(page.Reveal()[:n], []byte("\n")), []byte("\r"))
	switch {
	case len(line) == 0:
		return nil, fmt.Errorf("%w: %s is empty", ErrNoPIN, path)
	case len(line) > maxPIN || bytes.ContainsAny(line, "\r\n"):
		return nil, fmt.Errorf("%w: %s holds more than one line of %d bytes", ErrNoPIN, path, maxPIN)
	}
	return secret.New(line) // overwrites its source
}
