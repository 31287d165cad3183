package station

import (
	"path/filepath"
	"strings"
)

// SideFiles are the files that the program keeps beside a ledger: the rates of
// adapters, the PINs that were refused, the door for guests, and why the site refuses it.
func SideFiles(ledgerPath string) []string {
	return []string{ratesPath(ledgerPath), RefusedPINs(ledgerPath), ledgerPath + ".door", haltPath(ledgerPath)}
}

func ratesPath(ledgerPath string) string {
	return strings.TrimSuffix(ledgerPath, filepath.Ext(ledgerPath)) + ".adapters.json"
}
