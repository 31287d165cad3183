package main

import (
	"cmp"
	"path/filepath"

	"github.com/spf13/cobra"

	"station/internal/station"
	"station/internal/store"
)

func releaseCommand(o *options) *cobra.Command {
	r := &releaseFlags{options: o}
	cmd := &cobra.Command{Use: "release", Short: "Make firmware ready for devices in the field"}
	cmd.AddCommand(releaseAddCommand(r), releaseListCommand(r), releaseShowCommand(r), releaseExportCommand(r), releaseWithdrawCommand(r), releaseBundleCommand(o))
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
	book, err := station.OpenFieldLedger(file.Ledger, file.ID, version())
	if err != nil {
		return err
	}
	defer book.Close()
	s, err := store.Open(cmp.Or(r.store, filepath.Join(filepath.Dir(file.Ledger), "releases")))
	if err != nil {
		return stationFault(err)
	}
	return f(&station.Releases{Ledger: book, Store: s, Operator: r.operator, Software: version(), Simulated: book.Simulated()})
}
