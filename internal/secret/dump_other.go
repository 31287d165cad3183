//go:build unix && !linux

package secret

func dontDump([]byte) {}
