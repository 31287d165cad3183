package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/flow"
	"station/internal/job"
	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/port"
	"station/internal/record"
	"station/internal/station"
)

func probeCommand(o *options) *cobra.Command {
	var portName, jobPath string
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "Identify the device on a port, show its fuses and what run would do",
		Long: `Identify the device on a port and show its fuses, its state and what a run of
the job would do. It resets the device into its loader and changes nothing else.`,
		Example: `  station probe --port /dev/ttyUSB0
  station probe --port /dev/ttyUSB0 --job job.toml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.probe(cmd.Context(), cmd.OutOrStdout(), portName, jobPath, *asJSON)
		},
	}
	cmd.Flags().StringVar(&portName, "port", "", "device path, usb:SOCKET, rfc2217://HOST:PORT or socket://HOST:PORT")
	cmd.Flags().StringVar(&jobPath, "job", "", "job `FILE` to decide by")
	_ = cmd.MarkFlagRequired("port")
	asJSON = jsonFlag(cmd)
	return cmd
}

// probeTime bounds the search for a device that does not answer.
const probeTime = 30 * time.Second

func (o *options) probe(ctx context.Context, w io.Writer, portName, jobPath string, asJSON bool) error {
	if err := port.Check(portName); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	ctx, stop := unbroken(ctx)
	defer stop()
	var r flow.Runner
	reset := job.Reset("")
	if jobPath != "" {
		job, err := job.Load(jobPath, o.tokenKey)
		if err != nil {
			return err
		}
		r.Job, reset = job, job.Device.Reset
	}
	file, err := station.LoadFile(o.station)
	switch {
	case err == nil:
		if file.Device.Reset != "" {
			reset = file.Device.Reset
		}
		book, err := ledger.Open(file.Ledger, ledger.Options{ReadOnly: true})
		if err == nil {
			defer book.Close()
			r.Ledger = book
		} else if !errors.Is(err, fs.ErrNotExist) {
			return stationFault(err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	real := station.RealSlot{Name: "1", Port: portName, Reset: reset, Once: true, Warn: warning}
	loader, err := real.Slot().Next(ctx, func() {})
	if err != nil {
		return flow.PortFailure(err)
	}
	defer loader.Close()
	report, err := r.Probe(ctx, loader)
	if err != nil {
		return flow.FailureFrom(err)
	}
	defer report.Fuses.Wipe()
	if book, ok := r.Ledger.(*ledger.Ledger); ok {
		if _, _, err := heldDevice(book, report.ID.MAC); err != nil {
			return err
		}
	}
	if asJSON {
		return answer(w, probed(report))
	}
	printReport(w, report)
	return nil
}

// probeAnswer is a chip as it was found, and what a run would do with it.
type probeAnswer struct {
	chip.Identity
	Virtual  string            `json:"virtual,omitempty"` // in words, where it is not real beyond doubt
	State    probedState       `json:"state"`
	Ledger   *probedDevice     `json:"ledger,omitempty"` // absent: it does not know the device
	Fuses    map[string]uint64 `json:"fuses"`            // fields that are set, of at most 64 bits
	Kept     []string          `json:"kept"`             // blocks whose words are not shown, in words
	Words    string            `json:"block0"`
	Decision string            `json:"decision,omitempty"` // of a run of --job
	Why      string            `json:"why,omitempty"`
	Code     record.Code       `json:"code,omitempty"` // where the run would refuse it
	Burns    []string          `json:"burns,omitempty"`
}

type probedState struct {
	Name  efuse.StateName `json:"name"`
	Words string          `json:"words"`
	Next  string          `json:"next"`
}

type probedDevice struct {
	Verdict record.Verdict `json:"verdict"`
	Code    record.Code    `json:"code,omitempty"`
	Key     string         `json:"key,omitempty"`
	Job     string         `json:"job,omitempty"` // with its revision
}

func probed(r flow.Report) probeAnswer {
	a := probeAnswer{Identity: r.ID, Virtual: virtualInWords(r.ID), State: probedState{r.State.Name, r.State.Words, r.State.Next},
		Fuses: map[string]uint64{}, Decision: r.Decision, Why: r.Why, Burns: r.Plan}
	if r.Known {
		verdict, code := r.Device.State()
		a.Ledger = &probedDevice{verdict, code, r.Device.FlashKey().ID, r.Device.MadeBy()}
	}
	for _, f := range setFields(r) {
		a.Fuses[f.Name] = r.Fuses.Value(f.Name)
	}
	a.Kept, a.Words = blocksOf(r)
	if r.Failure != nil {
		a.Code = r.Failure.Code
	}
	return a
}

// setFields are the fields of fuses that are not zero and fit a number.
func setFields(r flow.Report) (set []chip.Field) {
	for _, f := range r.ID.Of().Efuse.Fields {
		if f.Width <= 64 && r.Fuses.Value(f.Name) != 0 {
			set = append(set, f)
		}
	}
	return set
}

// blocksOf are what is told of the blocks that hold keys, and the words of BLOCK0.
func blocksOf(r flow.Report) (kept []string, words string) {
	snapshot := efuse.Redact(r.Fuses)
	for _, b := range snapshot {
		if b.Words == nil {
			kept = append(kept, b.Name+" "+b.String())
		}
	}
	return kept, snapshot.Block("BLOCK0").String()
}

// virtualInWords tells what a chip is that is not real beyond doubt.
func virtualInWords(id chip.Identity) string {
	switch {
	case id.Simulated && id.MAC.Local():
		return "a virtual chip: what is done with it is marked, and never counts as real"
	case id.Simulated:
		return "it says that it is a virtual chip, and has a real one's MAC: a run sets it aside (E-VIRTUAL)"
	case id.MAC.Local():
		return "perhaps: its MAC is no real chip's, and it does not say that it is a virtual one: a run sets it aside (E-VIRTUAL)"
	}
	return ""
}

func printReport(w io.Writer, r flow.Report) {
	id := r.ID
	plain.Fprintf(w, "MAC           %s\nchip          %s %s, crystal %d MHz\nflash         %#06x, %s\ncoding scheme %s\n",
		id.MAC, id.Package, id.Revision, id.Crystal, id.FlashID, job.Size(id.FlashSize), id.Coding)
	if text := virtualInWords(id); text != "" {
		plain.Fprintf(w, "SIMULATED     %s\n", text)
	}
	plain.Fprintf(w, "state         %s\n              %s\n", r.State.Words, r.State.Next)
	if r.Known {
		verdict, code := r.Device.State()
		plain.Fprintf(w, "ledger        key %s, %s, job %s\n", r.Device.FlashKey().ID, strings.TrimSpace(string(verdict)+" "+string(code)), r.Device.MadeBy())
	}
	fmt.Fprintln(w, "fuses that are set:")
	for _, f := range setFields(r) {
		plain.Fprintf(w, "  %-22s %#-14x %s\n", f.Name, r.Fuses.Value(f.Name), f.About)
	}
	kept, words := blocksOf(r)
	plain.Fprintf(w, "  %s\n  words %s\n", strings.Join(kept, ", "), words)
	if r.Decision == "" {
		return
	}
	plain.Fprintf(w, "a run would   %s: %s\n", r.Decision, r.Why)
	if r.Failure != nil {
		plain.Fprintf(w, "              %s\n", r.Failure.Kind().Action)
	}
	for _, line := range r.Plan {
		plain.Fprintf(w, "  %s\n", line)
	}
}
