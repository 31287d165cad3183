package record

// What the site tells of devices, to every bench.
const (
	// ConflictFound: two benches gave one name to two devices, or made one device
	// twice, while they could not ask. Message says which; About is a Conflict.
	ConflictFound Kind = "conflict.found"
	// ConflictSettled: Operator has explained the conflict of About; Message says how. Also
	// where it was whose the device is: it was taken from a bench that comes no more.
	ConflictSettled Kind = "conflict.settled"
)

// Conflicting is the code of a device of which the site has found a conflict.
const Conflicting Code = "E-SITE-CONFLICT"

// Conflict is the About of ConflictFound and ConflictSettled.
type Conflict struct {
	ID string `json:"id"`
}

// conflicts takes what the site told of the device.
func (d *Device) conflicts(e Entry) {
	if about, err := ReadAbout[Conflict](e); err == nil {
		d.Conflict, d.Conflicted = about.ID, e.Kind == ConflictFound
	}
}
