package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"station/internal/chip"
	"station/internal/secret"
)

// IDSize is the size of an ID in bytes; it is told in hexadecimal.
const IDSize = 16

// ID is the public name that a device gets from the 32 bytes that the token
// computed over its chip and MAC: stable, and not to be guessed from the MAC.
func ID(mac []byte) string { return hex.EncodeToString(mac[:IDSize]) }

// Values is what one device is known by. Certificates are in DER; what is secret
// stays the caller's.
type Values struct {
	MAC                              chip.MAC
	ID, Serial, Batch, Job, Revision string
	Certificate, CA                  []byte
	Token                            *secret.Bytes // 32 bytes
	PrivateKey                       *secret.Bytes // scalar on P-256, 32 bytes
	Public                           []byte        // 04 X Y of the private key
}

// Take keeps what the token's master made for a purpose. It is false for what is
// no value: the keys of an NVS partition.
func (v *Values) Take(purpose chip.Purpose, made *secret.Bytes) bool {
	switch purpose {
	case chip.DeviceID:
		v.ID = ID(made.Reveal())
		made.Destroy() // the rest is nobody's
	case chip.DeviceToken:
		v.Token = made
	case chip.DevicePrivateKey:
		v.PrivateKey = made
	default:
		return false
	}
	return true
}

// Destroy overwrites what is secret. It may be called more than once and on nil.
func (v *Values) Destroy() {
	if v != nil {
		v.Token.Destroy()
		v.PrivateKey.Destroy()
	}
}

// Sample is a made-up device, to find what is wrong with a job: it has all
// that the job makes. The certificate is as long as a real one; ca is the CA's
// or nil.
func Sample(job, revision string, serial, token bool, t *CertificateTemplate, ca *x509.Certificate) (*Values, error) {
	v := &Values{MAC: chip.MAC{2, 0, 0, 0, 0, 1}, ID: strings.Repeat("0", 2*IDSize), Batch: "batch", Job: job, Revision: revision}
	if serial {
		v.Serial = strings.Repeat("0", 16)
	}
	var err error
	if token {
		if v.Token, err = secret.New(bytes.Repeat([]byte{1}, scalarSize)); err != nil {
			return nil, err
		}
	}
	if t == nil || ca == nil {
		return v, nil
	}
	if err := v.certify(*t, ca); err != nil {
		v.Destroy()
		return nil, err
	}
	return v, nil
}

// certify gives the sample a certificate that nobody's key signed.
func (v *Values) certify(t CertificateTemplate, ca *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c, err := t.Certificate(v, NewSerial(), time.Now())
	if err != nil {
		return err
	}
	if v.PrivateKey, err = secret.New(bytes.Repeat([]byte{1}, scalarSize)); err != nil {
		return err
	}
	if v.Public, err = key.PublicKey.Bytes(); err != nil {
		return err
	}
	parent := *ca
	parent.PublicKey = key.Public()
	v.CA = ca.Raw
	v.Certificate, err = x509.CreateCertificate(rand.Reader, c, &parent, &key.PublicKey, key)
	return err
}

// A placeholder is what a template can name in braces: the value as text and
// as bytes. Both are written into memory of the caller's.
type placeholder struct {
	name   string
	secret bool
	text   func(v *Values) ([]byte, error)
	raw    func(v *Values) ([]byte, error)
}

// plain is a placeholder of a text that has no other form.
func plain(name string, of func(v *Values) string) placeholder {
	f := func(v *Values) ([]byte, error) {
		if of(v) == "" {
			return nil, fmt.Errorf("the device has no {%s}", name)
		}
		return []byte(of(v)), nil
	}
	return placeholder{name, false, f, f}
}

var placeholders = []placeholder{
	{"mac", false, func(v *Values) ([]byte, error) { return []byte(v.MAC.String()), nil }, func(v *Values) ([]byte, error) { return v.MAC[:], nil }},
	{"id", false, func(v *Values) ([]byte, error) { return []byte(v.ID), nil }, func(v *Values) ([]byte, error) { return hex.DecodeString(v.ID) }},
	plain("serial", func(v *Values) string { return v.Serial }),
	plain("batch", func(v *Values) string { return v.Batch }),
	plain("job", func(v *Values) string { return v.Job }),
	plain("revision", func(v *Values) string { return v.Revision }),
	{"certificate", false, pemOf("CERTIFICATE", (*Values).certificate), (*Values).certificate},
	{"ca", false, pemOf("CERTIFICATE", (*Values).ca), (*Values).ca},
	{"token", true, func(v *Values) ([]byte, error) {
		b, err := v.token()
		return hex.AppendEncode(make([]byte, 0, 2*len(b)), b), err
	}, (*Values).token},
	{"private-key", true, pemOf("EC PRIVATE KEY", (*Values).privateKey), (*Values).privateKey},
}

// Placeholders are the names that a template can use.
func Placeholders() (names []string) {
	for _, p := range placeholders {
		names = append(names, p.name)
	}
	return names
}

func placeholderNamed(name string) (placeholder, bool) {
	i := slices.IndexFunc(placeholders, func(p placeholder) bool { return p.name == name })
	if i < 0 {
		return placeholder{}, false
	}
	return placeholders[i], true
}

func (v *Values) certificate() ([]byte, error) { return have(v.Certificate, "certificate") }
func (v *Values) ca() ([]byte, error)          { return have(v.CA, "ca") }
func (v *Values) token() ([]byte, error)       { return have(v.Token.Reveal(), "token") }

// privateKey is the key in DER (SEC 1), as mbedTLS reads it:
//
//	30 77 | 02 01 01 | 04 20 scalar | A0 0A 06 08 P-256 | A1 44 03 42 00 point
func (v *Values) privateKey() ([]byte, error) {
	if v.PrivateKey.Len() != scalarSize || len(v.Public) != pointSize {
		return have(nil, "private-key")
	}
	b := make([]byte, 0, len(sec1Head)+scalarSize+len(sec1Middle)+pointSize)
	b = append(b, sec1Head...)
	b = append(b, v.PrivateKey.Reveal()...)
	b = append(b, sec1Middle...)
	return append(b, v.Public...), nil
}

const (
	scalarSize = 32
	pointSize  = 65
)

var (
	sec1Head   = []byte{0x30, 0x77, 2, 1, 1, 4, 0x20}
	sec1Middle = []byte{0xa0, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 0xa1, 0x44, 3, 0x42, 0}
)

func have(b []byte, name string) ([]byte, error) {
	if len(b) == 0 {
		return nil, errors.New("the job makes no {" + name + "}")
	}
	return b, nil
}

// pemOf is the text of what is kept in DER.
func pemOf(kind string, der func(*Values) ([]byte, error)) func(*Values) ([]byte, error) {
	return func(v *Values) ([]byte, error) {
		b, err := der(v)
		if err != nil {
			return nil, err
		}
		return pemText(kind, b), nil
	}
}

// pemText is PEM in memory of one piece: nothing of a key stays behind where a
// buffer grew.
func pemText(kind string, der []byte) []byte {
	const line = 48 // bytes of DER
	begin, end := "-----BEGIN "+kind+"-----\n", "-----END "+kind+"-----\n"
	lines := (len(der) + line - 1) / line
	out := make([]byte, 0, len(begin)+base64.StdEncoding.EncodedLen(len(der))+lines+len(end))
	out = append(out, begin...)
	for part := range slices.Chunk(der, line) {
		out = append(base64.StdEncoding.AppendEncode(out, part), '\n')
	}
	return append(out, end...)
}

// expanded is more than the values of a text take, so that it is never moved.
const expanded = 16 << 10

// lent reports that the bytes of a placeholder are those of the caller's values.
func (p placeholder) lent(raw bool) bool { return raw && p.name == "token" }

// expand puts values in place of the placeholders of a text; raw wants bytes of
// a text that is one placeholder alone. The caller overwrites the result.
func expand(text string, raw bool, v *Values) ([]byte, error) {
	out := make([]byte, 0, len(text)+expanded)
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "{")
		out = append(out, before...)
		if !found {
			return out, nil
		}
		name, behind, closed := strings.Cut(after, "}")
		p, known := placeholderNamed(name)
		switch {
		case !closed:
			return nil, errors.New("a { without its }")
		case !known:
			return nil, fmt.Errorf("no placeholder is called {%s}; write one of {%s}", name, strings.Join(Placeholders(), "} {"))
		case raw && text != "{"+name+"}":
			return nil, fmt.Errorf("with bytes, {%s} stands alone", name)
		}
		of := p.text
		if raw {
			of = p.raw
		}
		b, err := of(v)
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
		if p.secret && !p.lent(raw) {
			clear(b)
		}
		rest = behind
	}
}
