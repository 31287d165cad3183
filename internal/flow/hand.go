package flow

import "time"

// Hand is what a person or the fixture has to do at a device.
type Hand string

// What a person or the fixture can have to do.
const (
	HandNone   Hand = "none"   // nothing more
	HandLoader Hand = "loader" // reset it with BOOT held
	HandApp    Hand = "app"    // reset it
)

// sentences of the hands, as an event tells them.
var handSentences = map[Hand]string{
	HandNone:   "Nothing more has to be done by hand.",
	HandLoader: "Reset the device into its loader: hold BOOT, reset (EN), let go of BOOT.",
	HandApp:    "Reset the device into its application: reset (EN) once, BOOT not held.",
}

// hand tells what a person has to do now. Each asking ends with HandNone.
func (w *worker) hand(do Hand, until time.Time) {
	w.line.Emit(Event{Time: w.line.now(), Event: DeviceHand, Slot: w.Name, Port: w.Port, Hand: do, Until: until, Message: handSentences[do]})
}
