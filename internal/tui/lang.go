package tui

import (
	"fmt"
	"strings"

	"station/internal/chip"
	"station/internal/words"
)

// language is one language of the screen: the words of the line, and those of a
// terminal. A fuse that a table lacks is told in the words of the table of fuses.
type language struct {
	words.Language
	fuses   map[string]string // what burning the field does
	reasons map[string]string // why a plan burns a fuse, by the words of the table of fuses
	values  [][2]string       // words among the values of fuses, as the flow and here

	// The tile.
	owed                            string
	scanShort, scanLater, scanAfter string
	holdShort, ackNow               string
	space, enter, esc, arrows       string

	// The header and the footer.
	stopping, stoppingHeld                             string
	failed, setAside                                   string
	cause, slots                                       string
	hsm, ledger, disk, site, head                      string
	serialNext, serialFor, bound, boundNext, scanEmpty string
	serialShape, serialTaken, serialGiven              string
	serialPending, serialUnasked                       string
	tooSmall, more                                     string

	// Keys, as verbs.
	kAck, kSelect, kDetails, kRetry, kMute, kSound, kHistory string
	kPause, kGoOn, kHelp, kQuit, kBack, kOK, kChoose, kTab   string
	kScroll, kErase, kFaster, kSlower, kNext, kLeave, kSure  string
	kDismiss, kMended                                        string

	// The dialogues.
	chooseJob, askOperator, operatorHow, askPIN, pinHow, wait string
	planTitle, planIntro, planOld, planNew, planWhat, planAsk string
	planMore, planForEver, planWho, planWhoOf, planWrong      string
	approve                                                   string
	planMode, planImages, planSettings, planFuses             string
	modes                                                     map[string]string // how far a device is closed
	historyTitle, historyAsk, historyNone                     string
	columns                                                   [7]string // time, verdict, MAC, serial, slot, code, seconds
	detailTitle, tabLog, tabFuses, tabBoot, nothing           string
	fuseField, fuseBefore, fuseAfter                          string
	helpTitle, helpKeys, helpSigns                            string
	meaningHeld                                               string
	goOnTitle, goOnHow                                        string
	quitTitle, quitIdle, quitBusy, quitHeld                   string
	replaySpeed, replayPaused, replayEnd                      string
}

var languages = map[string]*language{"": &english, "en": &english, "zh": &chinese}

// value is the value of a fuse: a number stays, words are translated.
func (l *language) value(v string) string {
	for _, pair := range l.values {
		v = strings.ReplaceAll(v, pair[0], pair[1])
	}
	return v
}

// planned tells what burning a fuse of a plan does, and why it is burned.
func (l *language) planned(line PlanLine) string {
	words, why := l.fuse(line.Field), line.Why
	if own := l.reasons[why]; own != "" {
		why = own
	}
	if why == "" {
		return words
	}
	return words + "; " + why
}

// fuse tells what burning a field does. A bit of a mask is named after what it
// covers: "WR_DIS bit 7 (BLOCK1)". A field that no plan usually has is told in
// the words of the table of fuses.
func (l *language) fuse(field string) string {
	mask, covered, ok := strings.Cut(field, " bit ")
	words := l.fuses[mask]
	if !ok || words == "" {
		for _, family := range chip.Families {
			if f, known := family.Efuse.Field(mask); known && words == "" {
				words = f.About
			}
		}
		return words
	}
	if _, names, ok := strings.Cut(strings.TrimSuffix(covered, ")"), "("); ok {
		covered = names
	}
	return fmt.Sprintf(words, covered)
}
