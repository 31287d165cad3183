package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"station/internal/flow"
	"station/internal/hsm"
	"station/internal/job"
	"station/internal/ledger"
	"station/internal/outlet"
	"station/internal/plain"
	"station/internal/station"
)

// rehearseFlags are those of station rehearse and station demo.
type rehearseFlags struct {
	*options
	job          string
	ports        []string
	slots, count int
	headless     bool
	fast         bool
	teach        bool // some virtual devices fail in instructive ways
	keep         string
	language     string
}

func rehearseCommand(o *options) *cobra.Command {
	r := &rehearseFlags{options: o}
	cmd := &cobra.Command{
		Use:   "rehearse",
		Short: "Run a job on virtual devices, with a throw-away token and ledger",
		Long: `Run a job on virtual ESP32s, with a throw-away SoftHSM2 token and a ledger of
its own. Everything else is as in "station run"; nothing real is touched, and
what is recorded is marked as simulated. Without a terminal it says in plain
lines what happens; for a script --headless prints the events as JSON lines.`,
		Example: `  station rehearse --job job.toml --slots 4 --count 20`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			job, err := job.Load(r.job, o.tokenKey)
			if err != nil {
				return err
			}
			return r.run(cmd.Context(), job)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.job, "job", "", "job `FILE`")
	_ = cmd.MarkFlagRequired("job")
	r.add(cmd)
	return cmd
}

func (r *rehearseFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&r.ports, "port", nil, "sim://N, a virtual slot; may be given again")
	f.IntVar(&r.slots, "slots", 4, "virtual slots")
	f.IntVar(&r.count, "count", 0, "virtual devices in all (default: one a slot)")
	f.BoolVar(&r.headless, "headless", false, "no screen: JSON lines on standard output, for a script")
	f.BoolVar(&r.fast, "fast", false, "on the screen: as fast as the machine can, not as a real line")
	f.StringVar(&r.language, "language", "en", "of the screen: en or zh")
	f.StringVar(&r.keep, "keep", "", "keep the ledger in `DIR`")
}

func (r *rehearseFlags) run(ctx context.Context, job *job.Job) error {
	if len(r.ports) > 0 {
		r.slots = len(r.ports)
	}
	if r.slots < 1 || r.slots > 32 || r.count < 0 {
		return fmt.Errorf("rehearse: %d slots, %d devices: write 1 to 32 slots and a number of devices", r.slots, r.count)
	}
	ctx, stop := unbroken(ctx)
	defer stop()
	dir, err := os.MkdirTemp("", "station-rehearse-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "ledger.db")
	if r.keep != "" {
		if err := os.MkdirAll(r.keep, 0o755); err != nil {
			return err
		}
		path = filepath.Join(r.keep, "ledger.db")
	}
	v, err := station.OpenRehearsal(ctx, job, filepath.Join(dir, "token"), path, version())
	if err != nil {
		return stationFault(err)
	}
	defer v.Close()
	log, closeLog, err := r.openLog()
	if err != nil {
		return err
	}
	defer closeLog()
	screen := !r.headless && isTerminal(os.Stdout) && isTerminal(os.Stdin)
	fixture := &station.Virtual{Slots: r.slots, Count: r.count, Pace: screen && !r.fast, Model: station.ChipFor(job)}
	if screen {
		fixture.Swap = swapTime
	}
	if r.teach && screen {
		fixture.Chip = station.Instructive
	}
	line, err := v.Line(job, fixture)
	if err != nil {
		return stationFault(err)
	}
	tail := outlet.New(os.Stdout, nil) // a terminal that nobody reads holds up no stop
	defer tail.Flush(&leaving)
	person := plain.NewWriter(tail)
	if !screen {
		v.MakeUpSerials(line)
	}
	if screen {
		err = r.screen(ctx, v, line, log)
	} else {
		err = headless(ctx, line, os.Stdout, formOf(r.headless), nil, tee(log, r.narrate(stderr)))
		person = stderr
	}
	plain.Fprintf(person, "station: %s\n", notRun)
	if err := listLedger(person, v.Ledger, identityFilters[""]); err != nil {
		return stationFault(err)
	}
	if err := verifyLedger(person, v.Ledger.Check); err != nil {
		return stationFault(err)
	}
	return err
}

// notRun is what a rehearsal cannot show.
const notRun = "a virtual device does not run the firmware: it says the job's marker, and what the real one would print is not known"

// swapTime is how long the verdict of a virtual device stands, and then how long
// its slot is empty.
const swapTime = 3 * time.Second

// screen shows the rehearsal on the operator's screen.
func (r *rehearseFlags) screen(ctx context.Context, v *station.Rehearsal, line *flow.Line, log func(flow.Event)) error {
	s := &lineScreen{line: func() *flow.Line { return line }}
	cfg := s.config(r.language, line.Job)
	cfg.Simulation, cfg.Retry = true, nil // a virtual device is put back by itself
	watch(&cfg, station.LineFile{}, line.Job.Name, func() (*hsm.Token, *ledger.Ledger, *station.Site) { return v.Token, v.Ledger, nil })
	return s.run(ctx, cfg, func() func(flow.Event) { return log })
}
