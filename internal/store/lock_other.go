//go:build !unix

package store

import "os"

// Where there are no such locks only one process may have a store open.
func lock(*os.File) error { return nil }
