package station

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"testing"

	"station/internal/flow/flowtest"
	"station/internal/hsm"
	"station/internal/record"
)

// The token that the line wrote into a device is known again by asking the HSM,
// also of one that was revoked: it is told why it gets nothing. No other one is.
func TestDeviceTokens(t *testing.T) {
	s, _ := flowtest.NewIdentity(t, tokenKeys, 0, "esp_secure_cert")
	mac, other := VirtualMAC(7), VirtualMAC(8)
	virtual := ChipFor(s.Job)
	virtual.MAC = mac
	flowtest.WantVerdict(t, s.Visit(flowtest.NewChip(t, virtual)), record.Pass, "")
	id, token, private := flowtest.IdentityOf(mac)
	_, strange, _ := flowtest.IdentityOf(other)
	tokens := &DeviceTokens{Token: s.Token, Ledger: s.Ledger}
	is := func(want bool, name, secret string) {
		t.Helper()
		if got, err := tokens.Is(t.Context(), mac, secret); got != want || err != nil {
			t.Errorf("%s: got %t, %v", name, got, err)
		}
	}
	right := hex.EncodeToString(token)
	for range 2 { // asked, and remembered
		is(false, "another device's", hex.EncodeToString(strange))
		is(true, "its own", right)
		is(true, "its own in capitals", strings.ToUpper(right))
		is(false, "its private key", hex.EncodeToString(private))
		for _, bad := range []string{"", id, right[:62], right + "00", "x" + right[1:]} {
			is(false, bad, bad)
		}
	}
	if got, err := tokens.Is(t.Context(), other, hex.EncodeToString(strange)); got || err != nil {
		t.Errorf("a device that nobody made: %t, %v", got, err)
	}
	d, _, err := s.Ledger.Device(mac)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ledger.Append(record.Entry{Kind: record.IdentityRevoked, MAC: mac, Simulated: true, Operator: "eve", Message: "stolen", About: record.NamesIdentity(record.Identity{ID: d.Identity.ID, Certificate: d.Identity.Certificate})}); err != nil {
		t.Fatal(err)
	}
	is(true, "revoked", right)
	is(false, "revoked, another device's", hex.EncodeToString(strange))
}

// The CA in the token certifies the server for its names; the next time it is
// the same certificate, and after half of its time a new one.
func TestServerCertificate(t *testing.T) {
	s, ca := flowtest.NewIdentity(t, tokenKeys, 0, "esp_secure_cert")
	c := &ServerCertificate{Token: s.Token, Label: hsm.CA.Label(), CA: ca, Names: []string{"updates.example", "10.0.0.5"}}
	first, err := c.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}))
	for name, good := range map[string]bool{"updates.example": true, "10.0.0.5": true, "elsewhere.example": false} {
		_, err := first.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name})
		if (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := first.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("it is good for a device, too")
	}
	if again, err := c.Get(nil); err != nil || !bytes.Equal(again.Certificate[0], first.Certificate[0]) {
		t.Errorf("the next time it is another one, %v", err)
	}
	c.half = first.Leaf.NotBefore
	if later, err := c.Get(nil); err != nil || bytes.Equal(later.Certificate[0], first.Certificate[0]) {
		t.Errorf("after half of its time it is the same, %v", err)
	}
	other := &ServerCertificate{Token: s.Token, Label: hsm.CA.Label(), CA: first.Leaf, Names: []string{"x"}}
	if _, err := other.Get(nil); err == nil {
		t.Error("the certificate of no CA certified it")
	}
}
