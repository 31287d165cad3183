// Package report is what QA reads out of the ledger: exports as tables, a page
// for people, closing certificates of batches, labels of devices. Each file
// that leaves it can be checked later, against the ledger or without.
//
// Nothing here is a key, wrapped or not, and what a simulated ledger tells is
// marked SIMULATION wherever it goes, and never signed.
//
// A file is told of the log as it was at some size. The log only grows, so the
// same file can be made again years later and compared.
package report
