package words

import (
	"station/internal/board"
	"station/internal/record"
)

// Tone is what a slot says at a glance.
type Tone int

// The tones.
const (
	Idle Tone = iota
	Working
	Scanning // waits for a serial number
	Held     // do not unplug
	Pass
	Retry
	Scrap
	Quarantine
	Station
	Tones // is how many there are
)

// ToneOf is what the slot says.
func ToneOf(s *board.SlotStatus) Tone {
	switch {
	case s.Held:
		return Held
	case s.Busy && s.Step.Scans():
		return Scanning
	case s.Busy:
		return Working
	}
	return TonesOf[s.Verdict]
}

// TonesOf are the tones of the verdicts.
var TonesOf = map[record.Verdict]Tone{
	record.Pass: Pass, record.Retry: Retry, record.Scrap: Scrap, record.Quarantine: Quarantine, record.Station: Station,
}

// The palette is Okabe and Ito's, made for every kind of colour vision ("Color
// Universal Design", 2008). No two tones share a colour, and red-like means
// that the device leaves the line.
const (
	Black      = "#000000"
	White      = "#FFFFFF"
	Grey       = "#949494"
	Green      = "#009E73"
	Yellow     = "#F0E442"
	Vermillion = "#D55E00"
	Purple     = "#CC79A7"
	Blue       = "#0072B2"
	Sky        = "#56B4E9"
	Orange     = "#E69F00"
)

// Look is a tone for the eye. Colour never speaks alone.
type Look struct {
	Sign       string
	Paper, Ink string // of what is painted in the tone
	Fill       bool   // all of the slot is painted
}

// Looks says how each tone looks.
var Looks = [Tones]Look{
	Idle:       {"○", Grey, Black, false},
	Working:    {"►", Sky, Black, false},
	Scanning:   {"?", Sky, Black, false},
	Held:       {"!!", Orange, Black, false},
	Pass:       {record.Pass.Sign(), Green, Black, true},
	Retry:      {record.Retry.Sign(), Yellow, Black, true},
	Scrap:      {record.Scrap.Sign(), Vermillion, Black, true},
	Quarantine: {record.Quarantine.Sign(), Purple, Black, true},
	Station:    {record.Station.Sign(), Blue, White, true},
}
