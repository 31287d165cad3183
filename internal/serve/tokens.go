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

// TokenFile knows devices by a file of lines "MAC sha256:…", the digest of the
// secret that the device has: for a server that has no HSM to ask.
type TokenFile map[chip.MAC][sha256.Size]byte

// ReadTokens reads the file; the error has every fault.
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

// Token tells whether the secret is that of the device.
func (t TokenFile) Token(_ context.Context, mac chip.MAC, secret string) (bool, error) {
	want, known := t[mac]
	sum := sha256.Sum256([]byte(secret))
	return known && subtle.ConstantTimeCompare(sum[:], want[:]) == 1, nil
}
