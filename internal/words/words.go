// Package words is how people hear of a line: its words in each language, its
// signs and its colours, on the screen of a bench and on the page of a site.
package words

import (
	"fmt"

	"station/internal/board"
	"station/internal/flow"
	"station/internal/record"
)

// Language is one language. Formats name their values by position, so that a
// language can turn them round. A failure or step that a table lacks is told in
// the English of the flow.
type Language struct {
	Verdicts map[record.Verdict]string // below the word in block letters; empty where that is enough
	Steps    map[flow.StepID]string
	Failures map[flow.Code][2]string   // sentence, action
	Hints    map[board.HintKind]string // slot, bad visits, all visits
	Shorts   map[record.Verdict]string // what to do in the fewest words
	Meaning  map[record.Verdict]string
	Hands    map[flow.Hand]string

	// A slot.
	Passed, Already, Remove, Free, Taken   string
	PutBack, PutBackMAC, NextByHand        string
	Ready, Empty, PlugIn, DoNotUnplug      string
	ScanNow, Waits, WaitsStopped           string
	Left, Step, Visit, PassedOf, Sec, Slot string

	// A line and its day.
	Station, Job, Batch, Operator         string
	Simulation, Paused, Ended, Undeclared string
	Done, DoneOf, FirstPass, PerHour      string
	PerDevice, SealedBefore, NoFailures   string
	VirtualVisits, Fault                  string
}

// StepTitle is the step in plain words; title is the flow's own.
func (l *Language) StepTitle(id flow.StepID, title string) string {
	if t := l.Steps[id]; t != "" {
		return t
	}
	if title != "" {
		return title
	}
	return string(id)
}

// Sentence is what happened and what to do now.
func (l *Language) Sentence(s *board.SlotStatus) (sentence, action string) {
	switch {
	case s.Code == flow.LabelMissing:
	case s.Verdict == record.Pass && s.Already:
		return l.Already, l.Remove
	case s.Verdict == record.Pass:
		return l.Passed, l.Remove
	}
	return l.Failure(s.Code, s.Message, s.Action)
}

// Failure is a code in this language, or else in the flow's own words.
func (l *Language) Failure(code flow.Code, sentence, action string) (string, string) {
	if f, ok := l.Failures[code]; ok {
		return f[0], f[1]
	}
	return sentence, action
}

// Hint is what the slot's last visits say about the slot; empty where they say nothing.
func (l *Language) Hint(s *board.SlotStatus) string {
	h, _ := s.Hint()
	return l.HintOf(s.Name, h)
}

// HintOf is a hint about the slot of that name.
func (l *Language) HintOf(slot string, h board.Hint) string {
	if h.Kind == board.NoHint {
		return ""
	}
	return fmt.Sprintf(l.Hints[h.Kind], slot, h.Bad, h.Visits)
}
