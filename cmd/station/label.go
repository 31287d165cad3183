package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/plain"
	qa "station/internal/report"
	"station/internal/station"
)

// labelFlags are those of label.
type labelFlags struct {
	ledgerFlags
	format, operator string
	out              output
	again, preview   bool
}

func labelCommand(o *options) *cobra.Command {
	l := &labelFlags{ledgerFlags: ledgerFlags{options: o}}
	cmd := &cobra.Command{
		Use:   "label NAME",
		Short: "Print the label of a sealed device: MAC, serial number, key ID",
		Long: `Write the label of a sealed device as ZPL for a label printer or as a PNG picture,
or show its QR code on the terminal. NAME is the device's MAC, its serial number
or its ID. The code holds MAC, serial number and key ID; the station file's
[label] table changes size, code and lines.

Each print is an entry of the ledger, on disk before the label is written; a
second one has to be asked for with --reprint. A code on the terminal is no
print, and a preview neither: it is marked PREVIEW, and without NAME it shows a
device that does not exist.

A line prints by itself where the [label] table names a printer.`,
		Example: `  station label 24:0a:c4:01:02:03
  station label SN00000042 --operator anna --format zpl --out /dev/usb/lp0
  station label 24:0a:c4:01:02:03 --operator anna --out label.png --reprint
  station label --preview --out preview.png`,
		Args:        cobra.MaximumNArgs(1),
		Annotations: map[string]string{toDevice: "yes"},
		RunE:        l.run,
	}
	f := cmd.Flags()
	f.StringVar(&l.path, "ledger", "", "ledger `FILE`, in place of the station file's")
	f.StringVar(&l.format, "format", "", "zpl, png or qr (default: as --out ends, or qr)")
	l.out.add(cmd, "out", "", "`FILE` or printer to write to (default: standard output)")
	f.StringVar(&l.operator, "operator", "", "who prints")
	f.BoolVar(&l.again, "reprint", false, "print it once more")
	f.BoolVar(&l.preview, "preview", false, "show what it looks like; prints nothing")
	return cmd
}

// specimen is a device that does not exist, for a preview.
var specimen = qa.Label{MAC: chip.MAC{0x02, 0, 0, 0, 0, 1}, Serial: "SN00000042", ID: "00112233445566778899aabbccddeeff",
	KeyID: "derived:station-master:0123456789abcdef", Job: "lamp", Revision: "7", Batch: "2026-47"}

func (l *labelFlags) run(cmd *cobra.Command, args []string) error {
	if l.format == "" {
		l.format = cmp.Or(strings.TrimPrefix(filepath.Ext(l.out.path), "."), "qr")
	}
	draw, ok := qa.LabelFormats[l.format]
	prints := !l.preview && l.format != "qr"
	switch {
	case !ok:
		return fmt.Errorf("label: format %q is not known; write zpl, png or qr", l.format)
	case len(args) == 0 && !l.preview:
		return errors.New("label: which device? write its MAC, its serial number or its ID; --preview needs none")
	case prints && l.operator == "":
		return errors.New("label: who prints goes into the ledger: add --operator NAME")
	}
	layout, err := l.layout()
	if err != nil {
		return err
	}
	write := func(label qa.Label) error {
		label.Layout, label.Preview = layout, l.preview
		if l.out.path != "" {
			return l.out.writeTo(func(w io.Writer) error { return draw(label, w) })
		}
		out := cmd.OutOrStdout()
		if l.format == "png" {
			out = plain.Raw(out)
		}
		return draw(label, out)
	}
	if len(args) == 0 {
		return write(specimen)
	}
	of := func(b *ledger.Ledger) (qa.Label, error) {
		d, err := namedDevice(b, args[0])
		if err != nil {
			return qa.Label{}, err
		}
		label, err := qa.LabelOf(b, d.MAC)
		return label, refusal(err)
	}
	if !prints {
		return l.read(func(b *ledger.Ledger) error {
			label, err := of(b)
			if err != nil {
				return err
			}
			return write(label)
		})
	}
	return l.change(cmd.Context(), func(b *ledger.Ledger) error {
		label, err := of(b)
		if err != nil {
			return err
		}
		if err := label.Record(b, l.operator, strings.TrimSuffix(l.format+" to "+l.out.path, " to "), l.again); err != nil {
			return refusal(err)
		}
		return write(label)
	})
}

// layout is that of the station file, if there is one.
func (l *labelFlags) layout() (qa.Layout, error) {
	file, err := station.LoadFile(l.station)
	if errors.Is(err, fs.ErrNotExist) {
		return qa.UsualLayout, nil
	}
	if err != nil {
		return qa.Layout{}, err
	}
	return layoutOf(file.Label), nil
}

func layoutOf(f station.LabelFile) qa.Layout {
	return qa.Layout{Width: f.Size.Width, Height: f.Size.Height, Dots: f.Dots, Code: f.Code, Lines: f.Lines}
}

// refusal tells what a person can put right from a fault of the station.
func refusal(err error) error {
	switch {
	case err == nil:
		return nil
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
