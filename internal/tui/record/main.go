// Command record makes the recorded runs in fixtures/events: the real
// procedure on virtual devices at the speed of real ones, with what can go
// wrong on a line.
//
//	go run ./internal/tui/record fixtures/events [scene…]
//
// It leaves most percents of progress out, so that the files stay small, and
// lets each run begin at the same time of day.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"station/fixtures"
	"station/internal/flow"
	"station/internal/job"
	"station/internal/sim"
	"station/internal/station"
)

// scene is one run.
type scene struct {
	name         string
	slots, count int
	label        string // of the key, where the job names one that is not there
	every        int    // percent of progress that are kept; 0 is 5
	chip         func(n int, o *sim.Options)
}

// flashData is the loader's command that carries flash content (FLASH_DATA,
// FLASH_DEFL_DATA in the ROM's table of commands).
const flashData = 0x03

var scenes = []scene{
	{name: "pass", slots: 1, count: 1},
	{name: "already", slots: 1, count: 2, chip: sameDevice},
	{name: "retry", slots: 1, count: 1, chip: func(_ int, o *sim.Options) { pulled(o) }},
	{name: "scrap", slots: 1, count: 1, chip: func(_ int, o *sim.Options) { deadFuse(o) }},
	{name: "quarantine", slots: 1, count: 1, chip: func(_ int, o *sim.Options) { foreignKey(o) }},
	{name: "station", slots: 1, count: 1, label: "not-there"},
	{name: "line4", slots: 4, count: 12, chip: mixed},
	{name: "line6", slots: 6, count: 6, chip: each},
	{name: "line32", slots: 32, count: 64, chip: mixed, every: 20},
}

var stateDir string

func sameDevice(_ int, o *sim.Options) {
	o.MAC, o.State = station.VirtualMAC(0), filepath.Join(stateDir, "same")
}

func pulled(o *sim.Options) {
	o.Faults = append(o.Faults, sim.Fault{Kind: sim.Unplug, Op: flashData, At: 200})
}

func deadFuse(o *sim.Options) {
	o.Faults = append(o.Faults, sim.Fault{Kind: sim.DeadFuse, Field: "FLASH_CRYPT_CNT", Bit: 3})
}

// foreignKey is a device that somebody else has closed: BLOCK1 cannot be read.
func foreignKey(o *sim.Options) {
	words := sim.FactoryWords(*o)
	sim.SetField(&words, "RD_DIS", 1)
	o.Words = &words
}

// each is a line in which every slot comes to another result.
func each(n int, o *sim.Options) {
	switch n {
	case 1:
		pulled(o)
	case 2:
		deadFuse(o)
	case 3:
		foreignKey(o)
	case 4:
		o.Faults = append(o.Faults, sim.Fault{Kind: sim.Brownout, Times: -1})
	}
}

// mixed is a line with a bad day.
func mixed(n int, o *sim.Options) {
	switch n % 12 {
	case 3:
		pulled(o)
	case 5:
		foreignKey(o)
	case 7:
		o.Faults = append(o.Faults, sim.Fault{Kind: sim.MuteApp, Times: -1})
	case 8:
		deadFuse(o)
	case 10:
		o.Faults = append(o.Faults, sim.Fault{Kind: sim.Brownout, Times: -1})
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("name the folder for the files")
	}
	for _, s := range scenes {
		if len(args) > 1 && !slices.Contains(args[1:], s.name) {
			continue
		}
		if err := s.record(filepath.Join(args[0], s.name+".jsonl")); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (s scene) record(path string) (err error) {
	dir, err := os.MkdirTemp("", "record-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	stateDir = dir
	if err := os.CopyFS(dir, fixtures.Example); err != nil {
		return err
	}
	job, err := job.Load(filepath.Join(dir, "example", "job.toml"))
	if err != nil {
		return err
	}
	ctx := context.Background()
	r, err := station.OpenRehearsal(ctx, job, filepath.Join(dir, "token"), filepath.Join(dir, "ledger.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if s.label != "" {
		job.Key.Label = s.label
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	fixture := &station.Virtual{Slots: s.slots, Count: s.count, Pace: true, Chip: s.chip}
	line, err := r.Line(job, fixture, "record")
	if err != nil {
		return err
	}
	line.Emit = writer(out, max(s.every, 5))
	fmt.Fprintf(os.Stderr, "%s: %+v\n", s.name, line.Run(ctx))
	return nil
}

// morning is when every recorded run begins.
var morning = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

func writer(w io.Writer, every int) func(flow.Event) {
	enc := json.NewEncoder(w)
	var begin time.Time
	return func(e flow.Event) {
		if begin.IsZero() {
			begin = e.Time
		}
		if e.Event == flow.StepProgress && e.Percent%every != 0 {
			return
		}
		e.Time = morning.Add(e.Time.Sub(begin)).Round(time.Millisecond)
		_ = enc.Encode(e)
	}
}
