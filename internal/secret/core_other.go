//go:build !unix

package secret

// NoCoreDumps does nothing where there are no core dumps.
func NoCoreDumps() error { return nil }
