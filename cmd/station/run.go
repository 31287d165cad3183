package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"station/internal/flow"
	"station/internal/job"
	"station/internal/plain"
	"station/internal/port"
	"station/internal/record"
	"station/internal/station"
)

// runFlags are those of station run.
type runFlags struct {
	*options
	job, batch, operator, approve, approver, serial string
	ports                                           []string
	count                                           int
	goOn, once, headless                            bool
	junit                                           output
}

func runCommand(o *options) *cobra.Command { return (&runFlags{options: o}).command() }

func (r *runFlags) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Provision devices",
		Long: `Provision the devices in the slots of the station file, or at the ports given.

On a terminal it shows the line. Without one, or on one that has no screen
(TERM=dumb), it says in plain lines what happens; for a script --headless prints
the events as JSON lines.
Before the first device of a job revision a person reads
the burn plan ("station job check") and approves its digest with --approve. The
digest covers the whole job: every image, every fuse, every setting. A revision
that was approved is never approved again with other contents.

Exit code: 0 every device passed, 1 a device failed, is in quarantine or was
not made because the line was stopped, 2 wrong usage or a bad file, 3 the
station itself failed, also where it went on by itself later.

Where standard output is no terminal, SIGHUP opens the file of --log anew and stops
nothing.`,
		Example: `  station run --job job.toml --port /dev/ttyUSB0 --once --headless --junit visit.xml
  station run --job job.toml --approve sha256:5f2c... --operator anna --batch 2026-47
  station run --job job.toml --approve sha256:5f2c... --approver eve --operator anna`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&r.job, "job", "", "job `FILE`")
	f.StringArrayVar(&r.ports, "port", nil, "device path, usb:SOCKET, rfc2217://HOST:PORT or socket://HOST:PORT; may be given again (default: the station file's slots)")
	f.IntVar(&r.count, "count", 0, "stop after `N` devices")
	f.BoolVar(&r.once, "once", false, "one device at each port")
	f.BoolVar(&r.headless, "headless", false, "no screen: JSON lines on standard output, for a script")
	f.StringVar(&r.batch, "batch", "", "batch `ID` for the ledger")
	f.StringVar(&r.operator, "operator", "", "operator `ID` for the ledger")
	f.StringVar(&r.serial, "serial", "", "serial number of the next device, where the job demands one and nobody scans it")
	f.StringVar(&r.approve, "approve", "", "approve the burn plan with this `DIGEST`")
	f.StringVar(&r.approver, "approver", "", "`ID` of who approves, where that is not the operator")
	f.BoolVar(&r.goOn, "go-on", false, "let a line go on that stopped because devices failed alike; needs --operator")
	r.junit.add(cmd, "junit", "", "write the verdicts to `FILE` when the line ends, as JUnit XML")
	_ = cmd.MarkFlagRequired("job")
	cmd.MarkFlagsMutuallyExclusive("count", "once")
	return cmd
}

func (r *runFlags) run(ctx context.Context) error {
	if r.count < 0 {
		return fmt.Errorf("run: --count %d: write the number of devices, or leave it out", r.count)
	}
	if r.approver != "" && r.approve == "" {
		return fmt.Errorf("run: --approver goes with --approve DIGEST")
	}
	if r.goOn && record.Blank(r.operator) {
		return errors.New("run: --go-on: the ledger has to say who let the line go on; add --operator")
	}
	ctx, stop := unattended(ctx)
	defer stop()
	w := &works{runFlags: r}
	defer w.Close()
	if err := w.loadFiles(); err != nil {
		return err
	}
	if err := w.batchTakes(); err != nil {
		return err
	}
	if r.hasScreen() {
		return w.reported(w.screen(ctx))
	}
	if err := w.open(ctx, prompt()); err != nil {
		return err
	}
	if err := w.approveAs(r.approve); err != nil {
		return err
	}
	if err := w.scanned(); err != nil {
		return err
	}
	return w.reported(headless(ctx, w.line(), os.Stdout, formOf(r.headless), w.labels(), tee(w.log, w.narrate(stderr))))
}

// slotsAt are the ports of the flags, or the station file's slots.
func (r *runFlags) slotsAt(job *job.Job, file *station.File) ([]flow.Slot, error) {
	reset := job.Device.Reset
	if file.Device.Reset != "" {
		reset = file.Device.Reset
	}
	wanted := file.Slots
	if len(r.ports) > 0 {
		wanted = nil
		seen := map[string]bool{}
		for i, p := range r.ports {
			if seen[p] {
				return nil, fmt.Errorf("run: port %s is given twice", p)
			}
			seen[p] = true
			wanted = append(wanted, station.SlotFile{Name: file.SlotName(p, i), Port: p})
		}
	}
	if len(wanted) == 0 {
		return nil, fmt.Errorf("run: no ports; give --port or write [[slot]] tables into %s", r.station)
	}
	var slots []flow.Slot
	for _, p := range wanted {
		if err := port.Check(p.Port); err != nil {
			return nil, fmt.Errorf("run: slot %s: %w", p.Name, err)
		}
		real := station.RealSlot{Name: p.Name, Port: p.Port, Reset: reset, Once: r.once}
		if !r.hasScreen() {
			real.Warn = warning
		}
		slots = append(slots, real.Slot())
	}
	return slots, nil
}

// hasScreen reports whether the line is shown to a person at a terminal.
func (r *runFlags) hasScreen() bool {
	return !r.headless && isTerminal(os.Stdout) && isTerminal(os.Stdin)
}

// warning tells an engineer of something that the line can live with.
func warning(text string) { plain.Fprintf(stderr, "station: warning: %s\n", text) }
