package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"hash/crc32"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"station/internal/secret"
)

// issuer is a CA of its own, as a token would hold it.
func issuer(t testing.TB) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := SelfSigned("CN=Plant CA,O=Plant", 0, time.Now(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, ca
}

func scalar(t testing.TB, b []byte) *secret.Bytes {
	t.Helper()
	s, err := secret.New(bytes.Clone(b))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Destroy)
	return s
}

func TestDeviceKey(t *testing.T) {
	raw := bytes.Repeat([]byte{0x11, 0x22}, 16)
	pub, err := DeviceKey(scalar(t, raw))
	if err != nil {
		t.Fatal(err)
	}
	want, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil || !want.PublicKey.Equal(pub) {
		t.Errorf("got another public key than crypto/ecdsa (%v)", err)
	}
	for name, b := range map[string][]byte{"zero": make([]byte, 32), "the order": p256Order(), "beyond it": bytes.Repeat([]byte{0xff}, 32)} {
		s := scalar(t, b)
		if _, err := DeviceKey(s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if sum := sha256.Sum256(b); !bytes.Equal(s.Reveal(), sum[:]) {
			t.Errorf("%s: got %x, want its SHA-256", name, s.Reveal())
		}
	}
	last := p256Order()
	last[31]--
	if s := scalar(t, last); func() bool { _, err := DeviceKey(s); return err != nil || !bytes.Equal(s.Reveal(), last) }() {
		t.Error("the largest scalar is not taken as it is")
	}
	if _, err := DeviceKey(scalar(t, raw[:31])); err == nil {
		t.Error("31 bytes are taken")
	}
}

// openssl runs the program and gives what it prints.
func openssl(t testing.TB, args ...string) (string, error) {
	t.Helper()
	out, err := exec.Command("openssl", args...).CombinedOutput()
	return string(out), err
}

func writePEM(t testing.TB, dir, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// OpenSSL takes the chain, the private key as it goes into a device, and the
// revocation list.
func TestOpenSSLVerifies(t *testing.T) {
	dir := t.TempDir()
	key, ca := issuer(t)
	private := scalar(t, bytes.Repeat([]byte{0x42}, 32))
	public, err := DeviceKey(private)
	if err != nil {
		t.Fatal(err)
	}
	v := deviceValues(t)
	point, err := public.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	v.PrivateKey, v.Public = private, point
	c, err := CertificateTemplate{Subject: "CN={id},O=Plant,serialNumber={serial}", Days: 3650, URI: []string{"urn:dev:mac:{mac}"}, DNS: []string{"{id}.plant.example"},
		Extensions: []Extension{{OID: "1.3.6.1.4.1.99999.1", Value: "batch {batch}"}}}.Certificate(v, NewSerial(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if v.Certificate, err = Issue(c, public, ca, key); err != nil {
		t.Fatal(err)
	}
	caPath := writePEM(t, dir, "ca.pem", "CERTIFICATE", ca.Raw)
	certPath := writePEM(t, dir, "device.pem", "CERTIFICATE", v.Certificate)
	if out, err := openssl(t, "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", caPath, certPath); err != nil {
		t.Error(out)
	}
	text, _ := openssl(t, "x509", "-in", certPath, "-noout", "-text", "-serial")
	for _, want := range []string{"CN = " + v.ID, "serialNumber = SN7", "TLS Web Client Authentication", "URI:urn:dev:mac:24:0a:c4:01:02:03", "DNS:" + v.ID + ".plant.example", "batch b1", "serial=" + SerialText(c.SerialNumber)} {
		if !strings.Contains(text, want) {
			t.Errorf("the certificate lacks %q:\n%s", want, text)
		}
	}
	b, err := expand("{private-key}", false, v)
	if err != nil {
		t.Fatal(err)
	}
	keyPath := filepath.Join(dir, "device.key")
	if err := os.WriteFile(keyPath, b, 0o600); err != nil {
		t.Fatal(err)
	}
	fromKey, err := openssl(t, "pkey", "-in", keyPath, "-pubout")
	fromCert, _ := openssl(t, "x509", "-in", certPath, "-noout", "-pubkey")
	if err != nil || fromKey != fromCert {
		t.Errorf("the private key is not the certificate's: %v\n%s\n%s", err, fromKey, fromCert)
	}
	der, err := RevocationList(7, []Revoked{{c.SerialNumber, time.Now()}}, time.Now(), 30, ca, key)
	if err != nil {
		t.Fatal(err)
	}
	crlPath := writePEM(t, dir, "crl.pem", "X509 CRL", der)
	if out, err := openssl(t, "crl", "-in", crlPath, "-CAfile", caPath, "-noout"); err != nil || !strings.Contains(out, "verify OK") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := openssl(t, "verify", "-crl_check", "-CRLfile", crlPath, "-CAfile", caPath, certPath); err == nil || !strings.Contains(out, "certificate revoked") {
		t.Errorf("a revoked certificate verifies: %s", out)
	}
}

// A request of the token's CA becomes a certificate under a root of the user's
// own, and devices verify against that root.
func TestOwnRoot(t *testing.T) {
	dir := t.TempDir()
	key, _ := issuer(t)
	csr, err := Request("CN=Line CA,O=Plant", key)
	if err != nil {
		t.Fatal(err)
	}
	csrPath := writePEM(t, dir, "ca.csr", "CERTIFICATE REQUEST", csr)
	rootKey, rootCert := filepath.Join(dir, "root.key"), filepath.Join(dir, "root.pem")
	caPath := filepath.Join(dir, "ca.pem")
	for _, args := range [][]string{
		{"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", rootKey, "-out", rootCert, "-subj", "/CN=Root", "-addext", "keyUsage=critical,keyCertSign", "-days", "100"},
		{"x509", "-req", "-in", csrPath, "-CA", rootCert, "-CAkey", rootKey, "-CAcreateserial", "-copy_extensions", "copy", "-days", "90", "-out", caPath},
	} {
		if out, err := openssl(t, args...); err != nil {
			t.Fatalf("%v: %s", args, out)
		}
	}
	text, err := os.ReadFile(caPath)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	public, err := DeviceKey(scalar(t, bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	c, err := CertificateTemplate{Subject: "CN={id}"}.Certificate(deviceValues(t), NewSerial(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	der, err := Issue(c, public, ca, key)
	if err != nil {
		t.Fatal(err)
	}
	certPath := writePEM(t, dir, "device.pem", "CERTIFICATE", der)
	if out, err := openssl(t, "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", rootCert, "-untrusted", caPath, certPath); err != nil {
		t.Error(out)
	}
	if made, err := x509.ParseCertificate(der); err != nil || made.NotAfter.After(ca.NotAfter) {
		t.Errorf("the certificate outlives its CA: %v, %v", made.NotAfter, err)
	}
}

func TestUnfitCA(t *testing.T) {
	key, ca := issuer(t)
	other, _ := issuer(t)
	no := *ca
	no.IsCA = false
	mute := *ca
	mute.KeyUsage = x509.KeyUsageCRLSign
	over := *ca
	over.NotAfter = time.Now().Add(-time.Second)
	silent := *ca
	silent.KeyUsage = x509.KeyUsageCertSign
	for want, err := range map[string]error{
		"for another key":         CheckCA(ca, other.Public()),
		"is of no CA":             CheckCA(&no, key.Public()),
		"it was good until":       func() error { _, err := Issue(&x509.Certificate{NotBefore: time.Now()}, nil, &over, key); return err }(),
		"sign certificates":       CheckCA(&mute, key.Public()),
		"sign revocation lists":   func() error { _, err := RevocationList(1, nil, time.Now(), 1, &silent, key); return err }(),
		"the CA's certificate is": func() error { _, err := Issue(&x509.Certificate{}, nil, ca, other); return err }(),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestUnfitTemplates(t *testing.T) {
	for want, x := range map[string]CertificateTemplate{
		"write it like CN=name": {Subject: "name"},
		"has no CN":             {Subject: "O=Plant"},
		"EMAIL is not known":    {Subject: "CN=x,email=y"},
		"{token} is a secret":   {Subject: "CN={token}"},
		"{private-key} is a":    {Subject: "CN=x", URI: []string{"urn:{private-key}"}},
		"no placeholder is":     {Subject: "CN={nobody}"},
		"is no URI":             {Subject: "CN=x", URI: []string{"plant"}},
		"is no object":          {Subject: "CN=x", Extensions: []Extension{{OID: "1.x", Value: "y"}}},
		"\"9.1\" is no object":  {Subject: "CN=x", Extensions: []Extension{{OID: "9.1", Value: "y"}}},
	} {
		if err := x.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", x, err, want)
		}
	}
	if err := (CertificateTemplate{Subject: "CN={id},OU={batch},C=DE,ST=B,L=M"}).Check(); err != nil {
		t.Error(err)
	}
}

// What a device's batch or serial number holds stays in the part of the subject that
// names it.
func TestValuesAddNoParts(t *testing.T) {
	x := CertificateTemplate{Subject: "CN={batch},serialNumber={serial},O=Plant,OU={job}"}
	c, err := x.Certificate(&Values{Batch: "b,CN=boss", Serial: "1,O=Evil", Job: "j,OU=k+C=DE"}, big.NewInt(1), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	want := pkix.Name{CommonName: "b,CN=boss", SerialNumber: "1,O=Evil", Organization: []string{"Plant"}, OrganizationalUnit: []string{"j,OU=k+C=DE"}}
	if !reflect.DeepEqual(c.Subject, want) {
		t.Errorf("got %+v, want %+v", c.Subject, want)
	}
}

func TestSerials(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		s := SerialText(NewSerial())
		if seen[s] || len(s) != 32 || s[0] < '4' || s[0] > '7' {
			t.Fatalf("serial number %s", s)
		}
		seen[s] = true
	}
	if got := SerialText(big.NewInt(0x0a0b)); got != "0A0B" {
		t.Errorf("got %s", got)
	}
}

// A chain of TLVs as esp_secure_cert reads it, read here by the numbers of its
// documentation.
func TestSecureCert(t *testing.T) {
	s, err := SecureCert(0x2000, TLV{TLVCA, []byte("the CA's certificate")}, TLV{TLVCertificate, bytes.Repeat([]byte{7}, 32)}, TLV{TLVToken, []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Destroy()
	b := s.Reveal()
	at := 0
	for _, want := range []struct {
		kind byte
		data string
	}{{0, "the CA's certificate"}, {1, strings.Repeat("\x07", 32)}, {52, "x"}, {9, ""}} {
		head := b[at : at+12]
		n := int(binary.LittleEndian.Uint16(head[10:]))
		padded := (n + 15) / 16 * 16
		if binary.LittleEndian.Uint32(head) != 0xba5eba11 || head[4]|head[5]|head[6]|head[7]|head[9] != 0 || head[8] != want.kind {
			t.Fatalf("at %#x: header %x, want type %d", at, head, want.kind)
		}
		data := string(b[at+12 : at+12+n])
		if want.kind == 9 {
			sum := sha256.Sum256(b[:at])
			want.data = string(sum[:])
		}
		if data != want.data || strings.Trim(string(b[at+12+n:at+12+padded]), "\x00") != "" {
			t.Errorf("type %d: got %q", want.kind, data)
		}
		sum := crc32.Update(0xffffffff, crc32.IEEETable, b[at:at+12+padded])
		if got := binary.LittleEndian.Uint32(b[at+12+padded:]); got != sum {
			t.Errorf("type %d: CRC %08x, want %08x", want.kind, got, sum)
		}
		at += 12 + padded + 4
	}
	if bytes.Count(b[at:], []byte{0xff}) != len(b[at:]) || len(b) != 0x2000 {
		t.Error("something follows the chain")
	}
	if _, err := SecureCert(64, TLV{TLVCA, make([]byte, 40)}); err == nil || !strings.Contains(err.Error(), "too small") {
		t.Errorf("got %v", err)
	}
}
