package station

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"station/internal/flow"
	"station/internal/job"
	"station/internal/keyfile"
	"station/internal/tomlfile"
)

// File is the bench: who it is, its ledger, its token and its slots.
type File struct {
	ID     string         `toml:"id"`
	Ledger string         `toml:"ledger"` // path, relative to the file
	HSM    HSMFile        `toml:"hsm"`
	Device job.DeviceFile `toml:"device"`
	// Language of the operator's sentences: en (default) or zh.
	Language Language   `toml:"language"`
	Slots    []SlotFile `toml:"slot"`
	Label    LabelFile  `toml:"label"`
	Approval Approvals  `toml:"approval"`
	People   People     `toml:"people"`
	Batch    Batches    `toml:"batch"`
	Line     LineFile   `toml:"line"`
	Serve    ServeFile  `toml:"serve"`
	Site     SiteFile   `toml:"site"`
	Path     string     `toml:"-"`
}

// ServeFile is the update server of "station serve"; its files are relative to the
// station file.
type ServeFile struct {
	Listen    string       `toml:"listen"`
	Cert      string       `toml:"cert"`
	Key       string       `toml:"key"`
	Names     []string     `toml:"names"`        // for which the token's CA certifies it, in place of cert and key
	Issuer    string       `toml:"issuer"`       // that CA's certificate,
	Label     string       `toml:"issuer_label"` // and its key's label
	Authors   string       `toml:"authors"`
	Tokens    string       `toml:"tokens"`
	HSMTokens bool         `toml:"hsm_tokens"` // devices' tokens are asked of the HSM
	ClientCAs []string     `toml:"client_ca"`
	CRLs      []string     `toml:"crl"`
	Signers   []string     `toml:"signer"`
	Store     string       `toml:"store"`
	Site      string       `toml:"site"`      // the folder of a site that runs beside it,
	Page      string       `toml:"page"`      // and the address of its page,
	PageCert  string       `toml:"page_cert"` // its certificate, in place of the site's own,
	PageKey   string       `toml:"page_key"`
	PageCAs   []string     `toml:"page_ca"`  // who reads it without a token,
	PageCRLs  []string     `toml:"page_crl"` // and who of them does not any more
	Poll      job.Duration `toml:"poll"`
}

// files are the paths in it.
func (s *ServeFile) files() (list []*string) {
	list = []*string{&s.Cert, &s.Key, &s.Issuer, &s.Authors, &s.Tokens, &s.Store, &s.Site, &s.PageCert, &s.PageKey}
	for _, more := range [][]string{s.ClientCAs, s.CRLs, s.Signers, s.PageCAs, s.PageCRLs} {
		for i := range more {
			list = append(list, &more[i])
		}
	}
	return list
}

// Approvals is what the station demands of an approval.
type Approvals struct {
	TwoPeople bool `toml:"two_people"` // who approves a burn plan does not work with it
}

// Batches is what the station allows with batches.
type Batches struct {
	Undeclared bool `toml:"undeclared"` // takes a batch that nobody opened, and says so loudly
}

// HSMFile names the token.
type HSMFile struct {
	URI string `toml:"uri"` // PKCS#11 URI (RFC 7512)
	// Answer is how long the token may take over one call before the line is
	// halted; absent: 10 s.
	Answer job.Duration `toml:"answer"`
	// Origin is whose word counts for a key that the token did not always keep
	// as a secret of its own: "ledger" (default) or "token", which refuses it.
	Origin KeyOrigin `toml:"origin"`
	// AllowSoftware lets real devices get keys of a token that is software.
	AllowSoftware bool `toml:"allow_software_token"`
}

// KeyOrigin is whose word counts for the origin of a key: ledger or token.
type KeyOrigin string

// UnmarshalText reads whose word counts.
func (o *KeyOrigin) UnmarshalText(b []byte) error {
	w, err := job.Word(b, "ledger", "token")
	*o = KeyOrigin(w)
	return err
}

// SlotFile is one place of the fixture, in physical order.
type SlotFile struct {
	Name string `toml:"name"`
	Port string `toml:"port"`
}

// LineFile is how the line guards its devices.
type LineFile struct {
	// Alike is how many devices may fail alike after a burn, without one that
	// passes, before the line stops.
	Alike *int `toml:"equal_failures"`
	// Shifts are when they begin, as "06:00"; absent: a shift is a day.
	Shifts []string `toml:"shifts"`
}

// ShiftBegan is when now's shift began: the newest time of a beginning, of today or
// of the day before.
func (l LineFile) ShiftBegan(now time.Time) time.Time {
	began := time.Time{}
	for _, text := range l.Shifts {
		at, err := time.Parse(clockForm, text)
		if err != nil {
			continue // refused when the file was read
		}
		for _, day := range []int{0, -1} {
			y, m, d := now.AddDate(0, 0, day).Date()
			if begin := time.Date(y, m, d, at.Hour(), at.Minute(), 0, 0, now.Location()); !begin.After(now) && begin.After(began) {
				began = begin
			}
		}
	}
	if began.IsZero() {
		return midnight(now)
	}
	return began
}

const clockForm = "15:04"

// AlikeLimit is how many devices may fail alike: what the file says, or else the usual number.
func (l LineFile) AlikeLimit() int {
	if l.Alike == nil {
		return flow.AlikeFailures
	}
	return *l.Alike
}

// Language is a language of the screen.
type Language string

// UnmarshalText reads a language.
func (l *Language) UnmarshalText(b []byte) error {
	w, err := job.Word(b, "en", "zh")
	*l = Language(w)
	return err
}

// LoadFile reads a station file; the error lists every fault at once.
func LoadFile(path string) (*File, error) {
	data, err := keyfile.Read(path, keyfile.TOML)
	if err != nil {
		return nil, fmt.Errorf("station file: %w; write one with id, ledger and [hsm] uri, or name it with --station", err)
	}
	return ParseFile(path, data)
}

// ParseFile is LoadFile for the contents of a station file.
func ParseFile(path string, data []byte) (*File, error) {
	s := &File{Path: path}
	f := tomlfile.Decode(path, data, s)
	if !f.Broken() {
		s.check(f)
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	s.Ledger = s.beside(s.Ledger)
	if s.Label.Printer != "" {
		s.Label.Printer = s.beside(s.Label.Printer)
	}
	for _, path := range append(s.Serve.files(), &s.Site.Pass) {
		if *path != "" {
			*path = s.beside(*path)
		}
	}
	if s.Label.Format == "" {
		s.Label.Format = "zpl"
	}
	return s, nil
}

// beside is a path of the file as everybody finds it.
func (s *File) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(s.Path), path)
}

func (s *File) check(f *tomlfile.File) {
	if s.ID == "" {
		f.Fault("id", `is missing; write id = "bench-1"`)
	}
	if s.Ledger == "" {
		f.Fault("ledger", `is missing; write ledger = "ledger.db"`)
	}
	if s.HSM.URI == "" {
		f.Fault("hsm.uri", `is missing; write uri = "pkcs11:token=NAME?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/path"`)
	}
	if n := s.Line.AlikeLimit(); n < 1 || n > 100 {
		f.Fault("line.equal_failures", "%d: write after how many equal failures the line stops, 1 to 100, or leave it out for %d", n, flow.AlikeFailures)
	}
	for i, text := range s.Line.Shifts {
		if _, err := time.Parse(clockForm, text); err != nil {
			f.Fault("line.shifts", "item %d, %q, is no time of the day; write it like \"06:00\"", i+1, text)
		}
	}
	if d := time.Duration(s.HSM.Answer); d != 0 && (d < time.Second || d > 10*time.Minute) {
		f.Fault("hsm.answer", "%s is out of range; write a time from 1s to 10m", d)
	}
	if n := s.Site.Numbers; n < 0 || n > maxLease {
		f.Fault("site.numbers", "%d: write how many numbers of a quota the bench asks for at a time, 1 to %d, or leave it out for %d", n, maxLease, usualLease)
	}
	s.People.check(f)
	s.Label.check(f)
	names, ports := map[string]int{}, map[string]int{}
	for i, slot := range s.Slots {
		at := fmt.Sprintf("slot.%d", i)
		if slot.Name == "" {
			f.Fault(at+".name", "is missing; write the name that stands on the fixture")
		}
		if slot.Port == "" {
			f.Fault(at+".port", "is missing; write usb:SOCKET (station ports), a device path, rfc2217://HOST:PORT or socket://HOST:PORT")
		}
		if first, twice := names[slot.Name]; twice && slot.Name != "" {
			f.Fault(at+".name", "%q is the name of slot %d too", slot.Name, first+1)
		}
		if first, twice := ports[slot.Port]; twice && slot.Port != "" {
			f.Fault(at+".port", "%q is the port of slot %d too", slot.Port, first+1)
		}
		names[slot.Name], ports[slot.Port] = i, i
	}
}

// TokenURI is the token's URI with the PIN file, if it is named by a relative
// path, beside the station file.
func (s *File) TokenURI() string {
	const source = "pin-source=file:"
	before, rest, found := strings.Cut(s.HSM.URI, source)
	if !found || strings.HasPrefix(rest, "/") {
		return s.HSM.URI
	}
	dir, err := filepath.Abs(filepath.Dir(s.Path))
	if err != nil {
		dir = filepath.Dir(s.Path)
	}
	return before + source + filepath.Join(dir, rest)
}

// SlotName is the name of the slot at a port, or a number for the i-th port
// that the file does not know.
func (s *File) SlotName(port string, i int) string {
	for _, slot := range s.Slots {
		if slot.Port == port {
			return slot.Name
		}
	}
	return fmt.Sprint(i + 1)
}
