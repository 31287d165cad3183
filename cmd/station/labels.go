package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"station/internal/chip"
	"station/internal/keyfile"
	"station/internal/ledger"
	qa "station/internal/report"
	"station/internal/station"
)

// printer is where the labels of a line go by themselves.
type printer struct{ station.LabelFile }

// printTime is within how much time a printer that can tell must take a label.
const printTime = 10 * time.Second

// labels are those of the devices that pass; nil where the station file wants
// none.
func (w *works) labels() *station.Labels {
	p := printer{w.file.Label}
	if p.Printer == "" {
		return nil
	}
	return &station.Labels{Print: func(mac chip.MAC) error { return p.print(w.opened.Ledger, w.operator, mac) }}
}

// check finds before the first device what can be found then.
func (p printer) check() error {
	if p.Printer == "" {
		return nil
	}
	info, err := os.Stat(p.Printer)
	if err == nil && info.Mode().IsRegular() && p.Format == "png" {
		err = fmt.Errorf("%s: a file takes ZPL, one label after the other; pictures need a folder", p.Printer)
	}
	if err != nil {
		err = fmt.Errorf("label printer: %w", err)
	}
	return err
}

// print prints the label of a device that has none. Where the printer is not
// there nothing is recorded: the device still has none.
func (p printer) print(book *ledger.Ledger, operator string, mac chip.MAC) error {
	label, err := qa.LabelOf(book, mac)
	if err != nil || label.Printed() {
		return err
	}
	label.Layout = layoutOf(p.LabelFile)
	var drawn bytes.Buffer
	if err := qa.LabelFormats[string(p.Format)](label, &drawn); err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	out, err := p.open(mac)
	if err == nil {
		err = label.Record(book, operator, fmt.Sprintf("%s to %s", p.Format, p.Printer), false)
		if err == nil {
			_, err = out.Write(drawn.Bytes())
		}
		err = errors.Join(err, out.Close())
	}
	if err != nil {
		return fmt.Errorf("label printer: %w", err)
	}
	return nil
}

// open opens the printer for one label.
func (p printer) open(mac chip.MAC) (io.WriteCloser, error) {
	if info, err := os.Stat(p.Printer); err == nil && info.IsDir() {
		name := strings.ToUpper(strings.ReplaceAll(mac.String(), ":", ""))
		return wholeFile(filepath.Join(p.Printer, name+"."+string(p.Format))), nil
	}
	// Not made where it is not there: that is a printer that is switched off.
	f, err := keyfile.Device(p.Printer)
	if err == nil {
		_ = f.SetWriteDeadline(time.Now().Add(printTime)) // not every device can
	}
	return f, err
}

// wholeFile is a file that is there with all that was written at once, or not.
type wholeFile string

func (f wholeFile) Write(b []byte) (int, error) {
	return len(b), (&output{path: string(f), overwrite: true}).bytes(b)
}

func (wholeFile) Close() error { return nil }
