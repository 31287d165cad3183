package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	qa "station/internal/report"
	"station/internal/station"
)

func ledgerCommand(o *options) *cobra.Command {
	l := &ledgerFlags{options: o}
	cmd := &cobra.Command{Use: "ledger", Short: "Read and prove the record of every device"}
	cmd.PersistentFlags().StringVar(&l.path, "ledger", "", "ledger `FILE`, in place of the station file's")
	cmd.AddCommand(ledgerListCommand(l), ledgerShowCommand(l), ledgerVerifyCommand(l), ledgerReleaseCommand(l), ledgerBackupCommand(l),
		ledgerExportCommand(l), ledgerReportCommand(l), ledgerCheckpointCommand(l), ledgerProveCommand(l), ledgerCheckCommand(l), ledgerRecoverCommand(l))
	return cmd
}

type ledgerFlags struct {
	*options
	path string
}

// file is the ledger of --ledger or of the station file, and that file's ID,
// if there is one.
func (l *ledgerFlags) file() (path, id string, err error) {
	file, err := station.LoadFile(l.station)
	switch {
	case err == nil:
		return cmp.Or(l.path, file.Ledger), file.ID, nil
	case l.path != "":
		return l.path, "", nil
	}
	return "", "", err
}

// with opens the ledger, lets f use it and closes it. What f appends carries
// the ID of the station file, if there is one.
func (l *ledgerFlags) with(open func(string, ledger.Options) (*ledger.Ledger, error), o ledger.Options, f func(*ledger.Ledger) error) error {
	path, id, err := l.file()
	if err != nil {
		return err
	}
	o.Station = id
	book, err := open(path, o)
	if errors.Is(err, fs.ErrNotExist) {
		return stationFault(fmt.Errorf("there is no ledger %s yet; \"station hsm init\" or the first \"station run\" makes it", path))
	}
	if err != nil && !o.ReadOnly {
		err = station.LedgerFailure(err)
	}
	if err != nil {
		return stationFault(err)
	}
	defer book.Close()
	return f(book)
}

func (l *ledgerFlags) read(f func(*ledger.Ledger) error) error {
	return l.with(ledger.Open, ledger.Options{ReadOnly: true}, f)
}

// change opens the ledger to append to it, whichever kind it is, also beside a
// line that runs.
func (l *ledgerFlags) change(ctx context.Context, f func(*ledger.Ledger) error) error {
	var simulated bool
	if err := l.read(func(b *ledger.Ledger) error { simulated = b.Simulated(); return nil }); err != nil {
		return err
	}
	return l.with(asGuest(ctx), ledger.Options{Simulated: simulated, Software: version()}, f)
}

// asGuest opens a ledger for a command that ctx may end.
func asGuest(ctx context.Context) func(string, ledger.Options) (*ledger.Ledger, error) {
	return func(path string, o ledger.Options) (*ledger.Ledger, error) { return ledger.OpenGuest(ctx, path, o) }
}

// real is change for what a simulation must never get.
func (l *ledgerFlags) real(ctx context.Context, f func(*ledger.Ledger) error) error {
	err := l.with(asGuest(ctx), ledger.Options{Software: version()}, f)
	if errors.Is(err, record.ErrMixed) {
		return fmt.Errorf("%w", qa.ErrSimulated)
	}
	return err
}

// mustBeWhole rereads a ledger before anything that it says is signed or called
// right: the log counts, and not what its indexes say of it.
func mustBeWhole(b *ledger.Ledger) error { return mustPass(b, &ledger.Audit{}) }

// mustAgree holds what the indexes of a ledger say against its log before
// anything of it is listed, counted or exported.
func mustAgree(b *ledger.Ledger) error { return mustPass(b, &ledger.Audit{Indexes: true}) }

func mustPass(b *ledger.Ledger, a *ledger.Audit) error {
	bar := newProgress("rereading the ledger", "entries")
	defer bar.end()
	a.Progress = bar.tell
	for fault := range b.Check(a) {
		return notWhole(fault)
	}
	return nil
}

// heldDevice is what the ledger knows of a device, held against the log before
// anybody tells it or acts by it: mustAgree for one device.
func heldDevice(b *ledger.Ledger, mac chip.MAC) (d record.Device, known bool, err error) {
	if err = b.Agrees(mac); err == nil {
		d, known, err = b.Device(mac)
	}
	return d, known, notTrue(err)
}

// notTrue tells what was found wrong with a ledger from all else that went wrong
// while it was read.
func notTrue(err error) error {
	if errors.Is(err, ledger.ErrCorrupt) {
		return notWhole(err)
	}
	return stationFault(err)
}

func notWhole(fault error) error {
	return stationFault(fmt.Errorf("the ledger is not whole (%w); \"station ledger verify\" lists the faults", fault))
}
