package main

import (
	"io"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// divertStderr gives os.Stderr a descriptor of its own. What C code writes to
// the one that everybody knows comes out of r until restore. A crash of this
// program is still told on os.Stderr.
func divertStderr() (r io.ReadCloser, restore func(), err error) {
	ours, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, nil, err
	}
	out, in, err := os.Pipe()
	if err != nil {
		_ = unix.Close(ours)
		return nil, nil, err
	}
	defer in.Close()
	if err := unix.Dup3(int(in.Fd()), 2, 0); err != nil {
		_ = unix.Close(ours)
		return nil, nil, err
	}
	before := *os.Stderr // restore holds it: nobody else keeps its descriptor open
	*os.Stderr = *os.NewFile(uintptr(ours), "/dev/stderr")
	_ = debug.SetCrashOutput(os.Stderr, debug.CrashOptions{})
	return out, func() {
		_ = unix.Dup3(ours, 2, 0)
		*os.Stderr = before
	}, nil
}
