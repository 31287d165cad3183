package site

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"station/internal/record"
)

// Claim is the question for names of a device, Names, before they are in a ledger.
const Claim = "claim"

// Names are what only one device of a site may have.
type Names struct {
	MAC       string `json:"mac"`
	Simulated bool   `json:"simulated,omitempty"`
	List      []Name `json:"names"`
}

// Name is one name that only one device of a site may have.
type Name struct {
	Kind  NameKind `json:"kind"`
	Value string   `json:"value"`
}

// NameKind is what a name is. A MAC belongs to one bench too.
type NameKind string

// The kinds.
const (
	NameMAC         NameKind = "mac"
	NameKey         NameKind = "key"         // its ID; not of keys that devices share
	NameSerial      NameKind = "serial"      // number of the device
	NameIdentity    NameKind = "identity"    // its ID
	NameCertificate NameKind = "certificate" // its serial number, and whose
)

// NamesOf are the names that an entry gives to a device; none for most entries.
func NamesOf(e record.Entry) (n Names, err error) {
	n = Names{MAC: e.MAC.String(), Simulated: e.Simulated}
	switch e.Kind {
	case record.Moved:
		return n, n.brought(e)
	case record.KeyAssigned:
		n.List = append(n.List, Name{NameMAC, n.MAC})
		for _, k := range e.Keys {
			if k.Policy != "shared" {
				n.List = append(n.List, Name{NameKey, k.ID})
			}
		}
	case record.SerialBound:
		n.List = append(n.List, Name{NameMAC, n.MAC}, Name{NameSerial, e.Serial})
	case record.IdentityMade:
		i, err := e.MadeIdentity()
		if err != nil {
			return n, err
		}
		n.List = append(n.List, Name{NameMAC, n.MAC}, Name{NameIdentity, i.ID})
		if c := i.Certificate; c != nil {
			n.List = append(n.List, Name{NameCertificate, c.CA + " " + c.Serial})
		}
	}
	return n, nil
}

// brought adds the names that a device had at other benches.
func (n *Names) brought(e record.Entry) error {
	_, list, err := e.Brought()
	for _, one := range list {
		names, oneErr := NamesOf(one)
		err = errors.Join(err, oneErr)
		for _, name := range names.List {
			if !slices.Contains(n.List, name) {
				n.List = append(n.List, name)
			}
		}
	}
	return err
}

// Key is where a claim of the name is kept: keys of buckets hold no colons.
func (n Name) Key(simulated bool) string {
	world := "real"
	if simulated {
		world = "simulated"
	}
	return world + "." + string(n.Kind) + "." + base64.RawURLEncoding.EncodeToString([]byte(n.Value))
}

// Taken is why a name cannot be claimed: somebody has it.
type Taken struct {
	Name
	Bench string `json:"bench"` // whose ledger has it,
	MAC   string `json:"mac"`   // and for which device
}

func (t *Taken) Error() string {
	if t.Kind == NameMAC {
		return fmt.Sprintf("device %s is one of %s", t.Value, t.Bench)
	}
	return fmt.Sprintf("%s %s is that of device %s of %s", t.Kind, t.Value, t.MAC, t.Bench)
}
