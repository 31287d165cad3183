package station

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/site"
)

// recall reads what the site has said of another address than the pass has.
func (s *Site) recall() error {
	own, err := site.PublicNkey(s.Pass.Seed)
	if err != nil {
		return err
	}
	s.heard = site.Heard{Nkey: own, Pass: s.Pass.URL}
	data, err := keyfile.Read(s.where, keyfile.SideFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var heard site.Heard
	if err == nil {
		err = json.Unmarshal(data, &heard)
	}
	if err == nil && heard.Nkey == s.heard.Nkey && heard.Pass == s.heard.Pass {
		s.heard = heard
		_, err = s.Pass.Follow(heard.Former, heard.Note)
	}
	if err != nil {
		return fmt.Errorf("address of the site: %s: %w; take it away, and the address of the pass holds", s.where, err)
	}
	return nil
}

// moved keeps where the site says that it is from now on, and that it was reached there.
// What cannot be kept is told of once: a person can mend that.
func (s *Site) moved(at string, note []byte) {
	next := *s.Pass
	changed, err := next.Follow(at, note)
	if changed {
		err = s.keep(&next, note)
	}
	switch {
	case err != nil && err.Error() != s.stuck:
		s.stuck = err.Error()
		s.tell(fmt.Sprintf("site %s: what it says of another address is not kept: %v", s.Pass.Site, err))
	case err == nil && changed && note != nil:
		s.tell(fmt.Sprintf("site %s: it is at %s from now on", s.Pass.Site, next.URL))
	}
}

func (s *Site) keep(next *site.Pass, note []byte) error {
	heard := s.heard
	if heard.Former = next.Former; note != nil {
		heard.Note = note
	}
	data, err := ledger.Indented(heard)
	if err == nil {
		err = keyfile.Replace(s.where, 0o640, data)
	}
	if err == nil {
		s.heard, s.Pass.Address, s.Pass.Former = heard, next.Address, next.Former
	}
	return err
}
