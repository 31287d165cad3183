//go:build !unix

package keyfile

import "os"

// Lock does nothing where there are no such locks: only one process at a time may change
// what they would guard.
func Lock(*os.File) error { return nil }
