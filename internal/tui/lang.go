package tui

import (
	"fmt"
	"strings"

	"station/internal/board"
	"station/internal/chip"
	"station/internal/flow"
	"station/internal/record"
)

// language is one language of the screen. Formats name their values by
// position, so that a language can turn them round. A failure, step or fuse
// that a table lacks is told in the English of the flow.
type language struct {
	verdicts map[record.Verdict]string // below the word in block letters; empty where that is enough
	steps    map[flow.StepID]string
	failures map[flow.Code][2]string   // sentence, action
	fuses    map[string]string         // what burning the field does
	reasons  map[string]string         // why a plan burns a fuse, by the words of the table of fuses
	values   [][2]string               // words among the values of fuses, as the flow and here
	hints    map[board.HintKind]string // slot, bad visits, all visits

	// The tile.
	passed, already, remove, free, taken         string
	putBack, putBackMAC, owed, nextByHand        string
	shorts                                       map[record.Verdict]string // what to do in the fewest words
	scanShort, scanLater, scanAfter              string
	ready, empty, plugIn, doNotUnplug, holdShort string
	hands                                        map[flow.Hand]string
	scanNow, ackNow, waits, waitsStopped         string
	left, step, visit, passedOf, sec             string
	slot, space, enter, esc, arrows              string

	// The header and the footer.
	station, job, batch, operator                      string
	simulation, paused, stopping, stoppingHeld, ended  string
	done, doneOf, firstPass, perHour, perDevice        string
	sealedBefore, noFailures, failed, setAside         string
	virtualVisits, cause, slots                        string
	hsm, ledger, disk, site, head, fault               string
	serialNext, serialFor, bound, boundNext, scanEmpty string
	serialShape, serialTaken, serialGiven              string
	serialPending, serialUnasked                       string
	tooSmall, more, undeclared                         string

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
	meaning                                                   map[record.Verdict]string
	meaningHeld                                               string
	goOnTitle, goOnHow                                        string
	quitTitle, quitIdle, quitBusy, quitHeld                   string
	replaySpeed, replayPaused, replayEnd                      string
}

var languages = map[string]*language{"": &english, "en": &english, "zh": &chinese}

// stepTitle is the step in plain words; title is the flow's own.
func (l *language) stepTitle(id flow.StepID, title string) string {
	if t := l.steps[id]; t != "" {
		return t
	}
	if title != "" {
		return title
	}
	return string(id)
}

// sentence is what happened and what to do now.
func (l *language) sentence(s *board.SlotStatus) (sentence, action string) {
	switch {
	case s.Code == flow.LabelMissing:
	case s.Verdict == record.Pass && s.Already:
		return l.already, l.remove
	case s.Verdict == record.Pass:
		return l.passed, l.remove
	}
	return l.failure(s.Code, s.Message, s.Action)
}

// failure is a code in this language, or else in the flow's own words.
func (l *language) failure(code flow.Code, sentence, action string) (string, string) {
	if f, ok := l.failures[code]; ok {
		return f[0], f[1]
	}
	return sentence, action
}

func (l *language) hint(s *board.SlotStatus) string {
	h, ok := s.Hint()
	if !ok {
		return ""
	}
	return fmt.Sprintf(l.hints[h.Kind], s.Name, h.Bad, h.Visits)
}

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
