package hsm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"
)

// Info is what a token tells about itself without a PIN.
type Info struct {
	Label           string `json:"label"`
	Serial          string `json:"serial"`
	Model           string `json:"model"`
	Manufacturer    string `json:"manufacturer"`
	Hardware        string `json:"hardware"` // versions, "2.6"
	Firmware        string `json:"firmware"`
	Slot            uint   `json:"slot"`
	SlotDescription string `json:"slotDescription,omitempty"` // of the slot
	Flags           uint   `json:"flags"`                     // CKF_…
	Nature          Nature `json:"nature"`                    // software, hardware or unknown
	// minPIN and maxPIN are the lengths that a PIN may have, 0 where the token
	// does not say.
	minPIN, maxPIN int
}

// ThrowawayLabel is the label of tokens made by Throwaway. What was made with
// such a token must never count as real.
const ThrowawayLabel = "station throwaway"

// Throwaway reports a token made for a rehearsal, a demo or a test.
func (i Info) Throwaway() bool { return i.Label == ThrowawayLabel }

// Nature is what keeps the keys of a token.
type Nature string

// The natures. No module says of itself that it is software: those are known by
// what they call themselves.
const (
	Software Nature = "software" // whoever may read the machine's disk or memory may have the keys
	Hardware Nature = "hardware" // by the token's own word, CKF_HW_SLOT
	Unknown  Nature = "unknown"  // it does not say that it is hardware
)

// softwareModels are the models of tokens that are software, as they call
// themselves: SoftHSM, the soft token of openCryptoki, NSS, a TPM that swtpm
// plays, Kryoptic.
var softwareModels = []string{"SoftHSM", "Soft", "NSS", "SW TPM", "Kryoptic"}

// natureOf judges a token by its model and by the flags of its slot.
func natureOf(model string, slotFlags uint) Nature {
	model = strings.Join(strings.Fields(model), " ")
	for _, known := range softwareModels {
		if model == known || strings.HasPrefix(model, known+" ") {
			return Software
		}
	}
	if slotFlags&pkcs11.CKF_HW_SLOT != 0 {
		return Hardware
	}
	return Unknown
}

// URI names this very token, without slot, which changes at every start.
func (i Info) URI() string {
	return URI{Token: i.Label, Manufacturer: i.Manufacturer, Serial: i.Serial, Model: i.Model}.String()
}

func (i Info) has(flag uint) bool { return i.Flags&flag != 0 }

// Identity is what records know the token by: its serial number, and its label
// too where the number says nothing. opencryptoki gives "123" to every token,
// NSS and TPMs zeros.
func (i Info) Identity() string {
	if len(i.Serial) >= 8 && strings.Trim(i.Serial, "0") != "" {
		return i.Serial
	}
	return i.Serial + " of " + i.Label
}

// matches compares with every field that the URI gives.
func (i Info) matches(u URI) bool {
	same := func(want, have string) bool { return want == "" || want == have }
	return same(u.Token, i.Label) && same(u.Serial, i.Serial) && same(u.Model, i.Model) &&
		same(u.Manufacturer, i.Manufacturer) && same(u.SlotDescription, i.SlotDescription) && (u.SlotID == nil || *u.SlotID == i.Slot)
}

// choose finds the one token that the URI describes. Blank tokens count only
// where no initialised one answers.
func choose(all []Info, u URI) (Info, error) {
	var found, blank []Info
	for _, i := range all {
		switch {
		case !i.matches(u):
		case i.has(pkcs11.CKF_TOKEN_INITIALIZED):
			found = append(found, i)
		default:
			blank = append(blank, i)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return Info{}, fmt.Errorf("find token: %w this URI: %s; add %s", ErrTokens, names(found), apart(found))
	case len(blank) > 0:
		return Info{}, fmt.Errorf("find token: %w", ErrBlank)
	}
	all = slices.DeleteFunc(slices.Clone(all), func(i Info) bool { return !i.has(pkcs11.CKF_TOKEN_INITIALIZED) })
	if len(all) == 0 {
		return Info{}, fmt.Errorf("find token: %w: the module has none", ErrNoToken)
	}
	return Info{}, fmt.Errorf("find token: %w: the module has %s", ErrNoToken, names(all))
}

// apart names the attribute that tells all of the tokens apart.
func apart(all []Info) string {
	for _, by := range []struct {
		name string
		of   func(Info) string
	}{
		{"token=", func(i Info) string { return i.Label }},
		{"serial=", func(i Info) string { return i.Serial }},
		{"slot-description=", func(i Info) string { return i.SlotDescription }},
	} {
		seen := map[string]bool{}
		for _, i := range all {
			seen[by.of(i)] = true
		}
		if len(seen) == len(all) {
			return by.name
		}
	}
	return "slot-id="
}

func names(all []Info) string {
	var list []string
	for _, i := range all {
		list = append(list, fmt.Sprintf("%q serial %s (slot-id=%d, slot-description=%q)", i.Label, i.Serial, i.Slot, i.SlotDescription))
	}
	return strings.Join(list, ", ")
}

// pinWarnings says in words what the token's flags tell about its user PIN.
func (i Info) pinWarnings() []string {
	var list []string
	for _, f := range []struct {
		flag uint
		text string
	}{
		{pkcs11.CKF_USER_PIN_LOCKED, "the user PIN is locked; only the security officer can set a new one"},
		{pkcs11.CKF_USER_PIN_FINAL_TRY, "one more wrong PIN locks the token"},
		{pkcs11.CKF_USER_PIN_COUNT_LOW, "a wrong PIN was given since the last right one"},
		{pkcs11.CKF_USER_PIN_TO_BE_CHANGED, "the user PIN is the maker's or has expired and must be changed"},
		{pkcs11.CKF_SO_PIN_LOCKED, "the security officer's PIN is locked"},
		{pkcs11.CKF_SO_PIN_FINAL_TRY, "one more wrong PIN of the security officer locks it"},
		{pkcs11.CKF_SO_PIN_COUNT_LOW, "a wrong PIN of the security officer was given since the last right one"},
	} {
		if i.has(f.flag) {
			list = append(list, f.text)
		}
	}
	return list
}
