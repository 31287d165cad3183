//go:build unix

package main

import (
	"os"
	"syscall"
)

// failedWrites are the signals that come with an error of a write.
var failedWrites = []os.Signal{syscall.SIGPIPE, syscall.SIGXFSZ}
