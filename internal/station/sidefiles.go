package station

// SideFiles are the files that the program keeps beside a ledger: the rates of
// adapters, the PINs that were refused, the door for guests, why the site refuses it, and where
// the site is.
func SideFiles(ledgerPath string) []string {
	return []string{ratesPath(ledgerPath), RefusedPINs(ledgerPath), ledgerPath + ".door", haltPath(ledgerPath), addressPath(ledgerPath)}
}

func ratesPath(ledgerPath string) string { return besideLedger(ledgerPath, ".adapters.json") }
