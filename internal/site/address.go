package site

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"station/internal/ledger"
)

// Address is where benches find the site since a time.
type Address struct {
	URL   string
	Since time.Time // to the second; zero is since the site began
}

// CheckURL refuses an address that is none of a site: it goes to every bench and into the
// server's certificate, so it is a host and a port and nothing besides.
func CheckURL(text string) (*url.URL, error) {
	at, err := url.Parse(text)
	if err == nil && (text != "tls://"+at.Host || !isPort(at.Port()) || !isHost(at.Hostname())) {
		err = errors.New("it is none")
	}
	if err != nil {
		return nil, fmt.Errorf("address %q: want tls://HOST:PORT, as tls://site.example:4222 or tls://[fd00::7]:4222", text)
	}
	return at, nil
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$`)

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == text
}

// isHost tells whether it is a name or an address for which there can be a certificate.
func isHost(name string) bool {
	return net.ParseIP(name) != nil || len(name) <= 253 && hostName.MatchString(name)
}

// SigningName is that of the site under notes.
func SigningName(name string) string { return "station-site/" + name }

const addressFormat = "station-site-address/1"

// Sign makes the note by which benches know that the site says so itself.
func (a Address) Sign(name string, key crypto.Signer) ([]byte, error) {
	text := strings.Join([]string{addressFormat, name, a.URL, a.Since.Format(time.RFC3339), ""}, "\n")
	return ledger.SignNote(text, SigningName(name), key)
}

// openAddress reads such a note, if the key signed it.
func openAddress(signed []byte, name string, key *ecdsa.PublicKey) (a Address, err error) {
	text, err := ledger.OpenNote(signed, SigningName(name), key)
	if err != nil {
		return a, err
	}
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || lines[0] != addressFormat || lines[1] != name {
		return a, errors.New("it is no address of this site")
	}
	if _, err = CheckURL(lines[2]); err == nil {
		a.URL = lines[2]
		a.Since, err = time.Parse(time.RFC3339, lines[3])
	}
	return a, err
}

// Heard is what a bench keeps of a new address, beside its pass.
type Heard struct {
	Nkey   string `json:"nkey"`             // of the pass: what was heard with another one is past
	Pass   string `json:"pass"`             // the address in the pass: a person may write another one there, which holds then
	Note   []byte `json:"note"`             // in which the site says where it is
	Former string `json:"former,omitempty"` // where it was, while it was not reached there
}

// Follow takes where the site, which was reached at an address, says that it is from now
// on: nothing, or a note that the key of the pass must have signed. Where the site was is
// remembered until it was reached where it is. It tells whether anything has changed.
func (p *Pass) Follow(at string, note []byte) (bool, error) {
	if note == nil {
		reached := p.Former != "" && at == p.URL
		if reached {
			p.Former = ""
		}
		return reached, nil
	}
	a, err := openAddress(note, p.Site, p.Witness)
	if err != nil {
		return false, fmt.Errorf("address of the site: %w", err)
	}
	if !a.Since.After(p.Since) {
		return false, nil
	}
	if p.Former = at; at == a.URL {
		p.Former = ""
	}
	p.Address = a
	return true, nil
}
