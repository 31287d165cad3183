package hsm

import (
	"errors"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"
)

// A module that cannot start is told with what it needs of the computer.
func TestHints(t *testing.T) {
	for path, words := range map[string]string{
		"/usr/lib/pkcs11/libopencryptoki.so":  "pkcsslotd runs",
		"/usr/lib/x/libtpm2_pkcs11.so.1":      "tpm2-abrmd",
		"/usr/lib/softhsm/libsofthsm2.so":     "SOFTHSM2_CONF",
		"/usr/lib/x/pkcs11/p11-kit-client.so": "p11-kit server",
		"/opt/maker/lib/cryptoki.so":          "start module: the module got no memory, or does not reach what is behind it (CKR_HOST_MEMORY)",
	} {
		err := (&module{path: path}).hint(failure("start module", answerCode(pkcs11.CKR_HOST_MEMORY)))
		if !strings.Contains(err.Error(), words) || !isCode(err, pkcs11.CKR_HOST_MEMORY) {
			t.Errorf("%s: got %v, want %q", path, err, words)
		}
	}
	if inGroup("nogroup-of-this-name") != true {
		t.Error("a group that is not there was asked for")
	}
}

// Where the number says nothing, the label counts.
func TestIdentity(t *testing.T) {
	for serial, want := range map[string]string{
		"25539b90f9b32167": "25539b90f9b32167", "07550054": "07550054",
		"123": "123 of line", "0000000000000000": "0000000000000000 of line", "": " of line",
	} {
		if got := (Info{Label: "line", Serial: serial}).Identity(); got != want {
			t.Errorf("%q: got %q, want %q", serial, got, want)
		}
	}
}

// A PIN that is locked: by the flags of the token, or by its answer. What opens
// it again is another thing for a TPM.
func TestALockedPIN(t *testing.T) {
	for path, words := range map[string]string{
		"/usr/lib/x/libtpm2_pkcs11.so.1":  "(CKR_PIN_LOCKED); a TPM that was given wrong PINs too often locks all that has one, and opens again by itself",
		"/usr/lib/softhsm/libsofthsm2.so": "(CKR_PIN_LOCKED); the security officer sets a new one",
	} {
		m := &module{path: path}
		for _, err := range []error{mayTry(Info{Flags: pkcs11.CKF_USER_PIN_LOCKED}), failure("login", answerCode(pkcs11.CKR_PIN_LOCKED))} {
			if err = m.locked(err); !errors.Is(err, ErrPIN) || !strings.Contains(err.Error(), words) {
				t.Errorf("%s: got %v, want %q", path, err, words)
			}
		}
		if err := m.locked(failure("login", answerCode(pkcs11.CKR_PIN_INCORRECT))); strings.Contains(err.Error(), ";") {
			t.Errorf("a wrong PIN: got %v", err)
		}
	}
}
