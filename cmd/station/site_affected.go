package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/plain"
	qa "station/internal/report"
	"station/internal/site/hub"
	"station/internal/site/replica"
	"station/internal/station"
)

// siteAffectedAnswer are the devices, as of the head of each bench's ledger.
type siteAffectedAnswer struct {
	Site    string            `json:"site"`
	Benches []benchHead       `json:"benches"`
	Devices []siteAffectedRow `json:"devices"`
}

// benchHead is which ledger of a bench was read, and how far.
type benchHead struct {
	Bench   string `json:"bench"`
	Ledger  string `json:"ledger"`
	Entries uint64 `json:"entries"`
	Root    string `json:"root"`
}

// siteAffectedRow is a device, the bench whose device it is, and in which bench's ledger each entry
// of evidence is.
type siteAffectedRow struct {
	station.Affected
	Bench string   `json:"bench"`
	Where []string `json:"where"`
}

func siteAffectedCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	a := &affectedFlags{releaseFlags: releaseFlags{options: s.options}}
	var proofs string
	var simulated bool
	cmd := &cobra.Command{
		Use:   "affected",
		Short: "List the devices of all benches that a release, a key or a firmware is in",
		Long: `List devices as "station affected" does, of all benches of the site and of the update servers
whose ledgers it has. A device stands there once, with the bench whose device it is; what
is newest of it counts, whichever ledger says so. where tells in which bench's ledger each
entry of evidence is; --proofs writes a proof of each of them, DIR/BENCH-MAC.proof, as
"station site device" does. Releases are told apart by their numbers: where servers have
stores of their own, these must not be the same. --store (or the station file) names the
store in which --cve looks. Benches with virtual devices are left out where there are real
ones.`,
		Example: `  station site affected --release 7
  station site affected --cve CVE-2024-23170 --store releases --format json --out affected.json
  station site affected --key fleet --proofs proofs`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.read(); err != nil {
				return fmt.Errorf("site affected: %w", err)
			}
			return s.use(cmd.Context(), func(f *hub.Folder, set *replica.Set) error {
				benches, err := benchesOf(set, simulated)
				if err != nil {
					return err
				}
				list, err := a.ofSite(set, benches)
				if err != nil {
					return fmt.Errorf("site affected: %w", err)
				}
				if len(list) == 0 {
					plain.Fprintf(stderr, "station: no bench of the site %s knows such a device: is the name right, and have all benches sent what they have?\n", f.Name)
				}
				if proofs != "" {
					if err := proveAffected(set, list, proofs, a.out.overwrite); err != nil {
						return err
					}
				}
				return a.writeSite(cmd.OutOrStdout(), f.Name, benches, list)
			})
		},
	}
	s.add(cmd)
	a.add(cmd)
	cmd.Flags().StringVar(&proofs, "proofs", "", "`DIR` for proofs of the entries of each device")
	cmd.Flags().BoolVar(&simulated, "simulated", false, "the benches with virtual devices alone")
	return cmd
}

// ofSite lists the devices of the benches, whose ledgers must be whole.
func (a *affectedFlags) ofSite(set *replica.Set, benches []qa.Bench) ([]station.Affected, error) {
	var books []station.Book
	for _, b := range benches {
		if err := mustAgree(b.Ledger); err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name, err)
		}
		books = append(books, station.Book{Bench: b.Name, Ledger: b.Ledger})
	}
	if a.device != "" {
		mac, err := oneMAC(set, a.device)
		if err != nil {
			return nil, fmt.Errorf("--mac: %w", err)
		}
		a.wanted.MAC = mac
	}
	store, err := a.dir()
	if errors.Is(err, fs.ErrNotExist) { // the site's machine needs no station file: the ledgers tell the most
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return a.find(store, books...)
}

// oneMAC is that of the one device with a name at any bench.
func oneMAC(set *replica.Set, name string) (chip.MAC, error) {
	found, err := set.Find(name)
	switch {
	case err != nil:
		return chip.MAC{}, notTrue(err)
	case len(found) == 0:
		return chip.MAC{}, fmt.Errorf("no bench knows a device %q", name)
	case found[0].Device.MAC != found[len(found)-1].Device.MAC:
		return chip.MAC{}, errors.New("two devices are called so; write the MAC")
	}
	return found[0].Device.MAC, nil
}

// proveAffected writes a proof of each bench's entries that say so of a device.
func proveAffected(set *replica.Set, list []station.Affected, dir string, overwrite bool) error {
	var at siteDeviceAnswer
	for _, d := range list {
		for i, bench := range d.Where {
			if !slices.Contains(d.Where[:i], bench) {
				at.Devices = append(at.Devices, deviceAtRow{Bench: bench, MAC: d.MAC})
			}
		}
	}
	return at.prove(set, dir, overwrite)
}

func (a *affectedFlags) writeSite(w io.Writer, site string, benches []qa.Bench, list []station.Affected) error {
	all := siteAffectedAnswer{site, []benchHead{}, []siteAffectedRow{}}
	for _, b := range benches {
		all.Benches = append(all.Benches, benchHead{b.Name, b.Ledger.Origin(), b.Size, b.Root.String()})
	}
	for _, d := range list {
		all.Devices = append(all.Devices, siteAffectedRow{d, d.Bench, d.Where})
	}
	object := map[string]any{"format": 1, "site": site, "benches": all.Benches, "devices": all.Devices}
	return printAffected(w, &a.out, a.format, all, object, func(w io.Writer) error {
		return affectedCSV(w, list, []string{"bench", "where"}, func(d station.Affected) []string {
			return []string{d.Bench, strings.Join(d.Where, " ")}
		})
	})
}
