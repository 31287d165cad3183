package main

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/station"
)

// affectedFlags say which devices are asked for, and how they are listed.
type affectedFlags struct {
	releaseFlags
	wanted                              station.Wanted
	device, firmware, format, cve, scan string
	json                                *bool
	out                                 output
}

func (a *affectedFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Int64Var(&a.wanted.Release, "release", 0, "`NUMBER` of a release")
	f.StringVar(&a.wanted.Key, "key", "", "`ID`, label or check value of a key, or the digest of one that devices trust")
	f.StringVar(&a.firmware, "firmware", "", "`FILE` of an image or an app, or its digest sha256:…")
	f.StringVar(&a.device, "mac", "", "one device: its MAC, its serial number or its ID (`NAME`)")
	f.StringVar(&a.cve, "cve", "", "`ID` of a vulnerability, such as CVE-2024-23170")
	f.StringVar(&a.scan, "scan", "", "`FILE` of what a scanner found, CycloneDX in JSON")
	a.addStore(cmd)
	f.StringVar(&a.format, "format", "csv", "csv or json")
	a.json = jsonFlag(cmd)
	cmd.MarkFlagsMutuallyExclusive("json", "format")
	a.out.add(cmd, "out", "", "`FILE` to write (default: standard output)")
}

// read reads what is asked for, but for what only a ledger can tell.
func (a *affectedFlags) read() (err error) {
	switch {
	case a.wanted.Empty() && a.firmware == "" && a.device == "" && a.cve == "":
		return errors.New("by what? Give --release, --key, --firmware, --mac or --cve")
	case a.cve == "" && a.scan != "":
		return errors.New("--scan is for a vulnerability: name it with --cve")
	case a.format != "csv" && a.format != "json":
		return fmt.Errorf("--format %q: write csv or json", a.format)
	}
	if a.wanted.Firmware, err = digestsOf(a.firmware); err != nil {
		return fmt.Errorf("--firmware: %w", err)
	}
	if *a.json {
		a.format = "answer"
	}
	if a.cve != "" {
		a.wanted.Any, err = hit(&a.releaseFlags, a.cve, a.scan)
	}
	return err
}

// find lists the devices of the books. store is the folder of releases, "" is none.
func (a *affectedFlags) find(store string, books ...station.Book) (list []station.Affected, err error) {
	if store != "" && (a.firmware != "" || a.wanted.Release != 0) {
		if a.wanted.Known, err = knownReleases(store); err != nil {
			return nil, stationFault(err)
		}
	}
	list, err = station.FindAffected(a.wanted, books...)
	if unknown := (*station.UnknownError)(nil); errors.As(err, &unknown) {
		return nil, err
	}
	return list, stationFault(err)
}

func affectedCommand(o *options) *cobra.Command {
	l, a := &ledgerFlags{options: o}, &affectedFlags{releaseFlags: releaseFlags{options: o}}
	cmd := &cobra.Command{
		Use:   "affected",
		Short: "List the devices that a release, a key or a firmware is in, with the entries that say so",
		Long: `List devices: those that run a release, ran it or were offered it; those that
have a key; those that have a firmware, by the file of an image that the line wrote
or of an app that they took later, or by its digest. Several of these together list the
devices for which all of them are so.

--cve finds the releases that a vulnerability is in, by their bills of materials
(CycloneDX in JSON, "release add --sbom"), and lists the devices that run one of
them, ran it, were offered it, or were sealed with it. What was found after a
release was made is in --scan, what a scanner says in CycloneDX: a release is hit
whose bill has a component that is hit there. Of which releases nothing can be said
is told.

A device that was updated answers for its other slot too, to which it can fall back:
slot tells where the app stands, running, other, or the slot's name where the
line wrote it; certain is false where an update may have been written over it
since, or may never have been taken. A release or a key that there is none of is a
fault, not an empty list.

Each row names the entries of the ledger that say so, and the head of the ledger
as of now; "station ledger prove NAME" proves them to anybody. "station site affected"
asks all benches of a site.`,
		Example: `  station affected --release 7
  station affected --key fleet --format json --out affected.json
  station affected --firmware build/lamp.bin
  station affected --cve CVE-2024-23170 --scan grype.cdx.json --format json --out affected.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.read(); err != nil {
				return fmt.Errorf("affected: %w", err)
			}
			return l.read(func(b *ledger.Ledger) error {
				if err := mustAgree(b); err != nil {
					return err
				}
				if a.device != "" {
					d, err := namedDevice(b, a.device)
					if err != nil {
						return fmt.Errorf("affected: %w", err)
					}
					a.wanted.MAC = d.MAC
				}
				list, err := a.find(cmp.Or(a.store, releasesBeside(b.Path())), station.Book{Ledger: b})
				if err != nil {
					return fmt.Errorf("affected: %w", err)
				}
				if len(list) == 0 { // a list without rows, of a name that is misspelt, must not pass for an all-clear
					plain.Fprintf(stderr, "station: no device of this ledger is among them: is the name right, and is it this ledger?\n")
				}
				return writeAffected(cmd.OutOrStdout(), &a.out, b, list, a.format)
			})
		},
	}
	a.add(cmd)
	cmd.Flags().StringVar(&l.path, "ledger", "", "ledger `FILE`, in place of the station file's")
	return cmd
}

// affectedAnswer are the devices, as of the head of the ledger.
type affectedAnswer struct {
	Ledger  string             `json:"ledger"`
	Entries uint64             `json:"entries"`
	Root    string             `json:"root"`
	Devices []station.Affected `json:"devices"`
}

func writeAffected(w io.Writer, out *output, b *ledger.Ledger, list []station.Affected, format string) error {
	size, root, err := b.Head()
	if err != nil {
		return stationFault(err)
	}
	a := affectedAnswer{b.Origin(), size, root.String(), append([]station.Affected{}, list...)}
	return printAffected(w, out, format, a, map[string]any{"format": 1, "ledger": a.Ledger, "entries": a.Entries, "root": a.Root, "devices": a.Devices}, func(w io.Writer) error {
		return affectedCSV(w, list, nil, func(station.Affected) []string { return nil })
	})
}

// printAffected prints an answer, the object of the format json, or a table.
func printAffected(w io.Writer, out *output, format string, a any, object map[string]any, table func(io.Writer) error) (err error) {
	var text strings.Builder
	switch format {
	case "answer":
		err = answer(&text, a)
	case "json":
		enc := json.NewEncoder(&text)
		enc.SetIndent("", "  ")
		err = enc.Encode(object)
	default:
		err = table(&text)
	}
	if err != nil {
		return err
	}
	return out.print(w, []byte(text.String()))
}

// affectedCSV writes the table, with more columns behind it.
func affectedCSV(w io.Writer, list []station.Affected, more []string, values func(station.Affected) []string) error {
	c := csv.NewWriter(w)
	_ = c.Write(append([]string{"mac", "serial", "product", "batch", "sealed", "release", "version", "state", "of", "evidence", "slot", "certain", "revoked"}, more...))
	for _, a := range list {
		release, revoked := "", ""
		if a.Release != 0 {
			release = fmt.Sprint(a.Release)
		}
		if !a.Revoked.IsZero() {
			revoked = a.Revoked.Format(time.RFC3339)
		}
		_ = c.Write(append([]string{a.MAC.String(), plain.Line(a.Serial), plain.Line(a.Product), plain.Line(a.Batch), fmt.Sprint(a.Sealed), release, plain.Line(a.Version), a.State, strings.Trim(fmt.Sprint(a.Of), "[]"),
			strings.Trim(fmt.Sprint(a.Evidence), "[]"), plain.Line(a.Slot), fmt.Sprint(a.Certain), revoked}, values(a)...))
	}
	c.Flush()
	return c.Error()
}
