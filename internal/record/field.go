package record

import (
	"encoding/json"
	"fmt"
)

// What happens to devices in the field. All are remarks: they change nothing
// that the ledger knows of a device's making. What they are about is in About,
// as a Field.
const (
	// ReleaseMade: a firmware version was made ready for devices. Field has all digests.
	ReleaseMade Kind = "release.made"
	// ReleaseWithdrawn: it is offered to nobody any more. Message says why.
	ReleaseWithdrawn Kind = "release.withdrawn"
	// RolloutChanged: a rollout was started, widened, paused, resumed or stopped.
	RolloutChanged Kind = "rollout.changed"
	// UpdateOffered: a device was offered a release for the first time.
	UpdateOffered Kind = "update.offered"
	// UpdateResult: a device told how an update ended. Field.State is success,
	// failure or cancelled, Message is what it said.
	UpdateResult Kind = "update.result"
	// UpdateRefused: somebody who could show a device's credential was turned away.
	UpdateRefused Kind = "update.refused"
)

// Field is the About of the kinds of entries about the field, ReleaseMade to UpdateRefused.
type Field struct {
	Product       string `json:"product"`
	Release       int64  `json:"release"`
	Version       string `json:"version,omitempty"`
	SecureVersion uint32 `json:"secureVersion,omitempty"`
	App           string `json:"app,omitempty"`   // sha256:… of the plain app with its signature
	Input         string `json:"input,omitempty"` // sha256:… of the app as it was given
	// AppFilled and InputFilled are sha256:… of both as a line encrypts them, filled up; absent
	// where that is the same. Entries of versions 1 and 2 know an image by that alone.
	AppFilled   string      `json:"appFilled,omitempty"`
	InputFilled string      `json:"inputFilled,omitempty"`
	Jobs        []string    `json:"jobs,omitempty"` // digests of the job revisions that it is for
	Forms       []FieldForm `json:"forms,omitempty"`
	State       string      `json:"state,omitempty"`   // of a rollout or a result
	Percent     int         `json:"percent,omitempty"` // of a rollout
	MAC         string      `json:"mac,omitempty"`     // of UpdateRefused: one that the ledger may not know
}

// Field reads the About of an entry of the kinds ReleaseMade to UpdateRefused.
func (e Entry) Field() (f Field, err error) {
	if err = json.Unmarshal(e.About, &f); err != nil {
		err = fmt.Errorf("entry %d: %w", e.Index, err)
	}
	return f, err
}

// FieldForm is one file that a release was made into.
type FieldForm struct {
	Kind   string `json:"kind"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // sha256:…
}
