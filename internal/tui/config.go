package tui

import (
	"station/internal/board"
	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/job"
	"station/internal/outlet"
	"station/internal/record"
	"station/internal/secret"
)

// Config is how the screen looks and what it may ask for. A nil function is
// not available: its key is not shown.
type Config struct {
	Language   string    // "en" (default) or "zh"
	ASCII      bool      // frames and signs in plain ASCII
	NoColor    bool      // bold and reverse only
	Simulation bool      // nothing real is touched; line.ready can say so too
	Columns    int       // of the fixture; 0 lets the window decide
	Day        board.Day // what the station did today already

	Shift   *Shift                                     // asked before Start
	Today   func() (board.Day, error)                  // asked before Start, where Day is not known yet
	Start   func() error                               // begins the line; nil where it runs already
	Quit    func()                                     // stops the line, which tells line.done when it has ended
	Pause   func(on bool)                              // no new device begins while it is on
	GoOn    func()                                     // a line that stopped because devices failed alike
	Retry   func(slot string)                          // the device in the slot once more
	Ack     func(slot string)                          // a person has seen the failure; nil asks for none
	Scan    func(slot, serial string) error            // binds a serial: to the slot that waits for it, or with slot "" to the next device
	Unscan  func()                                     // takes back the serial that waits for the next device
	Goodbye *outlet.Goodbye                            // for the terminal to take the last frame; nil: its own
	Bell    func()                                     // one sound
	Health  func() board.Health                        // asked once a second while the line runs
	History func(query string) ([]record.Visit, error) // devices of the day; query is part of a MAC or serial
	Detail  func(mac chip.MAC) (board.Detail, error)   // what the ledger knows of a device
}

// Shift is what has to be settled before the line starts, in this order. The
// functions may take their time; an error is shown and asked again.
type Shift struct {
	Jobs     []Job                         // more than one: the operator chooses
	Choose   func(job string) error        // the path of the job chosen
	Operator func(id string) error         // nil where the operator is known
	PIN      func(pin *secret.Bytes) error // nil where no PIN is wanted; the screen destroys pin
	Reread   func() int                    // how far the ledger is reread with the PIN, in percent; may be nil
	Approver func(id string) error         // who approves a plan that the operator may not
	Plan     func() (Plan, error)          // of the job
	Approve  func(digest string) error
}

// Job is one choice at the start of a shift.
type Job struct {
	Path, Name, Revision string
}

// Plan is what the job burns into every device.
type Plan struct {
	Job, Revision string
	Mode          string   // release or development
	Images        []string // what is written to the flash, one line each
	Settings      []string // what else the job says, one line each
	Digest        string   // sha256:…, of all of it
	Approved      bool     // by a person at this station, before
	Other         bool     // somebody else than the operator has to approve it,
	Approvers     []string // one of these; none: anybody
	Lines         []PlanLine
	Warnings      []string
}

// PlanLine is one fuse: its field, the value of a blank chip and the one wanted.
type PlanLine struct {
	Stage string
	record.FuseChange
	Why string // besides what the fuse does; "" where nothing is to be said
}

// PlanOf is the plan of a job, for a blank chip.
func PlanOf(job *job.Job, approved bool) Plan {
	p := Plan{Job: job.Name, Revision: job.Revision, Mode: job.Security.Mode, Images: job.ImageLines(), Settings: job.SettingLines(),
		Digest: job.PlanDigest(), Approved: approved, Warnings: job.Warnings}
	for _, stage := range job.Plan {
		for _, change := range stage.Changes(efuse.Image{}) {
			p.Lines = append(p.Lines, PlanLine{stage.Name, change, job.Plan.Why(change.Field)})
		}
	}
	return p
}
