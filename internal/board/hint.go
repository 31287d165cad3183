package board

import "station/internal/record"

// Hint is what a slot's last visits say about the slot itself.
type Hint struct {
	Kind   HintKind
	Bad    int // visits that show it
	Visits int // visits looked at
}

// HintKind is what to look at.
type HintKind int

// The hints, the most certain cause first.
const (
	NoHint        HintKind = iota
	CheckSupply            // the voltage broke down
	CheckCable             // data was disturbed, though the device answers
	CheckContacts          // devices fail here for no reason of their own
)

// The wire's own troubles: data was disturbed.
var wireCodes = map[record.Code]bool{"E-BAUD": true, "E-FLASH-VERIFY": true, "E-FUSE-WIRE": true, "E-FUSE-PART": true, "E-ROM": true}

// How many visits of the last ten make a hint. One brownout may be a device;
// two in ten are the slot's supply.
const (
	badSupply   = 2
	badCable    = 3
	badContacts = 3
)

// Hint judges the slot by its last visits. A device that was set aside or
// scrapped says nothing about its slot.
func (s *SlotStatus) Hint() (Hint, bool) {
	var supply, cable, contacts int
	for _, v := range s.Recent {
		switch {
		case v.Code == "E-BROWNOUT":
			supply++
		case v.Retries > 0 || wireCodes[v.Code]:
			cable++
		case v.Verdict == record.Retry && v.Code != "E-STOPPED":
			contacts++
		}
	}
	n := len(s.Recent)
	switch {
	case supply >= badSupply:
		return Hint{CheckSupply, supply, n}, true
	case cable >= badCable:
		return Hint{CheckCable, cable, n}, true
	case contacts >= badContacts:
		return Hint{CheckContacts, contacts, n}, true
	}
	return Hint{}, false
}
