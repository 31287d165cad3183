package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
	"station/internal/site/hub"
	"station/internal/site/replica"
)

// siteDeviceAnswer is the life of one or more devices, at each bench that knows them.
type siteDeviceAnswer struct {
	Site    string        `json:"site"`
	Devices []deviceAtRow `json:"devices"`
}

// deviceAtRow is a device at one bench; the bench whose device it is comes first.
type deviceAtRow struct {
	Bench   string            `json:"bench"`
	Ledger  string            `json:"ledger"`
	MAC     chip.MAC          `json:"mac"`
	Verdict record.Verdict    `json:"verdict"`
	Code    record.Code       `json:"code,omitempty"`
	Serial  string            `json:"serial,omitempty"`
	Batch   string            `json:"batch,omitempty"`
	Entries []json.RawMessage `json:"entries"` // the oldest first
}

func siteDeviceCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	var asJSON *bool
	var proofs string
	var out output
	cmd := &cobra.Command{
		Use:   "device NAME",
		Short: "Show the whole life of a device over all benches, and prove it",
		Long: `Show every entry of every bench about a device. NAME is its MAC, its serial number,
its ID or the serial number of its certificate; the bench whose device it is comes first.
With --proofs each bench's entries get a file DIR/BENCH-MAC.proof, made under the newest
checkpoint that the bench's token and the site have signed: "station ledger check FILE
--key witness.pem" checks it offline and anywhere.`,
		Example: `  station site device 24:0a:c4:01:02:03
  station site device SN00000042 --proofs proofs`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.use(cmd.Context(), func(f *hub.Folder, set *replica.Set) error {
				found, err := set.Find(args[0])
				if err != nil {
					return notTrue(err)
				}
				if len(found) == 0 {
					return fmt.Errorf("no bench of the site %s knows a device %q: want a MAC, a serial number, an ID or the serial number of a certificate", f.Name, args[0])
				}
				a := siteDeviceAnswer{Site: f.Name}
				for _, at := range found {
					row, err := deviceAt(set, at)
					if err != nil {
						return notTrue(err)
					}
					a.Devices = append(a.Devices, row)
				}
				if proofs != "" {
					if err := a.prove(set, proofs, out.overwrite); err != nil {
						return err
					}
				}
				if *asJSON {
					return answer(cmd.OutOrStdout(), a)
				}
				return a.print(cmd.OutOrStdout())
			})
		},
	}
	s.add(cmd)
	cmd.Flags().StringVar(&proofs, "proofs", "", "`DIR` for a proof of each bench's entries")
	out.addOverwrite(cmd)
	asJSON = jsonFlag(cmd)
	return cmd
}

func deviceAt(set *replica.Set, at replica.Found) (row deviceAtRow, err error) {
	l, d := set.Ledger(at.Bench), at.Device
	row = deviceAtRow{Bench: at.Bench, Ledger: l.Origin(), MAC: d.MAC, Serial: d.Serial, Batch: d.Batch}
	row.Verdict, row.Code = d.State()
	list, err := l.History(d.MAC)
	if err == nil {
		row.Entries, err = entryLines(l, list)
	}
	return row, err
}

// print is a line for each bench, and the entries.
func (a siteDeviceAnswer) print(out io.Writer) error {
	for _, d := range a.Devices {
		plain.Fprintf(out, "%s at %s: %s, %s of %s\n", d.MAC, d.Bench, strings.TrimSpace(string(d.Verdict)+" "+string(d.Code)), plain.Count(len(d.Entries), "entry"), d.Ledger)
		for _, line := range d.Entries {
			plain.Fprintf(out, "%s\n", line)
		}
	}
	return nil
}

// prove writes a proof of each bench's entries.
func (a siteDeviceAnswer) prove(set *replica.Set, dir string, overwrite bool) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return stationFault(err)
	}
	for _, d := range a.Devices {
		p, newer, err := set.Ledger(d.Bench).Prove(d.MAC)
		if errors.Is(err, ledger.ErrNoCheckpoint) {
			return stationFault(fmt.Errorf("no checkpoint of %s has all entries of %s: \"station site push\" there, once its token has signed one", d.Bench, d.MAC))
		}
		if err != nil {
			return notTrue(err)
		}
		data, err := p.File()
		out := output{path: filepath.Join(dir, d.Bench+"-"+strings.ReplaceAll(d.MAC.String(), ":", "")+".proof"), overwrite: overwrite}
		if err == nil {
			err = out.bytes(data)
		}
		if err != nil {
			return stationFault(err)
		}
		plain.Fprintf(stderr, "wrote %s\n", out.path)
		if newer > 0 {
			warning(fmt.Sprintf("%s of %s, newer than the checkpoint", plain.Count(newer, "entry"), d.Bench))
		}
	}
	return nil
}
