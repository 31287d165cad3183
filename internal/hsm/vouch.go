package hsm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"
)

// doubts are what the token says against the origin of a key, unless the
// record of this site vouches for the very key: by role, label and check value.
func (t *Token) doubts(role Role, label string, h object, a attributes) ([]string, error) {
	doubts := roles[role].foreign(a)
	if len(doubts) == 0 || t.vouched[h] == label {
		return nil, nil
	}
	d, err := t.tell(h, a)
	if err != nil {
		return nil, err
	}
	if err := t.check(h, &d); err != nil {
		return nil, err
	}
	if !t.cfg.OwnOnly && slices.Contains(t.record(), Noted{role, label, d.Check}) {
		t.vouched[h] = label
		return nil, nil
	}
	if t.cfg.OwnOnly {
		return append(doubts, `and the station file takes the token's word alone ([hsm] origin = "token")`), nil
	}
	return append(doubts, fmt.Sprintf("and no record of this site speaks for this key (check value %s); if it is the right one: station key adopt %s", d.Check, quoted(label))), nil
}

// record is what was noted of the keys in this token: by others before, and
// by the keys that were made since.
func (t *Token) record() []Noted {
	if !t.asked && t.cfg.Record != nil {
		t.noted, t.asked = append(t.noted, t.cfg.Record(t.info)...), true
	}
	return t.noted
}

// role is what a key is for: as its CKA_ID says, or, where another program
// made it, as it was noted.
func (t *Token) role(a attributes) Role {
	if r := roleOf(a[pkcs11.CKA_ID]); r != "" {
		return r
	}
	label := string(a[pkcs11.CKA_LABEL])
	for _, n := range t.record() {
		if s, ok := roles[n.Role]; n.Label == label && ok {
			if _, fits := s.of(a); fits {
				return n.Role
			}
		}
	}
	return ""
}

// quoted is a label as a shell takes it.
func quoted(label string) string {
	if strings.Trim(label, letters) == "" {
		return label
	}
	return "'" + strings.ReplaceAll(label, "'", `'\''`) + "'"
}
