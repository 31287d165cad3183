package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/plain"
	qa "station/internal/report"
)

func labelCommand(o *options) *cobra.Command {
	l := &ledgerFlags{options: o}
	var format, operator string
	var out output
	var again bool
	cmd := &cobra.Command{
		Use:   "label MAC",
		Short: "Print the label of a sealed device: MAC, serial number, key ID",
		Long: `Write the label of a sealed device as ZPL for a label printer, as a PNG picture,
or as a QR code on the terminal. The code holds MAC, serial number and key ID.
Each print is an entry of the ledger, on disk before the label is written; a
second one has to be asked for with --reprint.

A line prints by itself where the station file has a [label] table.`,
		Example: `  station label 24:0a:c4:01:02:03 --operator anna
  station label 24:0a:c4:01:02:03 --operator anna --format zpl --out /dev/usb/lp0
  station label 24:0a:c4:01:02:03 --operator anna --out label.png --reprint`,
		Args:        cobra.ExactArgs(1),
		Annotations: map[string]string{toDevice: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			mac, err := chip.ParseMAC(args[0])
			if err != nil {
				return err
			}
			if format == "" {
				format = cmp.Or(strings.TrimPrefix(filepath.Ext(out.path), "."), "qr")
			}
			draw, ok := qa.LabelFormats[format]
			if !ok {
				return fmt.Errorf("label: format %q is not known; write zpl, png or qr", format)
			}
			return l.change(cmd.Context(), func(b *ledger.Ledger) error {
				if _, _, err := heldDevice(b, mac); err != nil {
					return err
				}
				label, err := qa.LabelOf(b, mac)
				if err != nil {
					return refusal(err)
				}
				if err := label.Record(b, operator, strings.TrimSuffix(format+" to "+out.path, " to "), again); err != nil {
					return refusal(err)
				}
				if out.path == "" {
					out := cmd.OutOrStdout()
					if format == "png" {
						out = plain.Raw(out)
					}
					return draw(label, out)
				}
				return out.writeTo(func(w io.Writer) error { return draw(label, w) })
			})
		},
	}
	cmd.Flags().StringVar(&l.path, "ledger", "", "ledger `FILE`, in place of the station file's")
	cmd.Flags().StringVar(&format, "format", "", "zpl, png or qr (default: as --out ends, or qr)")
	out.add(cmd, "out", "", "`FILE` or printer to write to (default: standard output)")
	cmd.Flags().StringVar(&operator, "operator", "", "who prints")
	cmd.Flags().BoolVar(&again, "reprint", false, "print it once more")
	_ = cmd.MarkFlagRequired("operator")
	return cmd
}

// refusal tells what a person can put right from a fault of the station.
func refusal(err error) error {
	switch {
	case errors.Is(err, qa.ErrNotSealed):
		return &codedError{exitFailed, err}
	case errors.Is(err, qa.ErrPrinted):
		return fmt.Errorf("%w; give --reprint if that label is lost or spoiled", err)
	}
	return stationFault(err)
}

// writeTo writes a file as a whole, and what is none, such as a printer, as it
// comes.
func (o *output) writeTo(write func(io.Writer) error) error {
	if !isDevice(o.path) {
		return o.write(write)
	}
	f, err := keyfile.Device(o.path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
