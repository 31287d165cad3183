package main

import (
	"iter"

	"station/internal/ledger"
)

func ledgerFaults(*ledger.Ledger) iter.Seq[string] { return func(func(string) bool) {} }
