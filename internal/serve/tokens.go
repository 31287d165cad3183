package serve

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"

	"station/internal/chip"
	"station/internal/keyfile"
	"station/internal/store"
)

// TokenFile has the SHA-256 of each device's token. It is for a server without an HSM
// that could derive the tokens.
type TokenFile map[chip.MAC][sha256.Size]byte

// ReadTokens reads a file with a line "MAC sha256:…" for each device. The error names
// every bad line.
func ReadTokens(path string) (TokenFile, error) {
	data, err := keyfile.Read(path, keyfile.Kind{Name: "file of devices' tokens", Most: 1 << 30})
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	tokens, faults := TokenFile{}, []string(nil)
	for i, line := range strings.Split(string(data), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, digest, _ := strings.Cut(line, " ")
		mac, err1 := chip.ParseMAC(name)
		d, err2 := store.ParseDigest(strings.TrimSpace(digest))
		if err1 != nil || err2 != nil {
			faults = append(faults, fmt.Sprintf("%s:%d: want MAC sha256:…", path, i+1))
			continue
		}
		tokens[mac] = d.Sum()
	}
	if faults != nil {
		return nil, fmt.Errorf("tokens: %s", strings.Join(faults, "\n"))
	}
	return tokens, nil
}

// Token implements Identities: secret must have the digest that the file has for the
// device.
func (t TokenFile) Token(_ context.Context, mac chip.MAC, secret string) (bool, error) {
	want, known := t[mac]
	sum := sha256.Sum256([]byte(secret))
	return known && subtle.ConstantTimeCompare(sum[:], want[:]) == 1, nil
}
