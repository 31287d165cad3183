//go:build unix

package ttytest

import "syscall"

// ownSession makes the terminal the program's controlling one, so that it is
// told of a new window size.
func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Setctty: true}
}
