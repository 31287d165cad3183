package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CertificateTemplate is what the certificate of a device says. Texts may hold
// placeholders.
type CertificateTemplate struct {
	Subject    string      `toml:"subject"` // "CN={id},O=Plant"
	Days       int         `toml:"days"`    // it is valid; 0: without end (RFC 5280: 99991231235959Z)
	DNS        []string    `toml:"dns"`     // alternative names
	URI        []string    `toml:"uri"`
	Extensions []Extension `toml:"extension"` // the user's own
}

// Extension is an extension of the user's own in a certificate: its value is a text.
type Extension struct {
	OID      string `toml:"oid"`
	Value    string `toml:"value"`
	Critical bool   `toml:"critical"`
}

// forever is the end of a certificate that has none.
var forever = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// attributes are the parts of a subject that are known.
var attributes = map[string]func(*pkix.Name) *[]string{
	"O": func(n *pkix.Name) *[]string { return &n.Organization }, "OU": func(n *pkix.Name) *[]string { return &n.OrganizationalUnit },
	"C": func(n *pkix.Name) *[]string { return &n.Country }, "ST": func(n *pkix.Name) *[]string { return &n.Province },
	"L": func(n *pkix.Name) *[]string { return &n.Locality },
}

// ParseSubject reads "CN=name,O=firm".
func ParseSubject(text string) (pkix.Name, error) {
	var n pkix.Name
	for part := range strings.SplitSeq(text, ",") {
		kind, value, ok := strings.Cut(part, "=")
		kind, value = strings.ToUpper(strings.TrimSpace(kind)), strings.TrimSpace(value)
		switch list := attributes[kind]; {
		case !ok || value == "":
			return n, fmt.Errorf("subject %q: write it like CN=name,O=firm", text)
		case kind == "CN":
			n.CommonName = value
		case kind == "SERIALNUMBER":
			n.SerialNumber = value
		case list == nil:
			return n, fmt.Errorf("subject %q: %s is not known; write CN, O, OU, C, ST, L or serialNumber", text, kind)
		default:
			*list(&n) = append(*list(&n), value)
		}
	}
	if n.CommonName == "" {
		return n, fmt.Errorf("subject %q has no CN", text)
	}
	return n, nil
}

// texts expands the placeholders of a text. None of them may be a secret.
func texts(list []string, v *Values) (out []string, err error) {
	for _, text := range list {
		for _, p := range placeholders {
			if p.secret && strings.Contains(text, "{"+p.name+"}") {
				return nil, fmt.Errorf("%q: {%s} is a secret, and certificates are public", text, p.name)
			}
		}
		b, err := expand(text, false, v)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		out = append(out, string(b))
	}
	return out, nil
}

// subject fills the placeholders of each part by itself: what a value holds, a comma
// too, adds no part.
func (t CertificateTemplate) subject(v *Values) (pkix.Name, error) {
	n, err := ParseSubject(t.Subject)
	if err != nil {
		return n, err
	}
	one := []string{n.CommonName}
	if n.SerialNumber != "" {
		one = append(one, n.SerialNumber)
	}
	for _, list := range []*[]string{&one, &n.Organization, &n.OrganizationalUnit, &n.Country, &n.Province, &n.Locality} {
		if *list, err = texts(*list, v); err != nil {
			return n, fmt.Errorf("subject: %w", err)
		}
	}
	n.CommonName = one[0]
	if len(one) == 2 {
		n.SerialNumber = one[1]
	}
	return n, nil
}

// Certificate makes what a CA signs for a device: it may authenticate itself as
// a client, and nothing else.
func (t CertificateTemplate) Certificate(v *Values, serial *big.Int, from time.Time) (*x509.Certificate, error) {
	subject, err := t.subject(v)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{SerialNumber: serial, Subject: subject, NotBefore: from.UTC().Truncate(time.Second), NotAfter: forever,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true}
	if t.Days > 0 {
		c.NotAfter = c.NotBefore.AddDate(0, 0, t.Days)
	}
	if c.DNSNames, err = texts(t.DNS, v); err != nil {
		return nil, err
	}
	uris, err := texts(t.URI, v)
	if err != nil {
		return nil, err
	}
	for _, text := range uris {
		u, err := url.Parse(text)
		if err != nil || u.Scheme == "" {
			return nil, fmt.Errorf("%q is no URI", text)
		}
		c.URIs = append(c.URIs, u)
	}
	for _, x := range t.Extensions {
		e, err := x.made(v)
		if err != nil {
			return nil, err
		}
		c.ExtraExtensions = append(c.ExtraExtensions, e)
	}
	return c, nil
}

func (x Extension) made(v *Values) (pkix.Extension, error) {
	oid, err := parseOID(x.OID)
	if err != nil {
		return pkix.Extension{}, err
	}
	value, err := texts([]string{x.Value}, v)
	if err != nil {
		return pkix.Extension{}, err
	}
	der, err := asn1.MarshalWithParams(value[0], "utf8")
	return pkix.Extension{Id: oid, Critical: x.Critical, Value: der}, err
}

func parseOID(text string) (oid asn1.ObjectIdentifier, err error) {
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is no object identifier; write one like 1.3.6.1.4.1.99999.1", text)
		}
		oid = append(oid, n)
	}
	if len(oid) < 2 || oid[0] > 2 || oid[1] > 39 && oid[0] < 2 {
		return nil, fmt.Errorf("%q is no object identifier; write one like 1.3.6.1.4.1.99999.1", text)
	}
	return oid, nil
}

// Check makes a certificate for nobody, to find what is wrong with the template.
func (t CertificateTemplate) Check() error {
	v := &Values{ID: strings.Repeat("0", 2*IDSize), Serial: "1", Batch: "b", Job: "j", Revision: "1"}
	_, err := t.Certificate(v, big.NewInt(1), time.Now())
	return err
}

// ErrOver: the CA's certificate has expired, and nothing that it signs would be valid.
var ErrOver = errors.New("the CA's certificate is over")

// Issue has the CA sign a certificate, and proves that it fits the CA.
func Issue(c *x509.Certificate, public *ecdsa.PublicKey, ca *x509.Certificate, signer crypto.Signer) ([]byte, error) {
	if err := CheckCA(ca, signer.Public()); err != nil {
		return nil, err
	}
	if c.NotBefore.After(ca.NotAfter) {
		return nil, fmt.Errorf("identity: %w: it was good until %s; have its root renew it, or make a new CA", ErrOver, ca.NotAfter.UTC().Format(time.DateOnly))
	}
	if c.NotAfter.After(ca.NotAfter) {
		c.NotAfter = ca.NotAfter // no chain is good for longer than its CA
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, public, signer)
	if err != nil {
		return nil, fmt.Errorf("identity: certificate: %w", err)
	}
	made, err := x509.ParseCertificate(der)
	if err == nil {
		err = made.CheckSignatureFrom(ca)
	}
	if err != nil {
		return nil, fmt.Errorf("identity: the new certificate is not good: %w", err)
	}
	return der, nil
}

// CheckCA says why a certificate is not that of a CA with this key.
func CheckCA(ca *x509.Certificate, key crypto.PublicKey) error {
	public, ok := ca.PublicKey.(*ecdsa.PublicKey)
	switch {
	case !ok || !public.Equal(key):
		return errors.New("the CA's certificate is for another key than the token's")
	case !ca.IsCA || !ca.BasicConstraintsValid:
		return errors.New("the certificate is of no CA (basicConstraints CA:TRUE is missing)")
	case ca.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("the CA's certificate does not allow it to sign certificates (keyUsage keyCertSign)")
	}
	return nil
}

// NewSerial is a random serial number of 127 bits.
func NewSerial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
}

// SerialText is a serial number as ledger and OpenSSL write it: upper-case
// hexadecimal digits, whole bytes.
func SerialText(n *big.Int) string { return strings.ToUpper(hex.EncodeToString(n.Bytes())) }

// Fingerprint is the SHA-256 of a certificate in DER.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Request is a certificate request of a CA, in DER: a root of the user's own
// answers it.
func Request(subject string, signer crypto.Signer) ([]byte, error) {
	name, err := ParseSubject(subject)
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: name, ExtraExtensions: []pkix.Extension{caConstraints, caUsage}}, signer)
}

// What a request asks for: a CA of devices, keyCertSign and cRLSign.
var (
	caConstraints = pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 6, 1, 1, 0xff, 2, 1, 0}}
	caUsage       = pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: []byte{3, 2, 1, 6}}
)

// SelfSigned is the certificate of a CA that is its own root, in DER.
func SelfSigned(subject string, days int, from time.Time, signer crypto.Signer) ([]byte, error) {
	name, err := ParseSubject(subject)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{SerialNumber: NewSerial(), Subject: name, NotBefore: from.UTC().Truncate(time.Second), NotAfter: forever,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	if days > 0 {
		c.NotAfter = c.NotBefore.AddDate(0, 0, days)
	}
	return x509.CreateCertificate(rand.Reader, c, c, signer.Public(), signer)
}

// Revoked is one line of a revocation list.
type Revoked struct {
	Serial *big.Int
	At     time.Time
}

// CheckRevoker says why a certificate is not that of a CA that may list, with this
// key, what is revoked.
func CheckRevoker(ca *x509.Certificate, key crypto.PublicKey) error {
	if err := CheckCA(ca, key); err != nil {
		return err
	}
	if ca.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return errors.New("the CA's certificate does not allow it to sign revocation lists (keyUsage cRLSign)")
	}
	return nil
}

// RevocationList is a CRL of the CA in DER, good for that many days.
func RevocationList(number int64, list []Revoked, now time.Time, days int, ca *x509.Certificate, signer crypto.Signer) ([]byte, error) {
	if err := CheckRevoker(ca, signer.Public()); err != nil {
		return nil, err
	}
	l := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: now.UTC().Truncate(time.Second), NextUpdate: now.UTC().Truncate(time.Second).AddDate(0, 0, days)}
	for _, r := range list {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: r.Serial, RevocationTime: r.At.UTC().Truncate(time.Second)})
	}
	slices.SortFunc(l.RevokedCertificateEntries, func(a, b x509.RevocationListEntry) int { return a.RevocationTime.Compare(b.RevocationTime) })
	return x509.CreateRevocationList(rand.Reader, l, ca, signer)
}
