package main

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/station"
)

func affectedCommand(o *options) *cobra.Command {
	l, r := &ledgerFlags{options: o}, &releaseFlags{options: o}
	var w station.Wanted
	var device, firmware, format, cve, scan string
	var out output
	var asJSON *bool
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
as of now; "station ledger prove NAME" proves them to anybody.`,
		Example: `  station affected --release 7
  station affected --key fleet --format json --out affected.json
  station affected --firmware build/lamp.bin
  station affected --cve CVE-2024-23170 --scan grype.cdx.json --format json --out affected.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case w.Empty() && firmware == "" && device == "" && cve == "":
				return fmt.Errorf("affected: by what? Give --release, --key, --firmware, --mac or --cve")
			case cve == "" && scan != "":
				return fmt.Errorf("affected: --scan is for a vulnerability: name it with --cve")
			case format != "csv" && format != "json":
				return fmt.Errorf("affected: --format %q: write csv or json", format)
			}
			var err error
			if w.Firmware, err = digestsOf(firmware); err != nil {
				return fmt.Errorf("affected: --firmware: %w", err)
			}
			if cve != "" {
				if w.Any, err = hit(o, r.store, cve, scan); err != nil {
					return err
				}
			}
			return l.read(func(b *ledger.Ledger) error {
				if err := mustAgree(b); err != nil {
					return err
				}
				if device != "" {
					d, err := namedDevice(b, device)
					if err != nil {
						return fmt.Errorf("affected: %w", err)
					}
					w.MAC = d.MAC
				}
				if firmware != "" || w.Release != 0 {
					if w.Known, err = knownReleases(cmp.Or(r.store, releasesBeside(b.Path()))); err != nil {
						return stationFault(err)
					}
				}
				list, err := station.FindAffected(b, w)
				if unknown := (*station.UnknownError)(nil); errors.As(err, &unknown) {
					return fmt.Errorf("affected: %w", err)
				}
				if err != nil {
					return stationFault(err)
				}
				if len(list) == 0 { // a list without rows, of a name that is misspelt, must not pass for an all-clear
					plain.Fprintf(stderr, "station: the ledger knows no such device: is the name right, and is it this ledger?\n")
				}
				if *asJSON {
					format = "answer"
				}
				return writeAffected(cmd.OutOrStdout(), &out, b, list, format)
			})
		},
	}
	f := cmd.Flags()
	f.Int64Var(&w.Release, "release", 0, "`NUMBER` of a release")
	f.StringVar(&w.Key, "key", "", "`ID`, label or check value of a key, or the digest of one that devices trust")
	f.StringVar(&firmware, "firmware", "", "`FILE` of an image or an app, or its digest sha256:…")
	f.StringVar(&device, "mac", "", "one device: its MAC, its serial number or its ID (`NAME`)")
	f.StringVar(&cve, "cve", "", "`ID` of a vulnerability, such as CVE-2024-23170")
	f.StringVar(&scan, "scan", "", "`FILE` of what a scanner found, CycloneDX in JSON")
	r.addStore(cmd)
	f.StringVar(&format, "format", "csv", "csv or json")
	f.StringVar(&l.path, "ledger", "", "ledger `FILE`, in place of the station file's")
	asJSON = jsonFlag(cmd)
	cmd.MarkFlagsMutuallyExclusive("json", "format")
	out.add(cmd, "out", "", "`FILE` to write (default: standard output)")
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
	var text strings.Builder
	a := affectedAnswer{b.Origin(), size, root.String(), append([]station.Affected{}, list...)}
	switch format {
	case "answer":
		err = answer(&text, a)
	case "json":
		enc := json.NewEncoder(&text)
		enc.SetIndent("", "  ")
		err = enc.Encode(map[string]any{"format": 1, "ledger": a.Ledger, "entries": a.Entries, "root": a.Root, "devices": a.Devices})
	default:
		err = affectedCSV(&text, list)
	}
	if err != nil {
		return err
	}
	return out.print(w, []byte(text.String()))
}

func affectedCSV(w io.Writer, list []station.Affected) error {
	c := csv.NewWriter(w)
	_ = c.Write([]string{"mac", "serial", "product", "batch", "sealed", "release", "version", "state", "of", "evidence", "slot", "certain"})
	for _, a := range list {
		release := ""
		if a.Release != 0 {
			release = fmt.Sprint(a.Release)
		}
		_ = c.Write([]string{a.MAC.String(), plain.Line(a.Serial), plain.Line(a.Product), plain.Line(a.Batch), fmt.Sprint(a.Sealed), release, plain.Line(a.Version), a.State, strings.Trim(fmt.Sprint(a.Of), "[]"),
			strings.Trim(fmt.Sprint(a.Evidence), "[]"), plain.Line(a.Slot), fmt.Sprint(a.Certain)})
	}
	c.Flush()
	return c.Error()
}
