package bench
import "station/internal/ledger"
func checkLedger(*ledger.Ledger) []error { return nil }
