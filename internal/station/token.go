package station

import (
	"fmt"
	"time"

	"station/internal/hsm"
)

// OpenToken logs in to a token. The file beside the station's ledger says which
// PINs are not given again, the ledger which keys are known; file may be nil. Every
// error is a fault of the station.
func OpenToken(text string, file *File, ask AskPIN) (*hsm.Token, error) {
	uri, err := hsm.ParseURI(text)
	if err != nil {
		return nil, fmt.Errorf("hsm: %w", err)
	}
	cfg := hsm.Config{URI: uri, Prompt: ask}
	if file != nil {
		cfg.Refused, cfg.Answer = RefusedPINs(file.Ledger), time.Duration(file.HSM.Answer)
		cfg.OwnOnly = file.HSM.Origin == "token"
		cfg.Record = func(token hsm.Info) []hsm.Noted {
			noted, _ := KeysNotedAt(file.Ledger, token) // without a ledger nothing is noted
			return noted
		}
	}
	token, err := hsm.Open(cfg)
	if err != nil {
		return nil, TokenFailure(err)
	}
	return token, nil
}

// VirtualOnly is why a token makes keys of virtual devices alone; nil where it may
// make real ones.
func (s *File) VirtualOnly(token hsm.Info) error {
	if token.Nature != hsm.Software || s.HSM.AllowSoftware {
		return nil
	}
	return fmt.Errorf("the token %s is software (%s): whoever reads this machine's disk has every key; real devices want a hardware token, or allow_software_token = true under [hsm] in %s", token.Label, token.Model, s.Path)
}
