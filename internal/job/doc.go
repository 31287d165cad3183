// Package job reads the file of a product: what goes into its flash, its key,
// its fuses and its boot, found wrong before a device is touched. It knows no
// token, no ledger and no wire.
package job
