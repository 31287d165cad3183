package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

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
	return f(&station.Releases{Ledger: book, Store: s, Operator: r.operator, Simulated: book.Simulated()})
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
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, fmt.Errorf("release %q: want its number, as \"station release list\" shows it", text)
	}
	return id, nil
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
