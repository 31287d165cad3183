package keyfile

import (
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Keys on P-192, as openssl writes them, are refused by the curve's name and with what to
// do, in each of their forms.
func TestKeysOnP192(t *testing.T) {
	for form, text := range map[string]string{
		"PUBLIC KEY":     "MEkwEwYHKoZIzj0CAQYIKoZIzj0DAQEDMgAE2qHRjB21n4UOQTIVA7aYAmMDxdmh7fO5vSl6mp49IfycjALUHj1jsyZmQR+kH5d9",
		"EC PRIVATE KEY": "MF8CAQEEGFkJ3dDi52Wlq+MiazP8z60C1lxPXb4/mKAKBggqhkjOPQMBAaE0AzIABNqh0YwdtZ+FDkEyFQO2mAJjA8XZoe3zub0pepqePSH8nIwC1B49Y7MmZkEfpB+XfQ==",
		"PRIVATE KEY":    "MG8CAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQEEVTBTAgEBBBhZCd3Q4udlpavjImsz/M+tAtZcT12+P5ihNAMyAATaodGMHbWfhQ5BMhUDtpgCYwPF2aHt87m9KXqanj0h/JyMAtQePWOzJmZBH6Qfl30=",
	} {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "key.pem")
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: form, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		if form == "PUBLIC KEY" {
			_, err = ReadPublic(path)
		} else {
			_, err = ReadPrivate(path)
		}
		if err == nil || !strings.Contains(err.Error(), "the key is on P-192, which is too weak to begin with; make one on P-256") {
			t.Errorf("%s: got %v", form, err)
		}
	}
}
