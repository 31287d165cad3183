package site

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// A clock that is years off is no other site.
func TestWhatToDoAboutACertificate(t *testing.T) {
	for cause, want := range map[error]string{
		x509.CertificateInvalidError{Reason: x509.Expired}:             "set the clock of this machine",
		x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}: "look at the address",
		x509.UnknownAuthorityError{}:                                   "look at the address",
	} {
		err := advised(fmt.Errorf("nats: tls error: %w", &tls.CertificateVerificationError{Err: cause}))
		if !strings.Contains(err.Error(), want) || !errors.As(err, new(*tls.CertificateVerificationError)) {
			t.Errorf("%v: %v", cause, err)
		}
	}
	if advised(nil) != nil {
		t.Error("advice where nothing is wrong")
	}
}
