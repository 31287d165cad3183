package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/job"
	"station/internal/plain"
	"station/internal/port"
	"station/internal/station"
)

type doctorAnswer struct {
	Worst    station.Soundness `json:"worst"`
	Findings []station.Finding `json:"findings"`
}

func doctorCommand(o *options) *cobra.Command {
	var jobs []string
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong with this machine as a station, and the fix",
		Long: `Look at what a line stands on, and say what is wrong and how it is mended:
ledger, disk, clock, printer, memory for keys, programs that take serial ports,
the port of each slot (is it there, may you use it, does its adapter hold answers
back, can it do the jobs' baud rate), and the token: its module, the PIN, and
what "station hsm status" would complain of. It changes nothing, opens no port
and writes no key. Without a station file it looks at what needs none, and says
how one is written.

Exit code 0 if a line would work, 3 if it would not.`,
		Example: `  station doctor
  station doctor --job lamp.toml --station bench-7.toml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bauds, err := o.bauds(jobs)
			if err != nil {
				return err
			}
			found, err := o.examine(cmd, bauds)
			if err != nil {
				return err
			}
			if err := printFindings(cmd.OutOrStdout(), found, *asJSON); err != nil {
				return err
			}
			return verdict(found)
		},
	}
	cmd.Flags().StringArrayVar(&jobs, "job", nil, "job `FILE` whose baud rate the adapters must do; may be given again")
	asJSON = jsonFlag(cmd)
	return cmd
}

// examine looks at all that the station file names, or at what needs none where
// there is no such file.
func (o *options) examine(cmd *cobra.Command, bauds []int) ([]station.Finding, error) {
	file, err := station.LoadFile(o.station)
	if errors.Is(err, fs.ErrNotExist) {
		ports, err := port.List()
		return station.ThisMachine.ExamineWithout(o.station, ports, bauds...), stationFault(err)
	}
	if err != nil {
		return nil, err
	}
	byNumber(file.Slots)
	return append(file.Examine(station.ThisMachine, bauds...), o.tokenSound(cmd, file)...), nil
}

// verdict is an error if a line would not work.
func verdict(found []station.Finding) error {
	n := 0
	for _, f := range found {
		if f.State == station.Unsound {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return stationFault(fmt.Errorf("doctor: %d of %d things would stop a line", n, len(found)))
}

// bauds are the rates that jobs ask for.
func (o *options) bauds(jobs []string) (list []int, err error) {
	for _, path := range jobs {
		j, err := job.Load(path, o.tokenKey)
		if err != nil {
			return nil, err
		}
		list = append(list, j.Flash.Baud)
	}
	return list, nil
}

// tokenSound opens the token as a line does, and audits it.
func (o *options) tokenSound(cmd *cobra.Command, file *station.File) []station.Finding {
	uri, err := hsm.ParseURI(file.TokenURI())
	if err != nil {
		return []station.Finding{{What: "token", State: station.Unsound, Words: err.Error(), Fix: "correct [hsm] uri in " + file.Path}}
	}
	if uri.PINSource == "" && os.Getenv("STATION_PIN") == "" && prompt() == nil {
		return []station.Finding{{What: "token", State: station.Untried, Words: "no PIN: neither pin-source, nor STATION_PIN, nor a terminal to ask at",
			Fix: "add pin-source=file:/path to [hsm] uri for lines without a person"}}
	}
	token, err := station.OpenToken(file.TokenURI(), file, prompt())
	if err != nil {
		return []station.Finding{{What: "token", State: station.Unsound, Words: err.Error(), Fix: "docs/tokens.md has what each kind of token needs"}}
	}
	defer token.Close()
	s, err := token.Status(cmd.Context())
	if err != nil {
		return []station.Finding{{What: "token", State: station.Unsound, Words: err.Error(), Fix: `"station hsm status" has more`}}
	}
	found := []station.Finding{{What: "token", State: station.Sound, Words: fmt.Sprintf("%s, %s %s", s.Label, s.Manufacturer, s.Model)}}
	if s.Nature == hsm.Software {
		found[0].State, found[0].Words = station.Doubt, found[0].Words+": software; whoever reads this machine's disk has every key"
		found[0].Fix = "use a hardware token for real devices"
		if !file.HSM.AllowSoftware {
			found[0].Fix += ", which this station refuses; allow_software_token = true under [hsm] takes them all the same"
		}
	}
	for _, p := range s.Problems() {
		found = append(found, station.Finding{What: "token", State: station.Unsound, Words: p, Fix: `"station hsm status" has more`})
	}
	return found
}

func printFindings(w io.Writer, found []station.Finding, asJSON bool) error {
	if asJSON {
		return answer(w, doctorAnswer{station.Worst(found), found})
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range found {
		plain.Fprintf(table, "%s\t%s\t%s\n", f.State, f.What, f.Words)
		if f.Fix != "" && f.State != station.Sound {
			plain.Fprintf(table, "\t\tdo: %s\n", f.Fix)
		}
	}
	return table.Flush()
}
