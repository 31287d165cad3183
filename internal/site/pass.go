package site

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nkeys"

	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/secret"
)

// Pass is all that a bench needs to belong to a site: where the site is, by which
// CA and key it is known, and the bench's own nkey. As a file it is PEM.
type Pass struct {
	Site, Bench string
	Address
	Former  string           // where the site was, while it was not reached at Address; not in the file
	CAs     [][]byte         // DER
	Witness *ecdsa.PublicKey // signs checkpoints
	Seed    *secret.Bytes    // of the nkey

	ServerName string // in the certificate, where that is not the URL's; not in the file
}

const passType = "STATION SITE PASS" // its bytes are the seed

// Write makes the file, which nobody else may read.
func (p *Pass) Write(path string, overwrite bool) error {
	return keyfile.WriteFile(path, overwrite, 0o600, func(f *os.File) error { return p.encode(f) })
}

// Renew writes the file anew, whole or not at all.
func (p *Pass) Renew(path string) error {
	return keyfile.ByContent(filepath.Dir(path), 0o600, func(w io.Writer) (string, error) { return path, p.encode(w) })
}

func (p *Pass) encode(f io.Writer) error {
	err := pem.Encode(f, &pem.Block{Type: passType, Headers: p.headers(), Bytes: p.Seed.Reveal()})
	for _, ca := range p.CAs {
		err = errors.Join(err, pem.Encode(f, &pem.Block{Type: "CERTIFICATE", Bytes: ca}))
	}
	der, keyErr := x509.MarshalPKIXPublicKey(p.Witness)
	return errors.Join(err, keyErr, pem.Encode(f, &pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func (p *Pass) headers() map[string]string {
	list := map[string]string{"Site": p.Site, "Bench": p.Bench, "URL": p.URL}
	if !p.Since.IsZero() {
		list["Since"] = p.Since.Format(time.RFC3339)
	}
	return list
}

// takeHeaders reads whose pass it is, and where the site is.
func (p *Pass) takeHeaders(list map[string]string) (err error) {
	p.Site, p.Bench, p.URL = list["Site"], list["Bench"], list["URL"]
	if since := list["Since"]; since != "" {
		p.Since, err = time.Parse(time.RFC3339, since)
	}
	return err
}

// ReadPass reads the file of a bench. One that others may read is refused.
func ReadPass(path string) (*Pass, error) {
	data, err := keyfile.ReadGuarded(path)
	if err != nil {
		return nil, fmt.Errorf("pass of the site: %w", err)
	}
	defer data.Destroy()
	p, err := parsePass(data.Reveal())
	if err != nil {
		p.Destroy()
		return nil, fmt.Errorf("pass of the site %s: %w", path, err)
	}
	return p, nil
}

func parsePass(data []byte) (p *Pass, err error) {
	p = new(Pass)
	for block, rest := pem.Decode(data); block != nil && err == nil; block, rest = pem.Decode(rest) {
		err = p.take(block)
	}
	switch {
	case err != nil:
	case p.Seed == nil:
		err = errors.New("it is no pass: \"station site add\" makes one")
	case len(p.CAs) == 0 || p.Witness == nil:
		err = errors.New("it is cut: the site's certificate or key is missing")
	default:
		err = errors.Join(CheckName("site", p.Site), CheckName("bench", p.Bench))
	}
	return p, err
}

// take takes one block of the file; the seed leaves the heap.
func (p *Pass) take(b *pem.Block) (err error) {
	switch {
	case b.Type == passType && p.Seed == nil:
		if p.Seed, err = secret.New(b.Bytes); err == nil {
			_, err = PublicNkey(p.Seed)
		}
		err = errors.Join(err, p.takeHeaders(b.Headers))
	case b.Type == "CERTIFICATE":
		p.CAs = append(p.CAs, bytes.Clone(b.Bytes))
		_, err = x509.ParseCertificate(b.Bytes)
	case b.Type == "PUBLIC KEY":
		p.Witness, err = ledger.ParsePublicKey(b.Bytes)
	default:
		clear(b.Bytes)
		err = fmt.Errorf("it holds a %s", b.Type)
	}
	return err
}

// Destroy overwrites the seed.
func (p *Pass) Destroy() { p.Seed.Destroy() }

// NewSeed makes the seed of a new nkey for a user.
func NewSeed() (*secret.Bytes, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("nkey: %w", err)
	}
	defer pair.Wipe()
	seed, err := pair.Seed()
	if err != nil {
		return nil, fmt.Errorf("nkey: %w", err)
	}
	return secret.New(seed)
}

// PublicNkey is the public half of a seed.
func PublicNkey(seed *secret.Bytes) (string, error) {
	pair, err := nkeys.FromSeed(seed.Reveal())
	if err != nil {
		return "", fmt.Errorf("nkey: %w", err)
	}
	defer pair.Wipe()
	return pair.PublicKey()
}
