package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"station/internal/plain"
	field "station/internal/release"
	"station/internal/station"
	"station/internal/store"
)

func releaseCommand(o *options) *cobra.Command {
	r := &releaseFlags{options: o}
	cmd := &cobra.Command{Use: "release", Short: "Make firmware ready for devices in the field"}
	cmd.AddCommand(releaseAddCommand(r), releaseListCommand(r), releaseShowCommand(r), releaseExportCommand(r), releaseWithdrawCommand(r), releaseListenCommand(r), releaseBundleCommand(o))
	return cmd
}

// releaseFlags are those of commands that know releases.
type releaseFlags struct {
	*options
	store, operator string
}

func (r *releaseFlags) addStore(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.store, "store", "", "`DIR` of the releases (default: releases beside the ledger)")
}

// dir is the folder of the releases.
func (r *releaseFlags) dir() (string, error) {
	if r.store != "" {
		return r.store, nil
	}
	file, err := station.LoadFile(r.options.station)
	if err != nil {
		return "", err
	}
	return releasesBeside(file.Ledger), nil
}

func (r *releaseFlags) addOperator(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.operator, "operator", "", "who does it")
	_ = cmd.MarkFlagRequired("operator")
}

// with opens the ledger and the store of the station file for f.
func (r *releaseFlags) with(f func(*station.Releases) error) error {
	file, err := station.LoadFile(r.options.station)
	if err != nil {
		return err
	}
	book, s, err := openField(file, r.store)
	if err != nil {
		return err
	}
	defer book.Close()
	return f(&station.Releases{Ledger: book, Store: s, Operator: r.operator, Simulated: book.Simulated(), LeftOut: tellDamaged})
}

// of is with for the release whose number was given.
func (r *releaseFlags) of(number string, f func(*station.Releases, int64) error) error {
	id, err := releaseNumber(number)
	if err != nil {
		return err
	}
	return r.with(func(all *station.Releases) error { return f(all, id) })
}

// releaseNumber reads the number of a release.
func releaseNumber(text string) (int64, error) {
	id, err := field.ParseID(text)
	if err != nil {
		return 0, fmt.Errorf("release %q: want its number, from 1 to %d, as \"station release list\" shows it", text, field.MaxID)
	}
	return id, nil
}

// tellDamaged tells of a record of the store that cannot be read.
func tellDamaged(d *field.Damaged) { plain.Fprintf(stderr, "station: left out: %v\n", d) }

// rolloutOf is the rollout of a release, nil also where its record is damaged, which is told.
func rolloutOf(all *station.Releases, doc *field.Release) (*field.Rollout, error) {
	roll, _, err := all.Rollout(doc)
	if damaged, is := errors.AsType[*field.Damaged](err); is {
		tellDamaged(damaged)
		return nil, nil
	}
	return roll, err
}

// releasesBeside is the store of releases where no flag names one.
func releasesBeside(ledger string) string { return filepath.Join(filepath.Dir(ledger), "releases") }

// openField opens the ledger beside the line and the store of releases: dir, or
// the folder beside the ledger.
func openField(file *station.File, dir string) (*station.FieldLedger, *store.Store, error) {
	book, err := station.OpenFieldLedger(file.Ledger, file.ID, version())
	if err != nil {
		return nil, nil, err
	}
	s, err := store.Open(cmp.Or(dir, releasesBeside(file.Ledger)))
	if err != nil {
		book.Close()
		return nil, nil, stationFault(err)
	}
	return book, s, nil
}
